const STREAM_COLOURS = { joint: 0, motion: 1, bone: 2, all: 0 };
const DASHES = ["", "6 3", "2 3", "9 3 2 3"];

// A line takes its stream's colour in every chart; "joint>motion" the teacher's colour, with a dash of its own.
// Where runs are compared, a line brings the number of its variant's colour.
function styleLines(lines) {
  const used = new Map();
  return lines.map((line, i) => {
    const stream = line.name.split(">")[0];
    const slot = line.slot ?? STREAM_COLOURS[stream] ?? (4 + i) % 8;
    const repeat = used.get(slot) ?? 0;
    used.set(slot, repeat + 1);
    return { ...line, colour: `var(--s${slot})`, dash: DASHES[repeat % DASHES.length] };
  });
}

function niceTicks(low, high, count) {
  const rough = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) ticks.push(i * step);
  return ticks;
}

function shortNumber(value) {
  if (value !== 0 && Math.abs(value) < 0.01) return value.toExponential(2).replace(/\.?0+e/, "e");
  return String(Number(value.toPrecision(6)));
}

function range(values) {
  let low = Infinity, high = -Infinity;
  for (const value of values) if (value !== null) { low = Math.min(low, value); high = Math.max(high, value); }
  if (low > high) return [0, 1];
  if (low === high) return [low - (Math.abs(low) || 1) * 0.1, high + (Math.abs(high) || 1) * 0.1];
  return [low, high];
}

function linePath(line, x, y) {
  let path = "", pen = false;
  line.x.forEach((epoch, i) => {
    if (line.y[i] === null) { pen = false; return; }
    path += `${pen ? "L" : "M"}${x(epoch).toFixed(1)},${y(line.y[i]).toFixed(1)}`;
    pen = true;
  });
  return path;
}

// The band of a line of several runs, a piece for each stretch of epochs without a gap.
function bandPath(line, x, y) {
  const pieces = [[]];
  line.x.forEach((epoch, i) => (line.low[i] === null ? pieces.push([]) : pieces[pieces.length - 1].push(i)));
  return pieces.filter((piece) => piece.length).map((piece) => {
    const at = (i, value) => `${x(line.x[i]).toFixed(1)},${y(value).toFixed(1)}`;
    return `M${piece.map((i) => at(i, line.high[i])).join("L")}L${piece.reverse().map((i) => at(i, line.low[i])).join("L")}Z`;
  }).join("");
}

const heights = (line) => [...line.y, ...(line.low ?? []), ...(line.high ?? [])];

function keyEntry(line) {
  const stroke = make("line", { x1: 0, x2: 20, y1: 4, y2: 4, "stroke-width": 2, "stroke-dasharray": line.dash, style: `stroke:${line.colour}` });
  return make("span", {}, make("svg", { viewBox: "0 0 20 8" }, stroke), line.name.replace(">", " \u2192 "));
}

