const INTERVAL_COLOURS = 8;

const textPen = document.createElement("canvas").getContext("2d");
textPen.font = `11.5px ${getComputedStyle(document.body).fontFamily}`;
const textWidth = (text) => textPen.measureText(text).width;

// A long recording: its persons, and its time as lanes of labelled intervals, missing joints and absence.
class Timeline {
  constructor(host, { figures, recordings, classes }, number) {
    const recording = recordings[number];
    Object.assign(this, { recording, classes, present: [...new Set(recordings.flatMap((each) => [...each.intervals, ...each.labelled].map((at) => at[2])))].sort((a, b) => a - b) });
    const canvas = make("canvas", { role: "img", tabindex: 0, "aria-label": `skeleton of ${recording.name}; arrow keys turn it` });
    const button = make("button", { type: "button", "aria-label": `play ${recording.name}` });
    const slider = make("input", { type: "range", min: 0, max: 10000, value: 0, "aria-label": `time in ${recording.name}` });
    this.now = make("p", { class: "at" });
    this.slider = slider;
    this.lanes = make("div", { class: "lanes" });
    const right = make("div", {}, make("h3", {}, recording.name), this.now, this.lanes, make("div", { class: "controls" }, button, slider));
    const block = make("div", { class: "timeline", role: "group", "aria-label": recording.name }, make("div", {}, canvas), right);
    if (recording.intervals.length) right.append(this.table());
    host.append(block);
    this.player = new Player([canvas], figures, button, slider);
    this.player.play(false);
    this.player.moved = (phase) => this.move(phase);
    this.player.show(number);
    this.player.phase = 0;
    redrawOnResize(this.lanes, (width) => this.draw(width));
    this.move(0);
  }

  name(label) { return this.classes[label] ?? (label < 0 ? "no label" : `class ${label}`); }

  colour(label) { return `var(--s${this.present.indexOf(label) % INTERVAL_COLOURS})`; }

  // Of a prediction also its probability.
  text([, , label, confidence]) { return this.name(label) + (confidence === undefined ? "" : ` ${Math.round(100 * confidence)} %`); }

  at(time) { return this.recording.intervals.find(([start, end]) => start <= time && time < end); }

  go(time) {
    this.player.phase = Math.max(0, Math.min(1, time / this.recording.seconds));
    // Not only with the next frame: keys change the slider from where it is.
    this.slider.value = this.slider.max * this.player.phase;
    this.player.wake();
    this.move(this.player.phase);
  }

  move(phase) {
    const time = phase * this.recording.seconds, inside = this.at(time);
    const text = `${clock(time)} of ${clock(this.recording.seconds)}${inside ? ` \u00b7 ${this.text(inside)}` : ""}`;
    this.now.textContent = text;
    this.slider.setAttribute("aria-valuetext", text);
    if (!this.cursor) return;
    for (const side of ["x1", "x2"]) this.cursor.setAttribute(side, phase * this.width);
    this.bars.forEach((bar, i) => bar.classList.toggle("now", this.recording.intervals[i] === inside));
  }

