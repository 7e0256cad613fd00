const TEN = ["#3f78d0", "#e07b28", "#35a06a", "#d0475a", "#8d62c8", "#a0784a", "#d965b0", "#7f8790", "#a8ad2c", "#2fb0c4"];

function classColour(index, classes) {
  if (index < 0) return "var(--faint)";
  if (classes <= TEN.length) return TEN[index % TEN.length];
  const lightness = [46, 60, 36][index % 3];
  return `hsl(${((index * 137.508) % 360).toFixed(1)} 62% calc(${lightness}% + var(--class-light) * 1%))`;
}

// The inverse of report_map.pack: bytes in two planes, low and high, of steps from frame to frame.
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
    Object.assign(this, { canvas, map, clips: null, clip: -1, started: 0, running: false });
    this.turn = 0.45; this.tilt = 0.12;
    this.still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    canvas.addEventListener("pointerdown", (event) => canvas.setPointerCapture(event.pointerId));
    canvas.addEventListener("pointermove", (event) => {
      if (!event.buttons) return;
      this.turn += event.movementX * 0.012;
      this.tilt = Math.max(-1.4, Math.min(1.4, this.tilt + event.movementY * 0.012));
      this.wake();
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.readColours());
    this.readColours();
  }

  readColours() {
    const style = getComputedStyle(document.documentElement);
    this.colours = Object.fromEntries([["left", "--left"], ["right", "--right"], ["", "--ink"], ["floor", "--rule"]].map(([name, variable]) => [name, style.getPropertyValue(variable).trim()]));
  }

  show(clip) {
    if (clip === this.clip) return;
    this.clip = clip; this.started = performance.now();
    this.wake();
  }

  wake() {
    if (this.running) return;
    this.running = true;
    requestAnimationFrame((now) => this.frame(now));
  }

  frame(now) {
    this.running = false;
    if (!this.clips || this.clip < 0) return;
    const seconds = Math.min(6, Math.max(1, this.map.recorded[this.clip] / 30));
    const phase = this.still ? 0.5 : Math.min(1, (((now - this.started) / 1000) % (seconds + 0.5)) / seconds);
    this.draw(Math.max(0, phase));
    document.getElementById("progress").style.width = `${100 * phase}%`;
    // A page that is scrolled away or in a hidden tab gets no animation frames, and costs nothing.
    if (!this.still) this.wake();
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

class ClipMap {
  constructor(map) {
    this.map = map;
    this.known = map.labels.some((label) => label >= 0);
    this.groups = this.known || !map.predictions ? map.labels : map.predictions;
    this.classes = Math.max(map.classes.length, ...this.groups.map((group) => group + 1));
    this.player = new Player(document.getElementById("figure"), map);
    this.pinned = -1; this.shown = -1;
    this.caption(); this.legend();
    const host = document.getElementById("map");
    redrawOnResize(host, (width) => this.draw(host, width));
    unpack(map).then((clips) => { this.player.clips = clips; this.player.wake(); },
      () => { document.getElementById("progress").parentElement.replaceWith("This browser is too old to unpack the clips."); });
  }

  name(index) { return index < 0 ? "unknown" : this.map.classes[index] ?? `class ${index}`; }

  wrong(clip) { return this.map.predictions !== null && this.map.labels[clip] >= 0 && this.map.labels[clip] !== this.map.predictions[clip]; }

  caption() {
    const shown = this.map.names.length, { total } = this.map;
    const count = shown < total ? `${shown} of the ${total} test clips, taken at even steps` : `All ${total} test clips`;
    const colour = this.known ? "coloured by class" : this.map.predictions ? "coloured by predicted class (the true classes are unknown)" : "whose classes are unknown";
    document.getElementById("map-caption").textContent = `${count}, placed by t-SNE of their features, ${colour}.`;
  }

  legend() {
    const host = document.getElementById("legend");
    const present = [...new Set(this.groups)].filter((group) => group >= 0).sort((a, b) => a - b);
    let kept = null;
    const focus = (group) => this.circles.forEach((circle, i) => circle.classList.toggle("dim", group !== null && this.groups[i] !== group));
    for (const group of present) {
      const button = make("button", { type: "button" }, make("span", { class: "swatch", style: `background:${classColour(group, this.classes)}` }), this.name(group));
      button.addEventListener("pointerenter", () => focus(group));
      button.addEventListener("pointerleave", () => focus(kept));
      button.addEventListener("click", () => {
        kept = kept === group ? null : group;
        for (const other of host.querySelectorAll("button")) other.classList.toggle("on", other === button && kept === group);
        focus(kept);
      });
      host.append(button);
    }
    if (this.groups.includes(-1)) host.append(make("span", { class: "remark" }, "grey: class unknown"));
    if (this.map.labels.some((_, i) => this.wrong(i))) host.append(make("span", { class: "remark" }, "outlined: misclassified"));
    if (this.map.sides.some(Boolean)) host.append(make("span", { class: "remark" }, "figure: blue is the left side, orange the right"));
  }

  draw(host, width) {
    const { points } = this.map, height = Math.round(Math.min(width * 0.86, 640)), edge = 22;
    const spanX = Math.max(...points.map(([x]) => Math.abs(x))) || 1, spanY = Math.max(...points.map(([, y]) => Math.abs(y))) || 1;
    const scale = Math.min((width / 2 - edge) / spanX, (height / 2 - edge) / spanY);
    const radius = Math.max(2.6, Math.min(5, 60 / Math.sqrt(points.length) + 1.2));
    this.places = points.map(([x, y]) => [width / 2 + x * scale, height / 2 - y * scale]);
    this.circles = this.places.map(([cx, cy], i) => make("circle", { cx, cy, r: radius, class: this.wrong(i) ? "wrong" : "", style: `fill:${classColour(this.groups[i], this.classes)}` }));
    this.ring = make("circle", { class: "ring", r: radius + 4, visibility: "hidden" });
    const svg = make("svg", { width, height, role: "img", "aria-label": "map of the test clips" }, ...this.circles, this.ring);
    const nearest = (event) => {
      const box = svg.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
      let best = -1, distance = 18 ** 2;
      this.places.forEach(([px, py], i) => { const d = (px - x) ** 2 + (py - y) ** 2; if (d < distance) { distance = d; best = i; } });
      return best;
    };
    svg.addEventListener("pointermove", (event) => { const clip = nearest(event); if (clip >= 0 && this.pinned < 0) this.show(clip); });
    svg.addEventListener("click", (event) => { const clip = nearest(event); this.pinned = clip === this.pinned ? -1 : clip; this.show(clip >= 0 ? clip : this.shown); });
    host.replaceChildren(svg);
    this.show(this.shown >= 0 ? this.shown : 0);
  }

  show(clip) {
    this.shown = clip;
    this.ring.setAttribute("cx", this.places[clip][0]); this.ring.setAttribute("cy", this.places[clip][1]);
    this.ring.setAttribute("visibility", "visible");
    this.ring.setAttribute("stroke-dasharray", this.pinned === clip ? "" : "3 2");
    const { map } = this;
    const rows = [["clip", map.names[clip]], ["class", this.name(map.labels[clip])]];
    if (map.predictions) rows.push(["predicted", this.name(map.predictions[clip]), this.wrong(clip) ? "wrong" : ""]);
    rows.push(["frames", String(map.recorded[clip])]);
    if (this.pinned === clip) rows.push(["", "kept; click it again to let go"]);
    document.getElementById("clip").replaceChildren(...rows.flatMap(([term, value, kind]) => [make("dt", {}, term), make("dd", { class: kind ?? "" }, value)]));
    this.player.show(clip);
  }
}

if (DATA.map) new ClipMap(DATA.map);
