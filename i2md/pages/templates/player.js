async function inflate(text) {
  const packed = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// The inverse of pack() in skeletons.py: bytes in two planes, low and high, of steps from frame to frame.
async function unpack(map) {
  const bytes = await inflate(map.packed), count = bytes.length / 2, width = map.joints * 3;
  let at = 0;
  return map.frames.map((frames, clip) => Array.from({ length: map.persons[clip] }, () => {
    const person = [];
    for (let f = 0; f < frames; f++) {
      const pose = new Float32Array(width);
      for (let i = 0; i < width; i++, at++) {
        pose[i] = (((bytes[at] | (bytes[count + at] << 8)) << 16) >> 16) / 1000 + (f ? person[f - 1][i] : 0);
      }
      person.push(pose);
    }
    return person;
  }));
}

// What is known of each joint: states[clip][person][frame][joint] is one of these.
const SEEN = 0, FILLED = 1, MISSING = 2, NEVER = 3;

async function unpackStates(map) {
  if (!map.states) return null;
  const bytes = await inflate(map.states);
  let at = 0;
  return map.frames.map((frames, clip) => Array.from({ length: map.persons[clip] }, () =>
    Array.from({ length: frames }, () => bytes.subarray(at, at += map.joints))));
}

const DARK = matchMedia("(prefers-color-scheme: dark)");
const REDUCED = matchMedia("(prefers-reduced-motion: reduce)");

// The colours that skeletons are drawn in, which change with the colour scheme.
function drawingColours() {
  const style = getComputedStyle(document.documentElement);
  const names = [["left", "--left"], ["right", "--right"], ["", "--ink"], ["floor", "--rule"], ["missing", "--missing"], ["soft", "--soft"]];
  return Object.fromEntries(names.map(([name, variable]) => [name, style.getPropertyValue(variable).trim()]));
}
let colours = drawingColours();
DARK.addEventListener("change", () => { colours = drawingColours(); });

// A canvas that shows one clip at one moment; a finger or a mouse turns it, and so do the arrow keys.
class Figure {
  constructor(canvas, map, changed, pen = 3) {
    Object.assign(this, { canvas, map, changed, pen, clips: null, states: null, clip: -1 });
    // The side of each joint that a bone has.
    this.sides = [];
    map.bones.forEach(([from, to], i) => { this.sides[from] ??= ""; this.sides[to] = map.sides[i]; });
    [this.turn, this.tilt] = map.flat ? [0, 0] : [0.45, 0.12];
    new ResizeObserver(changed).observe(canvas);
    DARK.addEventListener("change", changed);
    if (map.flat) { canvas.classList.add("flat"); return; }
    canvas.addEventListener("pointerdown", (event) => canvas.setPointerCapture(event.pointerId));
    canvas.addEventListener("pointermove", (event) => { if (event.buttons) this.rotate(event.movementX * 0.012, event.movementY * 0.012); });
    canvas.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: [-0.15, 0], ArrowRight: [0.15, 0], ArrowUp: [0, -0.15], ArrowDown: [0, 0.15] }[event.key];
      if (by) { event.preventDefault(); this.rotate(...by); }
    });
  }

  rotate(turn, tilt) {
    this.turn += turn;
    this.tilt = Math.max(-1.4, Math.min(1.4, this.tilt + tilt));
    this.changed();
  }

  // The poses of the persons who are present, and what is known of their joints, at a phase from 0 to 1.
  poses(phase) {
    return this.clips[this.clip].flatMap((person, number) => {
      if (!person.length) return [];
      const at = phase * (person.length - 1), before = person[Math.floor(at)], after = person[Math.ceil(at)];
      if (!before.some(Boolean) || !after.some(Boolean)) return [];
      const pose = before.map((value, i) => value + (after[i] - value) * (at - Math.floor(at)));
      return [{ pose, states: this.states?.[this.clip][number][Math.round(at)] }];
    });
  }

  // How far the clip reaches sideways, whatever way it is turned, and upwards, and the height of the floor.
  measure() {
    if (this.measured !== this.clip) {
      this.measured = this.clip;
      this.reach = { aside: 1e-3, up: 1e-3, floor: 0 };
      for (const person of this.clips[this.clip]) for (const pose of person) for (let i = 0; i < pose.length; i += 3) {
        this.reach.aside = Math.max(this.reach.aside, Math.hypot(pose[i], pose[i + 2]));
        this.reach.up = Math.max(this.reach.up, Math.abs(pose[i + 1]));
        this.reach.floor = Math.min(this.reach.floor, pose[i + 1]);
      }
    }
    return this.reach;
  }

  draw(phase) {
    if (!this.clips || this.clip < 0) return;
    const canvas = this.canvas, scale = devicePixelRatio || 1;
    const width = canvas.clientWidth, height = canvas.clientHeight;
    if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
      canvas.width = Math.round(width * scale); canvas.height = Math.round(height * scale);
    }
    const pen = canvas.getContext("2d");
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.lineCap = "round";
    const { aside, up, floor } = this.measure();
    const size = Math.min((width * 0.46) / aside, (height * 0.43) / up);
    const place = (x, y, z) => {
      const across = x * Math.cos(this.turn) + z * Math.sin(this.turn), depth = z * Math.cos(this.turn) - x * Math.sin(this.turn);
      return [width / 2 + across * size, height / 2 - (y * Math.cos(this.tilt) - depth * Math.sin(this.tilt)) * size, depth];
    };
    if (!this.map.flat) this.drawFloor(pen, place, floor);
    const persons = this.poses(phase);
    for (const { pose, states } of persons) this.drawPerson(pen, pose, states, place);
    if (!persons.length) {
      pen.fillStyle = colours.soft; pen.font = "12px system-ui, sans-serif"; pen.textAlign = "center";
      pen.fillText("nobody in sight", width / 2, height / 2);
    }
  }

  drawFloor(pen, place, floor) {
    pen.strokeStyle = colours.floor; pen.lineWidth = 1;
    pen.beginPath();
    // A square of the clip's size.
    const half = Math.min(0.5, this.measure().aside);
    for (let step = -2; step <= 2; step++) {
      for (const ends of [[[step * half / 2, -half], [step * half / 2, half]], [[-half, step * half / 2], [half, step * half / 2]]]) {
        ends.forEach(([x, z], end) => pen[end ? "lineTo" : "moveTo"](...place(x, floor, z)));
      }
    }
    pen.stroke();
  }

  drawPerson(pen, pose, states, place) {
    const joints = Array.from({ length: this.map.joints }, (_, j) => place(pose[3 * j], pose[3 * j + 1], pose[3 * j + 2]));
    const order = this.map.bones.map((bone, i) => [joints[bone[0]][2] + joints[bone[1]][2], i]).sort((a, b) => a[0] - b[0]);
    const radius = this.pen;
    for (const [depth, i] of order) {
      const [from, to] = this.map.bones[i], ends = [states?.[from] ?? SEEN, states?.[to] ?? SEEN];
      if (ends.includes(NEVER)) continue;
      const missing = ends.includes(MISSING);
      pen.globalAlpha = Math.max(0.45, Math.min(1, 0.8 + depth * 0.3));
      pen.strokeStyle = pen.fillStyle = missing ? colours.missing : colours[this.map.sides[i]];
      pen.lineWidth = missing ? radius / 2 : radius;
      pen.setLineDash(missing ? [2, 4] : []);
      pen.beginPath(); pen.moveTo(joints[from][0], joints[from][1]); pen.lineTo(joints[to][0], joints[to][1]); pen.stroke();
      pen.setLineDash([]);
    }
    pen.globalAlpha = 1;
    joints.forEach(([x, y], j) => {
      const state = states?.[j] ?? SEEN;
      if (state === NEVER || this.sides[j] === undefined) return;
      pen.strokeStyle = pen.fillStyle = state === MISSING ? colours.missing : colours[this.sides[j]];
      pen.beginPath(); pen.arc(x, y, state === SEEN ? radius : radius + 1, 0, 2 * Math.PI);
      if (state === SEEN) { pen.fill(); return; }
      // Hollow: not recorded, but interpolated, or in a warning colour where the joint was seen last.
      pen.save(); pen.globalCompositeOperation = "destination-out"; pen.fill(); pen.restore();
      pen.lineWidth = 1.6; pen.stroke();
    });
  }
}

