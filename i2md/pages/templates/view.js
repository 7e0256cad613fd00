const seconds = (value) => `${value.toFixed(value < 10 ? 2 : 1)} s`;
const clock = (value) => `${Math.floor(value / 60)}:${String(Math.floor(value % 60)).padStart(2, "0")}.${Math.floor((value % 1) * 10)}`;

// The share of missing joints over time, as a row of cells.
function strip(shares) {
  return make("span", { class: "strip", "aria-hidden": "true" }, ...shares.map((share) =>
    make("i", share ? { class: "on", style: `--share:${Math.max(25, share)}%` } : {})));
}

class Cards {
  constructor({ figures, cards }) {
    Object.assign(this, { map: figures, cards, speed: 1, waiting: null, visible: new Set() });
    this.playing = !REDUCED.matches;
    const host = document.getElementById("cards");
    host.classList.toggle("pairs", cards.some((card) => card.raw >= 0));
    this.players = cards.map((card, number) => this.card(card, number));
    host.append(...this.players.map((player) => player.item));
    const seen = new IntersectionObserver((entries) => {
      for (const entry of entries) this.visible[entry.isIntersecting ? "add" : "delete"](this.players.find((player) => player.item === entry.target));
      this.wake();
    }, { rootMargin: "80px" });
    for (const { item } of this.players) seen.observe(item);
    this.button = document.getElementById("play-all");
    this.button.addEventListener("click", () => this.play(!this.playing));
    document.getElementById("speed").addEventListener("change", (event) => { this.speed = Number(event.target.value); });
    this.filter();
    this.large = new Large(this);
    document.getElementById("of-filled").hidden = !cards.some((card) => card.filled);
    document.getElementById("of-missing").hidden = !cards.some((card) => card.missing || (card.raw >= 0 && card.filled));
    this.play(this.playing);
    Promise.all([unpack(figures), unpackStates(figures)]).then(([clips, states]) => this.give(clips, states),
      () => { host.replaceChildren(make("li", {}, "This browser is too old to unpack the clips.")); });
  }

  give(clips, states) {
    for (const { figures } of this.players) for (const figure of figures) Object.assign(figure, { clips, states });
    this.large.player.give(clips, states);
    this.wake();
  }

  card(card, number) {
    const shown = card.raw >= 0 ? [card.raw, card.prepared] : [card.prepared];
    const canvases = shown.map(() => make("canvas", { "aria-hidden": "true" }));
    const length = card.begin === null ? seconds(card.seconds) : `${clock(card.seconds)} long, from ${clock(card.begin)}`;
    const persons = card.persons > 1 ? ` \u00b7 ${card.persons} persons` : "";
    const about = make("span", { class: "about" }, make("b", {}, card.class || card.name));
    if (card.class) about.append(make("span", {}, card.name), make("br"));
    about.append(make("span", {}, `${length}${persons}`));
    if (card.share) about.append(make("br"), make("span", { class: "lacking" }, `${card.share} % of joints not recorded`), strip(card.over_time));
    const button = make("button", { type: "button", "aria-label": `${card.class ? `${card.class}, ` : ""}${card.name}: open` }, make("span", { class: "drawn-pair" }, ...canvases), about);
    button.addEventListener("click", () => this.large.open(number));
    const item = make("li", {}, button);
    const player = { item, card, phase: 0, figures: [] };
    player.figures = canvases.map((canvas, i) => {
      const figure = new Figure(canvas, this.map, () => this.drawOne(player), 2);
      figure.clip = shown[i];
      return figure;
    });
    return player;
  }

  filter() {
    const classes = [...new Set(this.cards.map((card) => card.class))], choice = document.getElementById("class");
    document.getElementById("class-choice").hidden = classes.length < 2;
    choice.append(make("option", { value: "" }, "all"), ...classes.map((name, i) => make("option", { value: i + 1 }, name || "no label")));
    const apply = () => {
      const wanted = Number(choice.value);
      let count = 0;
      for (const { item, card } of this.players) { item.hidden = wanted > 0 && card.class !== classes[wanted - 1]; count += !item.hidden; }
      document.getElementById("count").textContent = wanted ? `${count} of ${this.players.length} shown` : "";
    };
    choice.addEventListener("change", apply);
  }

  play(on) {
    this.playing = on;
    this.button.textContent = on ? "Pause" : "Play";
    this.last = undefined;
    this.wake();
  }

  wake() { this.waiting ??= requestAnimationFrame((now) => this.frame(now)); }

  // Only clips in sight are drawn, and none behind the open dialog.
  frame(now) {
    this.waiting = null;
    const passed = this.last === undefined ? 0 : Math.min(0.1, (now - this.last) / 1000);
    this.last = this.playing ? now : undefined;
    const covered = document.getElementById("large").open;
    for (const player of covered ? [] : this.visible) {
      const duration = this.map.seconds[player.card.prepared];
      if (this.playing) player.phase = (player.phase + passed * this.speed / duration) % (1 + 0.5 / duration);
      this.drawOne(player);
    }
    if (this.playing && !covered && this.visible.size) this.wake();
  }

  drawOne(player) {
    for (const figure of player.figures) figure.draw(Math.min(1, player.phase));
  }
}

// One clip in a dialog: larger, and to be turned and stepped through.
class Large {
  constructor(cards) {
    this.cards = cards;
    this.dialog = document.getElementById("large");
    const raw = document.getElementById("large-raw");
    this.player = new Player([document.getElementById("large-prepared"), raw.querySelector("canvas")], cards.map, document.getElementById("play"), document.getElementById("position"));
    document.getElementById("close").addEventListener("click", () => this.dialog.close());
    this.dialog.addEventListener("click", (event) => { if (event.target === this.dialog) this.dialog.close(); });
    this.dialog.addEventListener("close", () => { this.player.play(false); cards.wake(); });
  }

