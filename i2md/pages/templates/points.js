// A map of many points on a canvas: pan, zoom, lasso and box, the point below the pointer, names of groups.
// Up to FEW points are drawn as circles; more are written into the pixels, 100,000 of them in some milliseconds without
// a graphics card.
const FEW = 4000, UNKNOWN = 0xffff, HIDDEN = 0xfffe;

// The bytes of a CSS colour, also of a variable, as one number in the order of pixels.
const resolver = make("canvas", { width: 1, height: 1 }).getContext("2d", { willReadFrequently: true });
function pixelOf(colour, host) {
  host.style.color = colour;
  resolver.fillStyle = getComputedStyle(host).color;
  host.style.color = "";
  resolver.fillRect(0, 0, 1, 1);
  const [r, g, b] = resolver.getImageData(0, 0, 1, 1).data;
  return ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
}

class PointMap {
  // `told` has hover(index), pick(index) and select(indices): what the person does; index -1 is none.
  constructor(canvas, told) {
    Object.assign(this, { canvas, told, xy: new Float32Array(0), codes: new Uint16Array(0), colours: [], names: [], mode: "pan" });
    Object.assign(this, { selected: new Uint8Array(0), chosen: 0, current: -1, hovered: -1, titles: [], path: null, pointers: new Map(), stale: true, layer: make("canvas") });
    this.view = { x: 0, y: 0, scale: 1 };
    this.probe = canvas.parentElement;
    new ResizeObserver(() => this.resized()).observe(canvas);
    DARK.addEventListener("change", () => { this.colour(); this.wake(); });
    canvas.addEventListener("wheel", (event) => { event.preventDefault(); this.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0016)), ...this.at(event)); }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (event) => this.up(event));
    canvas.addEventListener("pointerleave", (event) => { if (event.pointerType !== "touch") this.hover(-1); });
    canvas.addEventListener("keydown", (event) => this.press(event));
  }

  give(xy) {
    this.xy = xy;
    const count = xy.length / 2, cells = Math.max(1, Math.min(512, Math.round(Math.sqrt(count / 3))));
    if (this.selected.length !== count) this.selected = new Uint8Array(count);
    // Points by the cell of a grid that they lie in, to find those near a place.
    const of = new Uint32Array(count), starts = new Uint32Array(cells * cells + 1);
    const cell = (value) => Math.max(0, Math.min(cells - 1, Math.floor((value + 1) * 0.5 * cells)));
    for (let i = 0; i < count; i++) { of[i] = cell(xy[2 * i + 1]) * cells + cell(xy[2 * i]); starts[of[i] + 1]++; }
    for (let c = 0; c < cells * cells; c++) starts[c + 1] += starts[c];
    const order = new Uint32Array(count), next = starts.slice();
    for (let i = 0; i < count; i++) order[next[of[i]]++] = i;
    this.grid = { cells, cell, starts, order };
    this.fit();
  }

  // A colour for each code; `names` are written beside the points of their codes.
  paint(codes, colours, names) {
    Object.assign(this, { codes, css: colours, names });
    this.colour();
    this.layOut();
    this.wake();
  }

  colour() {
    this.pixels = Uint32Array.from((this.css ?? []).map((colour) => pixelOf(colour, this.probe)));
    [this.grey, this.ink, this.ground] = ["var(--point)", "var(--ink)", "var(--card)"].map((colour) => pixelOf(colour, this.probe));
    const style = getComputedStyle(this.probe);
    this.style = Object.fromEntries(["--ink", "--card", "--soft", "--accent", "--point"].map((name) => [name, style.getPropertyValue(name).trim()]));
  }

  // Above the middle of the points of each code: the median across, and the height below which three quarters are.
  layOut() {
    const places = this.names.map(() => [[], []]);
    for (let i = 0; i < this.codes.length; i++) {
      const of = places[this.codes[i]];
      if (of) { of[0].push(this.xy[2 * i]); of[1].push(this.xy[2 * i + 1]); }
    }
    const quantile = (values, share) => (values.length ? Float32Array.from(values).sort()[Math.floor((values.length - 1) * share)] : 0);
    this.titles = places.map((of, code) => ({ code, size: of[0].length, x: quantile(of[0], 0.5), y: quantile(of[1], 0.75) }));
    this.titles = this.titles.filter(({ size }) => size).sort((a, b) => b.size - a.size).slice(0, 80);
  }

  select(indices) {
    this.selected.fill(0);
    for (const i of indices) this.selected[i] = 1;
    this.chosen = indices.length;
    this.wake();
  }

  show(index, follow = false) {
    this.current = index;
    if (follow && index >= 0 && this.width) {
      const [x, y] = this.place(index);
      if (x < 20 || y < 20 || x > this.width - 20 || y > this.height - 20) { Object.assign(this.view, { x: this.xy[2 * index], y: this.xy[2 * index + 1] }); this.stale = true; }
    }
    this.wake(false);
  }

  resized() {
    const { clientWidth, clientHeight } = this.canvas, scale = devicePixelRatio || 1, first = !this.width;
    if (!clientWidth || (clientWidth === this.width && clientHeight === this.height)) return;
    Object.assign(this, { width: clientWidth, height: clientHeight, dots: scale });
    for (const canvas of [this.canvas, this.layer]) { canvas.width = Math.round(clientWidth * scale); canvas.height = Math.round(clientHeight * scale); }
    this.image = null;
    if (first) this.fit();
    this.wake();
  }

  fit() {
    this.view = { x: 0, y: 0, scale: 0.46 * Math.min(this.width || 1, this.height || 1) };
    this.wake();
  }

  place(i) {
    return [this.width / 2 + (this.xy[2 * i] - this.view.x) * this.view.scale, this.height / 2 - (this.xy[2 * i + 1] - this.view.y) * this.view.scale];
  }

  at(event) {
    const box = this.canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  // What lies at (x, y) stays there.
  zoom(by, x = this.width / 2, y = this.height / 2) {
    const { view } = this, least = 0.2 * Math.min(this.width, this.height), scale = Math.max(least, Math.min(least * 5000, view.scale * by));
    view.x += (x - this.width / 2) * (1 / view.scale - 1 / scale);
    view.y -= (y - this.height / 2) * (1 / view.scale - 1 / scale);
    view.scale = scale;
    this.moving();
  }

  pan(dx, dy) {
    this.view.x -= dx / this.view.scale; this.view.y += dy / this.view.scale;
    this.moving();
  }

  // While the map moves, of very many points only some are drawn.
  moving() {
    this.coarse = true;
    clearTimeout(this.still);
    this.still = setTimeout(() => { this.coarse = false; this.wake(); }, 120);
    this.wake();
  }

  down(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, this.at(event));
    this.began = this.at(event);
    const mode = event.shiftKey ? "lasso" : event.altKey ? "box" : this.mode;
    this.path = this.pointers.size === 1 && mode !== "pan" ? { mode, points: [this.began] } : null;
  }

  move(event) {
    const [x, y] = this.at(event), before = this.pointers.get(event.pointerId);
    if (!before) { this.hover(this.nearest(x, y)); return; }
    if (this.pointers.size === 2) {
      const [other] = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
      const span = (at) => Math.hypot(at[0] - other[0], at[1] - other[1]) || 1;
      this.zoom(span([x, y]) / span(before), other[0], other[1]);
    } else if (this.path) {
      if (this.path.mode === "box") this.path.points = [this.began, [x, this.began[1]], [x, y], [this.began[0], y]];
      else this.path.points.push([x, y]);
      this.wake(false);
    } else this.pan(x - before[0], y - before[1]);
    this.pointers.set(event.pointerId, [x, y]);
  }

  up(event) {
    if (!this.pointers.delete(event.pointerId)) return;
    const [x, y] = this.at(event), { path } = this;
    this.path = null;
    if (event.type === "pointercancel") { this.wake(false); return; }
    if (Math.hypot(x - this.began[0], y - this.began[1]) < 4 && (path?.points.length ?? 0) < 12) this.told.pick(this.nearest(x, y, event.pointerType === "touch" ? 22 : 12));
    else if (path) { const inside = this.inside(path.points); this.select(inside); this.told.select(inside); }
    this.wake(false);
  }

  hover(index) {
    if (index === this.hovered) return;
    this.hovered = index;
    this.told.hover(index);
    this.wake(false);
  }

  // The visible point nearest to a place of the canvas, -1 if none is within `reach` of it.
  nearest(x, y, reach = 10) {
    if (!this.grid) return -1;
    const { cells, cell, starts, order } = this.grid, { view } = this;
    const px = view.x + (x - this.width / 2) / view.scale, py = view.y - (y - this.height / 2) / view.scale, r = reach / view.scale;
    let best = -1, least = r * r;
    for (let row = cell(py - r); row <= cell(py + r); row++) {
      for (let k = starts[row * cells + cell(px - r)]; k < starts[row * cells + cell(px + r) + 1]; k++) {
        const i = order[k], distance = (this.xy[2 * i] - px) ** 2 + (this.xy[2 * i + 1] - py) ** 2;
        if (distance < least && this.codes[i] !== HIDDEN) { least = distance; best = i; }
      }
    }
    return best;
  }

  // The visible points within a closed path.
  inside(path) {
    const found = [], n = path.length, xs = path.map(([x]) => x), ys = path.map(([, y]) => y);
    const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    for (let i = 0; i < this.codes.length; i++) {
      if (this.codes[i] === HIDDEN) continue;
      const [x, y] = this.place(i);
      if (x < left || x > right || y < top || y > bottom) continue;
      let odd = false;
      for (let a = 0, b = n - 1; a < n; b = a++) {
        if (ys[a] > y !== ys[b] > y && x < ((xs[b] - xs[a]) * (y - ys[a])) / (ys[b] - ys[a]) + xs[a]) odd = !odd;
      }
      if (odd) found.push(i);
    }
    return found;
  }

  press(event) {
    const step = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (step) this.pan(step[0] * 60, step[1] * 60);
    else if (event.key === "+" || event.key === "=") this.zoom(1.3);
    else if (event.key === "-") this.zoom(1 / 1.3);
    else if (event.key === "Home") this.fit();
    else return;
    event.preventDefault(); event.stopPropagation();
  }

  // The points are drawn anew only where they have changed; the rings, names and paths above them always.
  wake(stale = true) {
    this.stale ||= stale;
    this.waiting ??= requestAnimationFrame(() => { this.waiting = null; this.draw(); });
  }

  draw() {
    if (!this.width || !this.style) return;
    const pen = this.canvas.getContext("2d"), started = performance.now(), count = this.codes.length;
    if (this.stale) this.drawPoints();
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, this.canvas.width, this.canvas.height);
    pen.drawImage(this.layer, 0, 0);
    pen.scale(this.dots, this.dots);
    this.drawTitles(pen);
    for (const [index, dash] of [[this.hovered, [3, 2]], [this.current, []]]) if (index >= 0 && index < count) this.drawRing(pen, index, dash);
    if (this.path) this.drawPath(pen);
    this.spent = performance.now() - started;
  }

  drawPoints() {
    const pen = this.layer.getContext("2d"), few = this.codes.length <= FEW;
    const zoomed = this.view.scale / (0.46 * Math.min(this.width, this.height));
    this.radius = Math.max(1, Math.min(7, (few ? 60 / Math.sqrt(this.codes.length || 1) + 1.6 : 1.2) * Math.min(2.5, Math.sqrt(Math.max(1, zoomed)))));
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, this.layer.width, this.layer.height);
    if (few) { pen.scale(this.dots, this.dots); this.drawCircles(pen); } else this.drawPixels(pen);
    this.stale = false;
  }

  drawCircles(pen) {
    for (const front of [0, 1]) for (let i = 0; i < this.codes.length; i++) {
      const code = this.codes[i], coloured = code < HIDDEN ? 1 : 0;
      if (code === HIDDEN || (coloured | this.selected[i]) !== front) continue;
      const [x, y] = this.place(i);
      pen.globalAlpha = this.chosen && !this.selected[i] ? 0.3 : 1;
      pen.fillStyle = coloured ? this.colourOf(code) : this.style["--point"];
      pen.beginPath(); pen.arc(x, y, this.radius, 0, 2 * Math.PI); pen.fill();
      pen.strokeStyle = this.style[this.selected[i] ? "--ink" : "--card"]; pen.lineWidth = this.selected[i] ? 1.4 : 0.7; pen.stroke();
    }
    pen.globalAlpha = 1;
  }

  colourOf(code) {
    const value = this.pixels[Math.min(code, this.pixels.length - 1)] ?? this.grey;
    return `rgb(${value & 255} ${(value >> 8) & 255} ${(value >> 16) & 255})`;
  }

  drawPixels(pen) {
    const { width, height } = this.canvas;
    this.image ??= pen.createImageData(width, height);
    const buffer = this.buffer?.buffer === this.image.data.buffer ? this.buffer : (this.buffer = new Uint32Array(this.image.data.buffer));
    buffer.fill(0);
    const r = Math.max(1, Math.round(this.radius * this.dots)), disc = [];
    for (let dy = -r; dy <= r; dy++) for (let dx = -r; dx <= r; dx++) if (dx * dx + dy * dy <= r * r + 0.3 * r) disc.push(dy * width + dx);
    const scale = this.view.scale * this.dots, left = width / 2 - this.view.x * scale, top = height / 2 + this.view.y * scale;
    const step = this.coarse ? Math.max(1, Math.ceil(this.codes.length / 120000)) : 1, { xy, codes, selected, pixels, chosen } = this;
    for (const front of [0, 1]) for (let i = 0; i < codes.length; i += step) {
      const code = codes[i], known = code < HIDDEN;
      if (code === HIDDEN || (chosen ? selected[i] : known ? 1 : 0) !== front) continue;
      const x = Math.round(left + xy[2 * i] * scale), y = Math.round(top - xy[2 * i + 1] * scale);
      if (x < r || y < r || x >= width - r || y >= height - r) continue;
      const colour = chosen && !selected[i] ? this.grey & 0x66ffffff : known ? pixels[code < pixels.length ? code : pixels.length - 1] : this.grey, middle = y * width + x;
      for (const offset of disc) buffer[middle + offset] = colour;
    }
    pen.putImageData(this.image, 0, 0);
  }

  drawTitles(pen) {
    const taken = [];
    pen.font = "600 12px system-ui, sans-serif"; pen.textAlign = "center"; pen.textBaseline = "middle"; pen.lineJoin = "round";
    for (const { code, x, y } of this.titles) {
      const text = this.names[code].length > 28 ? `${this.names[code].slice(0, 27)}\u2026` : this.names[code];
      const half = pen.measureText(text).width / 2 + 3, at = [this.width / 2 + (x - this.view.x) * this.view.scale, this.height / 2 - (y - this.view.y) * this.view.scale - this.radius - 10];
      const box = [at[0] - half, at[0] + half, at[1] - 9, at[1] + 9];
      if (box[0] < 0 || box[1] > this.width || box[2] < 0 || box[3] > this.height) continue;
      if (taken.some((other) => box[0] < other[1] && other[0] < box[1] && box[2] < other[3] && other[2] < box[3])) continue;
      taken.push(box);
      pen.strokeStyle = this.style["--card"]; pen.lineWidth = 3.5; pen.strokeText(text, ...at);
      pen.fillStyle = this.style["--ink"]; pen.fillText(text, ...at);
    }
  }

  drawRing(pen, index, dash) {
    pen.strokeStyle = this.style[dash.length ? "--ink" : "--accent"]; pen.lineWidth = dash.length ? 1.6 : 3; pen.setLineDash(dash);
    pen.beginPath(); pen.arc(...this.place(index), this.radius + 5, 0, 2 * Math.PI); pen.stroke();
    pen.setLineDash([]);
  }

  drawPath(pen) {
    pen.beginPath();
    this.path.points.forEach(([x, y], i) => pen[i ? "lineTo" : "moveTo"](x, y));
    pen.closePath();
    pen.strokeStyle = this.style["--accent"]; pen.lineWidth = 1.5; pen.stroke();
    pen.globalAlpha = 0.1; pen.fillStyle = this.style["--accent"]; pen.fill(); pen.globalAlpha = 1;
  }
}
