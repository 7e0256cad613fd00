// As many groups as have a colour each; of more, those that are chosen are coloured, and all others grey.
const COLOURS = 6;

class ClipMap {
  constructor(map) {
    this.map = map;
    const known = map.labels.some((label) => label >= 0), clusters = map.clusters;
    this.kind = clusters ? "cluster" : known || !map.predictions ? "class" : "predicted class";
    this.groups = clusters ? clusters.assigned : this.kind === "class" ? map.labels : map.predictions;
    [this.names, this.short] = clusters ? [clusters.names, clusters.names] : [map.classes, map.short];
    this.present = [...new Set(this.groups)].filter((group) => group >= 0).sort((a, b) => a - b);
    this.few = this.present.length <= COLOURS;
    this.slots = new Map(this.few ? this.present.map((group, slot) => [group, slot]) : []);
    this.chosen = new Set();
    this.buttons = new Map();
    this.player = new Player([document.getElementById("figure")], map, document.getElementById("play"), document.getElementById("position"));
    this.kept = -1;
    // A mistake says more than a clip that was recognised.
    this.shown = Math.max(0, map.names.findIndex((_, clip) => this.wrong(clip)));
    this.caption(); this.legend();
    const host = document.getElementById("map");
    redrawOnResize(host, (width) => this.draw(host, width));
    for (const button of document.querySelectorAll("button[data-clip]")) button.addEventListener("click", () => {
      this.keep(Number(button.dataset.clip));
      this.player.figures[0].canvas.scrollIntoView({ block: "nearest" });
    });
    unpack(map).then((clips) => this.player.give(clips),
      () => { document.getElementById("position").parentElement.replaceWith("This browser is too old to unpack the clips."); });
  }

  name(index) { return this.map.classes[index] ?? "unknown"; }

  wrong(clip) { return this.map.predictions !== null && this.map.labels[clip] >= 0 && this.map.labels[clip] !== this.map.predictions[clip]; }

  describe(clip) {
    const { map } = this, rows = [["clip", map.names[clip]]];
    if (map.clusters) rows.push(["cluster", String(map.clusters.assigned[clip] + 1)]);
    if (map.labels[clip] >= 0 || !map.clusters) rows.push(["class", this.name(map.labels[clip])]);
    if (map.predictions) rows.push(["predicted", this.name(map.predictions[clip]), this.wrong(clip) ? "wrong" : ""]);
    return [...rows, ["frames", String(map.recorded[clip])]];
  }

  caption() {
    const shown = this.map.names.length, { total } = this.map;
    const count = shown < total ? `${shown} of the ${total} clips, taken at even steps` : `All ${total} clips`;
    const colour = !this.present.length ? "whose classes are unknown" : this.few ? `coloured by ${this.kind}` : `labelled by ${this.kind}; those of the clip that is shown are coloured`;
    const remark = this.kind === "predicted class" ? " (the true classes are unknown)" : "";
    document.getElementById("map-caption").textContent = `${count}, placed by t-SNE of their features, ${colour}${remark}.`;
  }

  // Slot of the group's colour, or -1 for grey.
  slot(group) {
    if (this.chosen.size) return this.chosen.has(group) ? this.slots.get(group) : -1;
    if (this.few) return this.slots.get(group) ?? -1;
    if (group === this.groups[this.shown]) return 0;
    return this.kind === "class" && this.wrong(this.shown) && group === this.map.predictions[this.shown] ? 1 : -1;
  }

  toggle(group) {
    if (this.chosen.delete(group)) {
      if (!this.few) this.slots.delete(group);
    } else if (this.few || this.chosen.size < COLOURS) {
      this.chosen.add(group);
      const taken = [...this.slots.values()];
      if (!this.few) this.slots.set(group, [...Array(COLOURS).keys()].find((slot) => !taken.includes(slot)));
    }
    this.paint();
  }

