// Keys that mean something on the page, unless a field or a dialog has the focus.
export default {
  template: "<div hidden></div>",
  props: { keys: Array, on: Boolean },
  mounted() {
    this.listener = (event) => {
      const at = document.activeElement, undo = (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z";
      if (event.altKey || (!undo && (event.ctrlKey || event.metaKey)) || document.querySelector("dialog[open]")) return;
      if (at?.matches("input:not([type=checkbox]), select, textarea")) return;
      if (at?.matches("button, a, summary, input") && [" ", "Enter"].includes(event.key)) return;
      const key = undo ? (event.shiftKey ? "redo" : "undo") : event.key.length === 1 ? event.key.toLowerCase() : event.key;
      if (!undo && (!this.on || !this.keys.includes(key))) return;
      event.preventDefault();
      if (key === " ") document.querySelector(".now-playing .controls button")?.click();
      else if (key === "/") document.querySelector("#other-class")?.focus();
      else this.$emit("key", key);
    };
    document.addEventListener("keydown", this.listener);
  },
  unmounted() { document.removeEventListener("keydown", this.listener); },
};