  open(number) {
    const card = this.cards.cards[number], at = this.cards.players[number];
    document.getElementById("large-name").textContent = card.name;
    document.getElementById("large-raw").hidden = card.raw < 0;
    document.getElementById("large-caption").hidden = card.raw < 0;
    const rows = [["class", card.class || "no label"], ["length", `${card.frames} frames, ${seconds(card.seconds)}${card.assumed ? ", 30 frames a second assumed" : ""}`]];
    if (card.begin !== null) rows.push(["shown", `an excerpt from ${clock(card.begin)} on`]);
    if (card.recorded !== null && card.recorded !== card.frames) rows.push(["recorded", `${card.recorded} frames`]);
    if (card.persons > 1) rows.push(["persons", String(card.persons)]);
    if (card.filled) rows.push(["interpolated", `${card.filled} joint positions`]);
    if (card.missing) rows.push(["missing", `${card.missing} joint positions: ${card.joints.join(", ")}`]);
    document.getElementById("large-facts").replaceChildren(...rows.flatMap(([term, value]) => [make("dt", {}, term), make("dd", {}, value)]));
    this.dialog.showModal();
    this.player.show(card.prepared, card.raw);
    this.player.phase = at.phase;
    this.player.play(this.cards.playing);
  }
}

const INTERVAL_COLOURS = 8;

// A long recording: its persons, and its time as lanes of labelled intervals, missing joints and absence.
class Timeline {
  constructor(host, { figures, recordings, classes }, number) {
    const recording = recordings[number];
    Object.assign(this, { recording, classes, present: [...new Set(recordings.flatMap((each) => each.intervals.map((at) => at[2])))].sort((a, b) => a - b) });
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

  at(time) { return this.recording.intervals.find(([start, end]) => start <= time && time < end); }

  go(time) {
    this.player.phase = Math.max(0, Math.min(1, time / this.recording.seconds));
    this.player.wake();
    this.move(this.player.phase);
  }

  move(phase) {
    const time = phase * this.recording.seconds, inside = this.at(time);
    const text = `${clock(time)} of ${clock(this.recording.seconds)}${inside ? ` \u00b7 ${this.name(inside[2])}` : ""}`;
    this.now.textContent = text;
    this.slider.setAttribute("aria-valuetext", text);
    if (!this.cursor) return;
    for (const side of ["x1", "x2"]) this.cursor.setAttribute(side, phase * this.width);
    this.bars.forEach((bar, i) => bar.classList.toggle("now", this.recording.intervals[i] === inside));
  }

  draw(width) {
    const { recording } = this, x = (time) => (time / recording.seconds) * width;
    this.width = width;
    const named = recording.intervals.length > 0, top = named ? 46 : 4, lanes = [];
    if (recording.missing.some(Boolean)) lanes.push(["joints missing", recording.missing, "--missing"]);
    if (recording.absent.some(Boolean)) lanes.push(["nobody in sight", recording.absent, "--point"]);
    const height = top + 22 * lanes.length + 22;
    const svg = make("svg", { width, height, "aria-hidden": "true" });
    if (named) svg.append(make("rect", { class: "lane", x: 0, y: 4, width, height: 20, rx: 3 }));
    this.bars = recording.intervals.map(([start, end, label]) => make("rect", { class: "interval", x: x(start), y: 4, width: Math.max(2, x(end) - x(start)), height: 20, rx: 2, style: `fill:${this.colour(label)}` }));
    svg.append(...this.bars);
    // Names stand below their intervals, those that have room.
    let free = 0;
    for (const [start, end, label] of recording.intervals) {
      const text = this.name(label), wide = text.length * 6.2;
      const left = Math.max(0, Math.min(x((start + end) / 2) - wide / 2, width - wide));
      if (left < free || wide > width) continue;
      svg.append(make("text", { class: "name", x: left, y: 39 }, text));
      free = left + wide + 8;
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
      if (inside) showTip(event.clientX, event.clientY, this.name(inside[2]), [{ name: `${clock(inside[0])} to ${clock(inside[1])}`, value: seconds(inside[1] - inside[0]), colour: this.colour(inside[2]) }]);
      else hideTip();
    };
    svg.addEventListener("pointermove", point);
    svg.addEventListener("click", (event) => { this.go(time(event)); point(event); });
    svg.addEventListener("pointerleave", (event) => { if (isGone(event)) hideTip(); });
    this.lanes.replaceChildren(svg);
    this.move(this.player.phase);
  }

  table() {
    const rows = this.recording.intervals.map(([start, end, label]) => {
      const button = make("button", { type: "button", "aria-label": `go to ${this.name(label)} at ${clock(start)}` }, clock(start));
      button.addEventListener("click", () => this.go(start));
      return make("tr", {}, make("td", {}, button), make("td", {}, seconds(end - start)), make("td", {}, this.name(label)));
    });
    const heads = ["start", "length", "class"].map((name) => make("th", { scope: "col" }, name));
    const table = make("table", { class: "settings" }, make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...rows));
    const count = this.recording.intervals.length;
    return make("details", {}, make("summary", {}, `${count} labelled interval${count === 1 ? "" : "s"}`), make("div", { role: "region", tabindex: 0, "aria-label": `intervals of ${this.recording.name}` }, table));
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