// Figures that show the same moment, with a button that plays and stops them and a slider for the position.
class Player {
  constructor(figures, map, button, slider) {
    Object.assign(this, { map, button, slider, clip: -1, phase: 0, before: null, speed: 1, loop: true });
    this.figures = figures.map((canvas) => new Figure(canvas, map, () => this.wake()));
    this.button.addEventListener("click", () => this.play(!this.playing));
    this.slider.addEventListener("input", () => { this.play(false); this.phase = this.slider.value / this.slider.max; this.wake(); });
    for (const { canvas } of this.figures) canvas.addEventListener("keydown", (event) => {
      if (event.key === " " || event.key === "Enter") { event.preventDefault(); this.play(!this.playing); }
    });
    this.play(!REDUCED.matches);
  }

  give(clips, states = null) {
    for (const figure of this.figures) Object.assign(figure, { clips, states });
    this.wake();
  }

  // Other clips of the same skeleton in place of those that are here.
  load(map, clips, states = null) {
    Object.assign(this, { map, clip: -1 });
    for (const figure of this.figures) Object.assign(figure, { map, clip: -1, measured: undefined });
    this.give(clips, states);
  }

  // So many frames of the first clip forwards or backwards.
  step(frames) {
    const last = Math.max(1, this.map.frames[this.clip] - 1);
    this.phase = Math.max(0, Math.min(1, (Math.round(Math.min(1, this.phase) * last) + frames) / last));
    this.play(false);
  }

  play(on) {
    this.playing = on;
    this.button.textContent = on ? "Pause" : "Play";
    this.wake();
  }

  // Each figure shows a clip of its own; the first one's decides the duration.
  show(...clips) {
    if (clips.every((clip, i) => clip === this.figures[i].clip)) return;
    clips.forEach((clip, i) => { this.figures[i].clip = clip; });
    this.clip = clips[0];
    this.phase = this.playing ? 0 : 0.5;
    this.wake();
  }

  restart() { this.phase = 0; this.play(true); }

  wake() {
    this.before ??= requestAnimationFrame((now) => this.frame(now));
  }

  // A page that is scrolled away or in a hidden tab gets no animation frames, and costs nothing.
  frame(now) {
    this.before = null;
    if (!this.figures[0].clips || this.clip < 0) return;
    const seconds = this.map.seconds[this.clip];
    const passed = this.last === undefined ? 0 : Math.min(0.1, (now - this.last) / 1000);
    this.last = this.playing ? now : undefined;
    // The last pose stands for half a second before the clip begins again.
    if (this.playing) {
      const phase = this.phase + (passed * this.speed) / seconds, end = 1 + 0.5 / seconds;
      this.phase = this.loop ? phase % end : Math.min(1, phase);
      if (!this.loop && phase >= 1) { this.play(false); this.phase = 1; }
    }
    const phase = Math.min(1, this.phase);
    for (const figure of this.figures) figure.draw(phase);
    this.slider.value = Math.round(this.slider.max * phase);
    this.moved?.(phase);
    if (this.playing) this.wake();
  }
}