  draw(width) {
    const { recording } = this, x = (time) => (time / recording.seconds) * width;
    this.width = width;
    const named = recording.intervals.length > 0, compared = recording.labelled.length > 0, names = this.placeNames(width, x);
    const below = named ? 32 + 14 * Math.max(1, ...names.map(({ row }) => row + 1)) : 4, top = below + (compared ? 32 : 0), lanes = [];
    if (recording.missing.some(Boolean)) lanes.push(["joints missing", recording.missing, "--missing"]);
    if (recording.absent.some(Boolean)) lanes.push(["nobody in sight", recording.absent, "--point"]);
    const height = top + 22 * lanes.length + 22;
    const svg = make("svg", { width, height, "aria-hidden": "true" });
    if (named) svg.append(make("rect", { class: "lane", x: 0, y: 4, width, height: 20, rx: 3 }));
    this.bars = recording.intervals.map(([start, end, label]) => make("rect", { class: "interval", x: x(start), y: 4, width: Math.max(2, x(end) - x(start)), height: 20, rx: 2, style: `fill:${this.colour(label)}` }));
    svg.append(...this.bars);
    svg.append(...names.map(({ text, left, row }) => make("text", { class: "name", x: left, y: 39 + 14 * row }, text)));
    if (compared) {
      svg.append(make("rect", { class: "lane", x: 0, y: below, width, height: 10, rx: 2 }));
      for (const [start, end, label] of recording.labelled) svg.append(make("rect", { class: "interval", x: x(start), y: below, width: Math.max(2, x(end) - x(start)), height: 10, rx: 2, style: `fill:${this.colour(label)}` }));
      svg.append(make("text", { class: "name", x: 0, y: below + 21 }, "as labelled"));
    }
    lanes.forEach(([title, shares, colour], i) => {
      const y = top + 22 * i, step = width / shares.length;
      svg.append(make("rect", { class: "lane", x: 0, y, width, height: 6, rx: 2 }));
      shares.forEach((share, place) => share && svg.append(make("rect", { x: place * step, y, width: step + 0.3, height: 6, style: `fill:color-mix(in srgb, var(${colour}) ${Math.max(25, share)}%, var(--rule))` })));
      svg.append(make("text", { class: "name", x: 0, y: y + 17 }, title));
    });
    const tick = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600].find((each) => x(each) > 64) ?? 7200;
    for (let time = 0; time <= recording.seconds; time += tick) {
      const at = x(time), anchor = at < 14 ? "start" : at > width - 18 ? "end" : "middle";
      svg.append(make("text", { class: "name", x: at, y: height - 5, "text-anchor": anchor }, clock(time).replace(/\.0$/, "")));
    }
    this.cursor = make("line", { class: "cursor", x1: 0, x2: 0, y1: 0, y2: height - 18 });
    svg.append(this.cursor);
    const time = (event) => ((event.clientX - svg.getBoundingClientRect().left) / width) * recording.seconds;
    const point = (event) => {
      const inside = this.at(time(event));
      if (event.buttons) this.go(time(event));
      if (inside) showTip(event.clientX, event.clientY, this.text(inside), [{ name: `${clock(inside[0])} to ${clock(inside[1])}`, value: seconds(inside[1] - inside[0]), colour: this.colour(inside[2]) }]);
      else hideTip();
    };
    svg.addEventListener("pointermove", point);
    svg.addEventListener("click", (event) => { this.go(time(event)); point(event); });
    svg.addEventListener("pointerleave", (event) => { if (isGone(event)) hideTip(); });
    this.lanes.replaceChildren(svg);
    this.move(this.player.phase);
  }

  // Names stand below their intervals, in two rows where one has no room; those without room in either are left out.
  placeNames(width, x) {
    const free = [0, 0], placed = [];
    for (const [start, end, label] of this.recording.intervals) {
      const text = this.name(label), wide = textWidth(text);
      const left = Math.max(0, Math.min(x((start + end) / 2) - wide / 2, width - wide));
      const row = free.findIndex((until) => until <= left);
      if (row < 0 || wide > width) continue;
      placed.push({ text, left, row });
      free[row] = left + wide + 10;
    }
    return placed;
  }

  table() {
    const rows = this.recording.intervals.map((interval) => {
      const [start, end, label] = interval;
      const button = make("button", { type: "button", "aria-label": `go to ${this.name(label)} at ${clock(start)}` }, clock(start));
      button.addEventListener("click", () => this.go(start));
      return make("tr", {}, make("td", {}, button), make("td", {}, seconds(end - start)), make("td", {}, this.text(interval)));
    });
    const heads = ["start", "length", "class"].map((name) => make("th", { scope: "col" }, name));
    const table = make("table", { class: "settings" }, make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...rows));
    const count = this.recording.intervals.length;
    return make("details", {}, make("summary", {}, `${count} ${this.recording.kind} interval${count === 1 ? "" : "s"}`), make("div", { role: "region", tabindex: 0, "aria-label": `intervals of ${this.recording.name}` }, table));
  }
}

if (DATA.gallery.cards.length) new Cards(DATA.gallery);
if (DATA.timelines.recordings.length) {
  const host = document.getElementById("recordings");
  const blocks = DATA.timelines.recordings.map((_, number) => new Timeline(host, DATA.timelines, number));
  Promise.all([unpack(DATA.timelines.figures), unpackStates(DATA.timelines.figures)]).then(([clips, states]) => {
    for (const { player } of blocks) player.give(clips, states);
  });
}
