// The inverse of pack() in clip_map.py: bytes in two planes, low and high, of steps from frame to frame.
async function unpack(map) {
  const packed = Uint8Array.from(atob(map.packed), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const count = bytes.length / 2, width = map.joints * 3;
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

class Player {
  constructor(canvas, map) {
    Object.assign(this, { canvas, map, clips: null, clip: -1, phase: 0, before: null });
    this.turn = 0.45; this.tilt = 0.12;
    this.playing = !matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.button = document.getElementById("play"); this.slider = document.getElementById("position");
    this.button.addEventListener("click", () => this.play(!this.playing));
    this.slider.addEventListener("input", () => { this.play(false); this.phase = this.slider.value / 1000; this.wake(); });
    canvas.addEventListener("pointerdown", (event) => canvas.setPointerCapture(event.pointerId));
    canvas.addEventListener("pointermove", (event) => { if (event.buttons) this.rotate(event.movementX * 0.012, event.movementY * 0.012); });
    canvas.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: [-0.15, 0], ArrowRight: [0.15, 0], ArrowUp: [0, -0.15], ArrowDown: [0, 0.15] }[event.key];
      if (by) { event.preventDefault(); this.rotate(...by); }
      if (event.key === " " || event.key === "Enter") { event.preventDefault(); this.play(!this.playing); }
    });
    new ResizeObserver(() => this.wake()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { this.readColours(); this.wake(); });
    this.readColours(); this.play(this.playing);
  }

  readColours() {
    const style = getComputedStyle(document.documentElement);
    this.colours = Object.fromEntries([["left", "--left"], ["right", "--right"], ["", "--ink"], ["floor", "--rule"]].map(([name, variable]) => [name, style.getPropertyValue(variable).trim()]));
  }

  rotate(turn, tilt) {
    this.turn += turn;
    this.tilt = Math.max(-1.4, Math.min(1.4, this.tilt + tilt));
    this.wake();
  }

  play(on) {
    this.playing = on;
    this.button.textContent = on ? "Pause" : "Play";
    this.wake();
  }

  show(clip) {
    if (clip === this.clip) return;
    this.clip = clip;
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
    if (!this.clips || this.clip < 0) return;
    const seconds = Math.min(6, Math.max(1, this.map.recorded[this.clip] / 30));
    const passed = this.last === undefined ? 0 : Math.min(0.1, (now - this.last) / 1000);
    this.last = this.playing ? now : undefined;
    // The last pose stands for half a second before the clip begins again.
    if (this.playing) this.phase = (this.phase + passed / seconds) % (1 + 0.5 / seconds);
    this.draw(Math.min(1, this.phase));
    this.slider.value = Math.round(1000 * Math.min(1, this.phase));
    if (this.playing) this.wake();
  }

  poses(phase) {
    return this.clips[this.clip].flatMap((person) => {
      if (!person.length) return [];
      const at = phase * (person.length - 1), before = person[Math.floor(at)], after = person[Math.ceil(at)];
      if (!before.some(Boolean) || !after.some(Boolean)) return [];
      return [before.map((value, i) => value + (after[i] - value) * (at - Math.floor(at)))];
    });
  }

  floorHeight() {
    let low = Infinity;
    for (const person of this.clips[this.clip]) for (const pose of person) for (let i = 1; i < pose.length; i += 3) low = Math.min(low, pose[i]);
    return low;
  }

  draw(phase) {
    const canvas = this.canvas, scale = devicePixelRatio || 1;
    const width = canvas.clientWidth, height = canvas.clientHeight;
    if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
      canvas.width = Math.round(width * scale); canvas.height = Math.round(height * scale);
    }
    const pen = canvas.getContext("2d");
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.lineCap = "round";
    const size = Math.min(width, height) * 0.46;
    const place = (x, y, z) => {
      const across = x * Math.cos(this.turn) + z * Math.sin(this.turn), depth = z * Math.cos(this.turn) - x * Math.sin(this.turn);
      return [width / 2 + across * size, height / 2 - (y * Math.cos(this.tilt) - depth * Math.sin(this.tilt)) * size, depth];
    };
    const floor = this.floorHeight();
    pen.strokeStyle = this.colours.floor; pen.lineWidth = 1;
    pen.beginPath();
    for (let step = -2; step <= 2; step++) {
      for (const ends of [[[step / 4, -0.5], [step / 4, 0.5]], [[-0.5, step / 4], [0.5, step / 4]]]) {
        ends.forEach(([x, z], end) => pen[end ? "lineTo" : "moveTo"](...place(x, floor, z)));
      }
    }
    pen.stroke();
    for (const pose of this.poses(phase)) this.drawPerson(pen, pose, place);
  }

  drawPerson(pen, pose, place) {
    const joints = Array.from({ length: this.map.joints }, (_, j) => place(pose[3 * j], pose[3 * j + 1], pose[3 * j + 2]));
    const order = this.map.bones.map((bone, i) => [joints[bone[0]][2] + joints[bone[1]][2], i]).sort((a, b) => a[0] - b[0]);
    for (const [depth, i] of order) {
      const [from, to] = this.map.bones[i];
      pen.globalAlpha = Math.max(0.45, Math.min(1, 0.8 + depth * 0.3));
      pen.strokeStyle = pen.fillStyle = this.colours[this.map.sides[i]];
      pen.lineWidth = 3;
      pen.beginPath(); pen.moveTo(joints[from][0], joints[from][1]); pen.lineTo(joints[to][0], joints[to][1]); pen.stroke();
      pen.beginPath(); pen.arc(joints[to][0], joints[to][1], 3, 0, 2 * Math.PI); pen.fill();
    }
    pen.globalAlpha = 1;
  }
}
