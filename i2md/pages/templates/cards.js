const seconds = (value) => `${value.toFixed(value < 10 ? 2 : 1)} s`;
const clock = (value) => `${Math.floor(value / 60)}:${String(Math.floor(value % 60)).padStart(2, "0")}.${Math.floor((value % 1) * 10)}`;

// The share of missing joints over time, as a row of cells.
function strip(shares) {
  return make("span", { class: "strip", "aria-hidden": "true" }, ...shares.map((share) =>
    make("i", share ? { class: "on", style: `--share:${Math.max(25, share)}%` } : {})));
}

// Recordings in a folder for each class begin with its name, which stands above already.
const nameInClass = ({ name, class: of }) => name.split("/").filter((part, i, parts) => part !== of || i === parts.length - 1).join("/");

// A long path breaks after a slash rather than within a number.
const breakable = (name) => name.split(/(?<=\/)/).flatMap((part, i) => (i ? [make("wbr"), part] : [part]));

class Cards {
  constructor({ figures, cards }) {
    Object.assign(this, { map: figures, cards, speed: 1, waiting: null, visible: new Set() });
    this.playing = !REDUCED.matches;
    // A page has one list of cards, or one for each of its groups.
    const hosts = [...document.querySelectorAll(".cards")];
    for (const host of hosts) host.classList.toggle("pairs", cards.some((card) => card.raw >= 0));
    this.players = cards.map((card, number) => this.card(card, number));
    for (const { item, card } of this.players) hosts[card.group ?? 0].append(item);
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
      () => { hosts[0].replaceChildren(make("li", {}, "This browser is too old to unpack the clips.")); });
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
    if (card.class) about.append(make("span", {}, nameInClass(card)), make("br"));
    about.append(make("span", {}, `${length}${persons}`));
    if (card.note) about.append(make("br"), make("span", { class: "remark" }, card.note));
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
    document.getElementById("large-name").replaceChildren(...breakable(card.name));
    document.getElementById("large-raw").hidden = card.raw < 0;
    document.getElementById("large-caption").hidden = card.raw < 0;
    const rows = [["class", card.class || "no label"], ["length", `${card.frames} frames, ${seconds(card.seconds)}${card.assumed ? ", 30 frames a second assumed" : ""}`]];
    if (card.note) rows.push(["here", card.note]);
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