function drawLines(host, title, lines, label, show, share, width) {
  const height = Math.round(Math.min(260, Math.max(190, width * 0.48)));
  const edge = { left: 54, right: 10, top: 8, bottom: 38 };
  const epochs = [...new Set(lines.flatMap((line) => line.x))].sort((a, b) => a - b);
  const [x0, x1] = range(epochs);
  let [y0, y1] = range(lines.flatMap(heights));
  if (share) [y0, y1] = [0, Math.min(1, niceTicks(0, y1 * 1.2, 5).pop() || 1)];
  y1 = Math.max(y1, range(lines.flatMap(heights))[1]);
  const x = (value) => edge.left + ((value - x0) / (x1 - x0)) * (width - edge.left - edge.right);
  const y = (value) => height - edge.bottom - ((value - y0) / (y1 - y0)) * (height - edge.top - edge.bottom);
  const svg = make("svg", { class: "plot", width, height, role: "slider", tabindex: 0, "aria-label": `${title}: ${label} by epoch`, "aria-valuemin": x0, "aria-valuemax": x1 });
  for (const tick of niceTicks(y0, y1, 5)) {
    svg.append(make("line", { class: "grid", x1: edge.left, x2: width - edge.right, y1: y(tick), y2: y(tick) }),
      make("text", { x: edge.left - 8, y: y(tick) + 4, "text-anchor": "end" }, show(tick)));
  }
  for (const tick of niceTicks(x0, x1, width / 90).filter(Number.isInteger)) {
    svg.append(make("text", { x: x(tick), y: height - edge.bottom + 17, "text-anchor": "middle" }, String(tick)));
  }
  svg.append(make("text", { x: (edge.left + width - edge.right) / 2, y: height - 4, "text-anchor": "middle" }, "epoch"),
    make("text", { transform: `translate(11,${(height - edge.bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }, label));
  for (const line of lines.filter((line) => line.low)) {
    svg.append(make("path", { class: "band", d: bandPath(line, x, y), style: `fill:${line.colour}` }));
  }
  for (const line of lines) {
    svg.append(make("path", { class: "line", d: linePath(line, x, y), "stroke-dasharray": line.dash, style: `stroke:${line.colour}` }));
    if (line.x.length <= 40) line.x.forEach((epoch, i) => line.y[i] !== null
      && svg.append(make("circle", { cx: x(epoch), cy: y(line.y[i]), r: 2.4, style: `fill:${line.colour}` })));
  }
  const cursor = make("line", { class: "cursor", y1: edge.top, y2: height - edge.bottom, visibility: "hidden" });
  svg.append(cursor);
  let shown = epochs[epochs.length - 1];
  const rows = (epoch) => lines.filter((line) => line.x.includes(epoch)).map((line) => {
    const value = line.y[line.x.indexOf(epoch)];
    return { name: line.name.replace(">", " \u2192 "), colour: line.colour, value: value === null ? "not finite" : show(value) };
  });
  const choose = (epoch) => {
    shown = epoch;
    svg.setAttribute("aria-valuenow", epoch);
    svg.setAttribute("aria-valuetext", `epoch ${epoch}: ${rows(epoch).map((row) => `${row.name} ${row.value}`).join(", ")}`);
  };
  const reveal = (epoch, tipY) => {
    choose(epoch);
    cursor.setAttribute("x1", x(epoch)); cursor.setAttribute("x2", x(epoch)); cursor.setAttribute("visibility", "visible");
    const box = svg.getBoundingClientRect();
    showTip(box.left + x(epoch), tipY ?? box.top + edge.top, `epoch ${epoch}`, rows(epoch));
  };
  const conceal = () => { hideTip(); cursor.setAttribute("visibility", "hidden"); };
  const point = (event) => {
    const at = event.clientX - svg.getBoundingClientRect().left;
    reveal(epochs.reduce((best, e) => (Math.abs(x(e) - at) < Math.abs(x(best) - at) ? e : best), epochs[0]), event.clientY);
  };
  svg.addEventListener("pointermove", point);
  svg.addEventListener("click", point);
  svg.addEventListener("pointerleave", (event) => { if (isGone(event)) conceal(); });
  svg.addEventListener("focus", () => { if (svg.matches(":focus-visible")) reveal(shown); });
  svg.addEventListener("blur", conceal);
  svg.addEventListener("keydown", (event) => {
    const at = epochs.indexOf(shown), last = epochs.length - 1;
    const step = Math.max(1, Math.round(last / 10));
    const to = { ArrowLeft: at - 1, ArrowDown: at - 1, ArrowRight: at + 1, ArrowUp: at + 1, PageDown: at - step, PageUp: at + step, Home: 0, End: last }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    reveal(epochs[Math.max(0, Math.min(last, to))]);
  });
  choose(shown);
  host.replaceChildren(svg);
}

function lineChart(parent, chart, label, show, share) {
  const lines = styleLines(chart.lines);
  const plot = make("div");
  const key = make("div", { class: "key" }, ...(lines.length > 1 ? lines.map(keyEntry) : []));
  const about = chart.about ? [make("p", { class: "about" }, chart.about)] : [];
  parent.append(make("figure", {}, make("figcaption", {}, chart.title), ...about, key, plot));
  redrawOnResize(plot, (width) => drawLines(plot, chart.title || "kNN accuracy", lines, label, show, share, width));
}

for (const chart of DATA.losses) {
  const label = chart.group === "learning_rate" ? "learning rate" : "loss";
  lineChart(document.getElementById("losses"), chart, label, shortNumber, false);
}
const percent = (value) => String(Number((100 * value).toFixed(1)));
for (const chart of DATA.knn) lineChart(document.getElementById("knn"), chart, "accuracy, %", percent, true);
for (const chart of DATA.diagnostics) {
  const share = ["knn", "ridge", "same_class"].includes(chart.group.split("/")[1]);
  lineChart(document.getElementById("diagnostics"), chart, share ? "share, %" : "value", share ? percent : shortNumber, share);
}