  legend() {
    const host = document.getElementById("legend"), remarks = [];
    if (this.map.labels.some((_, clip) => this.wrong(clip))) remarks.push("Hollow points are misclassified.");
    if (!this.few && this.kind === "class" && this.map.predictions) remarks.push("Of a misclassified clip the predicted class is coloured, too.");
    if (this.groups.includes(-1)) remarks.push("Clips of unknown class are grey.");
    if (this.map.sides.some(Boolean)) remarks.push("Of the skeleton, blue is the left side and orange the right.");
    if (remarks.length) host.append(make("p", { class: "remark" }, remarks.join(" ")));
    if (this.present.length < 2) return;
    this.clear = make("button", { type: "button", class: "clear" }, "clear");
    this.clear.addEventListener("click", () => { for (const group of [...this.chosen]) this.toggle(group); });
    for (const group of this.present) {
      const button = make("button", { type: "button", "aria-pressed": "false" }, make("span", { class: "swatch" }), this.names[group]);
      button.addEventListener("click", () => this.toggle(group));
      this.buttons.set(group, button);
    }
    const plural = this.kind === "cluster" ? "clusters" : "classes", most = this.few ? "" : `, ${COLOURS} at most`;
    const choices = make("details", {}, make("summary", {}, `Highlight ${plural}${most}`), make("div", { class: "choices" }, ...this.buttons.values(), this.clear));
    choices.open = this.few || innerWidth > 820;
    host.append(choices);
  }

  draw(host, width) {
    const { points } = this.map, height = Math.round(Math.min(Math.max(width * 0.86, 340), 640)), edge = 26;
    const spanX = Math.max(...points.map(([x]) => Math.abs(x))) || 1, spanY = Math.max(...points.map(([, y]) => Math.abs(y))) || 1;
    const scale = Math.min((width / 2 - edge) / spanX, (height / 2 - edge) / spanY);
    this.radius = Math.max(2.6, Math.min(5, (60 / Math.sqrt(points.length) + 1.2) * (width < 500 ? 0.8 : 1)));
    this.places = points.map(([x, y]) => [width / 2 + x * scale, height / 2 - y * scale]);
    this.circles = this.places.map(([cx, cy], clip) => make("circle", { cx, cy, r: this.radius, role: "option", tabindex: -1, "aria-label": this.describe(clip).map(([term, value]) => `${term} ${value}`).join(", ") }));
    this.ring = make("circle", { class: "ring", r: this.radius + 4.5 });
    this.labels = make("g", { class: "labels", "aria-hidden": "true" });
    this.points = make("g", { class: "points", role: "listbox", "aria-label": "clips" }, ...this.circles);
    this.layOut(width, height);
    const svg = make("svg", { width, height }, this.points, this.labels, this.ring);
    const nearest = (event) => {
      const box = svg.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
      let best = -1, distance = 18 ** 2;
      this.places.forEach(([px, py], i) => { const d = (px - x) ** 2 + (py - y) ** 2; if (d < distance) { distance = d; best = i; } });
      return best;
    };
    svg.addEventListener("pointermove", (event) => { const clip = nearest(event); if (clip >= 0 && this.kept < 0) this.show(clip); });
    svg.addEventListener("click", (event) => { const clip = nearest(event); if (clip >= 0 && clip !== this.kept) this.keep(clip); else this.release(); });
    this.points.addEventListener("keydown", (event) => this.press(event));
    this.points.addEventListener("focusin", (event) => {
      const clip = this.circles.indexOf(event.target);
      if (clip >= 0 && event.target.matches(":focus-visible") && clip !== this.shown) { this.kept = -1; this.show(clip); }
    });
    host.replaceChildren(svg);
    this.show(this.shown);
  }

  // Each group's name above the middle half of its points, the largest group first; a name that would cover another is
  // left out until its group is highlighted.
  layOut(width, height) {
    const pen = make("canvas").getContext("2d");
    pen.font = `600 12px ${getComputedStyle(document.body).fontFamily}`;
    const quantile = (values, share) => values.sort((a, b) => a - b)[Math.floor((values.length - 1) * share)];
    const members = this.present.map((group) => [group, this.places.filter((_, clip) => this.groups[clip] === group)]);
    this.titles = [];
    for (const [group, places] of members.sort((a, b) => b[1].length - a[1].length)) {
      const half = pen.measureText(this.short[group]).width / 2 + 3;
      const x = Math.max(half, Math.min(width - half, quantile(places.map(([px]) => px), 0.5)));
      const top = Math.max(10, quantile(places.map(([, py]) => py), 0.25) - this.radius - 8);
      const box = (y) => ({ x0: x - half, x1: x + half, y0: y - 8, y1: y + 8 });
      const free = [0, -12, 12, -24, 24].map((shift) => top + shift).find((y) => y > 8 && y < height - 8 && !this.titles.some((other) => other.fits && overlap(other.box, box(y))));
      const y = free ?? top;
      this.titles.push({ group, y, box: box(y), fits: free !== undefined, node: make("text", { x, "text-anchor": "middle", "dominant-baseline": "central" }, this.short[group]) });
    }
  }

