const DATA = JSON.parse(document.getElementById("data").textContent);

// Text only ever enters the page as text nodes: names come from files.
function make(tag, attributes = {}, ...children) {
  const svg = ["svg", "g", "line", "path", "rect", "circle", "text"].includes(tag);
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

const tip = document.getElementById("tip");

// Beside the point (x, y) of the window.
function showTip(x, y, title, rows) {
  tip.replaceChildren(make("b", {}, title), ...rows.map((row) => {
    const swatch = row.colour ? [make("span", { class: "swatch", style: `background:${row.colour}` })] : [];
    return make("div", {}, ...swatch, make("span", {}, row.name), make("span", {}, row.value ?? ""));
  }));
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  const right = x + 16 + box.width < innerWidth;
  tip.style.left = `${Math.max(4, Math.min(right ? x + 16 : x - 12 - box.width, innerWidth - box.width - 4))}px`;
  tip.style.top = `${Math.max(4, Math.min(y + 14, innerHeight - box.height - 8))}px`;
}

function hideTip() { tip.hidden = true; }
addEventListener("scroll", hideTip, { passive: true, capture: true });
addEventListener("pointerdown", hideTip, { capture: true });
addEventListener("keydown", (event) => { if (event.key === "Escape") hideTip(); });

// A finger that is lifted leaves, too, but what it asked for has to stay.
const isGone = (event) => event.pointerType !== "touch";

// Drawings are laid out in real pixels, so that their text keeps its size: a new width means a new drawing.
function redrawOnResize(host, draw) {
  let drawn = 0;
  new ResizeObserver(() => {
    const width = Math.floor(host.clientWidth);
    if (width && width !== drawn) { drawn = width; draw(width); }
  }).observe(host);
}
