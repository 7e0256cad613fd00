// The map of all clips: PointMap with what the server knows of them, and a skeleton that plays at the pointer.
// Which of `count` clips are chosen, a bit each.
const bitsOf = (count, indices) => {
  const bits = new Uint8Array(Math.ceil(count / 8));
  for (const i of indices) bits[i >> 3] |= 1 << (i & 7);
  let text = "";
  for (const byte of bits) text += String.fromCharCode(byte);
  return btoa(text);
};

export default {
  template: `
    <div class="clip-map">
      <canvas ref="points" class="points-canvas" tabindex="0" role="img" :aria-label="label"></canvas>
      <div ref="hover" class="hover-clip" aria-hidden="true" hidden><canvas ref="figure"></canvas><div ref="about"></div></div>
    </div>`,
  props: { points: String, source: String, palette: Array, names: Array, current: Number, follow: Boolean, chosen: String, mode: String, label: String },
  async mounted() {
    this.map = new PointMap(this.$refs.points, {
      hover: (index) => { this.$emit("hover", index); this.later(index); },
      pick: (index) => this.$emit("pick", index),
      select: (indices) => this.$emit("lasso", bitsOf(this.map.codes.length, indices)),
    });
    if (!window.clipMap) Object.assign(window, { clipMap: this.map, clipMapComponent: this });
    this.map.mode = this.mode;
    this.$refs.points.addEventListener("pointermove", (event) => { this.pointer = [event.clientX, event.clientY]; });
    const points = await fetch(this.points);
    this.map.give(new Float32Array(await points.arrayBuffer()));
    this.ready = true;
    await this.recolour();
    this.map.show(this.current, this.follow);
    this.mark();
  },
  watch: {
    source() { this.recolour(); },
    current() { this.map?.show(this.current, this.follow); },
    chosen() { this.mark(); },
    mode() { if (this.map) this.map.mode = this.mode; },
  },
  methods: {
    async recolour() {
      if (!this.ready) return;
      const asked = this.source, codes = await fetch(asked);
      if (!codes.ok || asked !== this.source) return;
      this.map.paint(new Uint16Array(await codes.arrayBuffer()), this.palette, this.names);
      if (!this.painted) { this.painted = true; performance.mark("first-paint-of-map"); this.$emit("painted"); }
    },
    mark() {
      if (!this.ready) return;
      const bits = atob(this.chosen || ""), found = [];
      for (let i = 0; i < bits.length * 8; i++) if (bits.charCodeAt(i >> 3) & (1 << (i & 7))) found.push(i);
      this.map.select(found);
    },
    zoom(by) { this.map.zoom(by); },
    fit() { this.map.fit(); },
    later(index) {
      clearTimeout(this.waiting);
      if (index < 0) { this.$refs.hover.hidden = true; return; }
      this.asked = performance.now();
      this.waiting = setTimeout(() => this.play(index), 25);
    },
    async play(index) {
      const answer = await fetch(`data/clips/${index}`);
      if (!answer.ok || this.map.hovered !== index) return;
      const { figures, cards } = await answer.json();
      const [clips, states] = await Promise.all([unpack(figures), unpackStates(figures)]);
      if (this.map.hovered !== index) return;
      const box = this.$refs.hover, [x, y] = this.pointer ?? [0, 0];
      this.player ??= new Player([this.$refs.figure], figures, make("button"), make("input", { type: "range", max: 1000 }));
      this.$refs.about.replaceChildren(make("b", {}, cards[0].name), cards[0].class);
      box.hidden = false;
      box.style.left = `${Math.max(4, Math.min(x + 18, innerWidth - box.offsetWidth - 8))}px`;
      box.style.top = `${Math.max(4, Math.min(y + 14, innerHeight - box.offsetHeight - 8))}px`;
      this.player.load(figures, clips, states);
      this.player.show(0);
      this.player.restart();
      this.answered = performance.now() - this.asked;
    },
  },
};