  paint() {
    const front = [];
    this.circles.forEach((circle, clip) => {
      const slot = this.slot(this.groups[clip]), colour = slot < 0 ? "var(--point)" : `var(--s${slot})`;
      circle.setAttribute("style", this.wrong(clip) ? `fill:var(--card);stroke:${colour};stroke-width:1.8` : `fill:${colour}`);
      if (slot >= 0) front.push(circle);
    });
    // Moving the circle that has the focus would take it away.
    if (!this.few && !this.points.contains(document.activeElement)) this.points.append(...front);
    const bold = (title) => !this.few && this.slot(title.group) >= 0;
    const above = this.titles.filter(bold);
    for (const { box, node, y } of this.titles) { box.y0 = y - 8; box.y1 = y + 8; node.setAttribute("y", y); }
    // Names that are highlighted are all shown, one below the other where they would cover one another.
    above.forEach((title, i) => {
      while (above.slice(0, i).some((other) => overlap(other.box, title.box))) {
        title.box.y0 += 4; title.box.y1 += 4;
      }
      title.node.setAttribute("y", title.box.y0 + 8);
    });
    const others = this.titles.filter((title) => title.fits && !bold(title) && !above.some((other) => overlap(other.box, title.box)));
    for (const { group, node } of this.titles) {
      const slot = this.slot(group);
      node.setAttribute("style", slot < 0 ? "" : `fill:var(--s${slot})`);
      node.setAttribute("class", slot < 0 ? "" : "on");
    }
    this.labels.replaceChildren(...[...others, ...above].map((title) => title.node));
    if (this.clear) this.clear.hidden = !this.chosen.size;
    for (const [group, button] of this.buttons) {
      const slot = this.slot(group);
      button.setAttribute("aria-pressed", String(this.chosen.has(group)));
      button.disabled = !this.few && this.chosen.size >= COLOURS && !this.chosen.has(group);
      button.firstChild.setAttribute("style", slot < 0 ? "" : `background:var(--s${slot})`);
    }
    for (const swatch of document.querySelectorAll("[data-cluster]")) {
      const slot = this.slot(Number(swatch.dataset.cluster));
      swatch.setAttribute("style", slot < 0 ? "" : `background:var(--s${slot})`);
    }
  }

  press(event) {
    const [x, y] = this.places[this.shown], last = this.places.length - 1;
    const direction = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    let to = { Home: 0, End: last, PageDown: Math.min(last, this.shown + 1), PageUp: Math.max(0, this.shown - 1) }[event.key] ?? -1;
    if (direction) {
      let least = Infinity;
      this.places.forEach(([px, py], clip) => {
        const along = (px - x) * direction[0] + (py - y) * direction[1];
        const aside = Math.abs((px - x) * direction[1]) + Math.abs((py - y) * direction[0]);
        if (clip !== this.shown && along > 0 && along + 2 * aside < least) { least = along + 2 * aside; to = clip; }
      });
    } else if (event.key === "Enter" || event.key === " ") this.keep(this.shown);
    else if (event.key === "Escape") this.release();
    else if (to < 0) return;
    event.preventDefault();
    if (to >= 0) this.circles[to].focus();
  }

  keep(clip) { this.kept = clip; this.show(clip); this.player.restart(); }

  release() { this.kept = -1; this.show(this.shown); }

  show(clip) {
    this.circles[this.shown].setAttribute("tabindex", -1);
    this.shown = clip;
    const [x, y] = this.places[clip];
    this.ring.setAttribute("cx", x); this.ring.setAttribute("cy", y);
    this.ring.setAttribute("stroke-dasharray", this.kept === clip ? "" : "3 2");
    this.circles.forEach((circle, i) => circle.setAttribute("aria-selected", String(i === this.kept)));
    this.circles[clip].setAttribute("tabindex", 0);
    const rows = this.describe(clip);
    if (this.kept === clip) rows.push(["kept", "until it is clicked again"]);
    document.getElementById("clip").replaceChildren(...rows.flatMap(([term, value, kind]) => [make("dt", {}, term), make("dd", { class: kind ?? "" }, value)]));
    this.paint();
    this.player.show(clip);
  }
}

const overlap = (a, b) => a.x0 < b.x1 && b.x0 < a.x1 && a.y0 < b.y1 && b.y0 < a.y1;

if (DATA.map) new ClipMap(DATA.map);
