// Some clips side by side, in step: the player of all pages, with buttons for frames and a choice of speeds.
export default {
  template: `
    <div class="clip-player">
      <ul class="figures" ref="figures"></ul>
      <div class="controls">
        <button type="button" ref="play">{{ texts.play }}</button>
        <button type="button" :aria-label="texts.back" @click="player?.step(-1)">&#8249;</button>
        <input type="range" ref="position" min="0" max="1000" value="0" :aria-label="texts.position">
        <button type="button" :aria-label="texts.forward" @click="player?.step(1)">&#8250;</button>
        <select :aria-label="texts.speed" @change="faster">
          <option value="0.25">&#188;</option><option value="0.5">&#189;</option><option value="1" selected>1&times;</option><option value="2">2&times;</option>
        </select>
        <label><input type="checkbox" checked @change="loop"> {{ texts.loop }}</label>
      </div>
    </div>`,
  props: { clips: Array, notes: Array, texts: Object, open: Boolean },
  mounted() { this.slots_ = []; this.fetchClips(); },
  watch: {
    clips(now, before) { if (String(now) !== String(before)) this.fetchClips(); },
    notes() { this.describe(); },
  },
  methods: {
    faster(event) { if (this.player) this.player.speed = Number(event.target.value); },
    loop(event) { if (this.player) this.player.loop = event.target.checked; },
    toggle() { this.player?.play(!this.player.playing); },
    step(frames) { this.player?.step(frames); },
    async fetchClips() {
      const asked = String(this.clips);
      this.$el.classList.toggle("empty", !this.clips.length);
      if (!this.clips.length) return;
      const answer = await fetch(`data/clips/${asked}`);
      if (!answer.ok) return;
      const { figures, cards } = await answer.json();
      const [clips, states] = await Promise.all([unpack(figures), unpackStates(figures)]);
      if (asked !== String(this.clips)) return;
      this.cards = cards;
      this.fit(cards, figures);
      this.player.load(figures, clips, states);
      this.player.show(...cards.map((_, i) => i));
      this.describe();
    },
    // As many canvases as clips; those that are there are kept.
    fit(cards, figures) {
      if (this.slots_.length !== cards.length) {
        this.slots_ = cards.map((_, i) => {
          const canvas = make("canvas", { tabindex: 0, role: "img" }), about = make("div", { class: "about" });
          const parts = this.open ? [canvas, make("button", { type: "button", class: "pick" }, about)] : [canvas, about];
          if (this.open) parts[1].addEventListener("click", () => this.$emit("pick", this.clips[i]));
          return { canvas, about, item: make("li", {}, ...parts) };
        });
        this.$refs.figures.replaceChildren(...this.slots_.map(({ item }) => item));
        this.player = new Player(this.slots_.map(({ canvas }) => canvas), figures, this.$refs.play, this.$refs.position);
      }
    },
    describe() {
      this.cards?.forEach((card, i) => {
        const slot = this.slots_[i];
        if (!slot) return;
        slot.canvas.setAttribute("aria-label", `${this.texts.skeleton} ${card.name}`);
        slot.about.replaceChildren(make("b", {}, card.class || card.name), make("span", {}, card.class ? card.name : ""), make("span", {}, this.notes?.[i] ?? ""));
      });
    },
  },
};
