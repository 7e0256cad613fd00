// The confusion matrix is a table, whose headings stay in place while it scrolls in its own box.
const CELL = { least: 26, most: 44 };

function drawMatrix(host, matrix) {
  const size = matrix.classes.length;
  const heading = (scope, i) => make("th", { scope, "aria-label": matrix.classes[i], title: matrix.classes[i] }, make("span", {}, matrix.short[i]));
  const head = make("tr", {}, make("td", { class: "corner" }, make("span", {}, "predicted \u2192"), make("span", {}, "true \u2193")));
  head.append(...matrix.classes.map((_, j) => heading("col", j)));
  const cells = matrix.counts.map((row, i) => {
    const total = row.reduce((sum, count) => sum + count, 0);
    return row.map((count, j) => {
      const share = total ? count / total : 0;
      const kind = count === 0 ? "zero" : i === j ? "right" : "wrong";
      // The square root keeps a single mistake visible.
      return make("td", { class: kind, tabindex: -1, style: `--share:${(100 * (0.12 + 0.88 * Math.sqrt(share))).toFixed(1)}%` },
        count ? String(Math.round(100 * share)) : "");
    });
  });
  const rows = cells.map((row, i) => make("tr", {}, heading("row", i), ...row));
  const table = make("table", { role: "grid", "aria-label": "confusion matrix in percent of the row" }, make("thead", {}, head), make("tbody", {}, ...rows));
  const place = (cell) => [cell.parentElement.rowIndex - 1, cell.cellIndex - 1];
  let active = cells[0][0];
  const mark = (cell, on) => {
    const [i, j] = place(cell);
    rows[i].cells[0].classList.toggle("on", on); head.cells[j + 1].classList.toggle("on", on);
  };
  const reveal = (cell, x, y) => {
    for (const heading of table.querySelectorAll("th.on")) heading.classList.remove("on");
    mark(cell, true);
    const [i, j] = place(cell), row = matrix.counts[i], total = row.reduce((sum, count) => sum + count, 0);
    const box = cell.getBoundingClientRect();
    showTip(x ?? box.right - 12, y ?? box.bottom - 8, matrix.classes[i], [
      { name: i === j ? "recognised" : `taken for ${matrix.classes[j]}` },
      { name: `${row[j]} of ${total} ${matrix.unit}`, value: total ? `${((100 * row[j]) / total).toFixed(1)} %` : "" }]);
  };
  const cellOf = (event) => { const cell = event.target.closest("td[tabindex]"); return table.contains(cell) ? cell : null; };
  const activate = (cell) => { active.tabIndex = -1; active = cell; cell.tabIndex = 0; };
  table.addEventListener("pointermove", (event) => { const cell = cellOf(event); if (cell) reveal(cell, event.clientX, event.clientY); else hideTip(); });
  table.addEventListener("pointerleave", (event) => { if (isGone(event)) { hideTip(); mark(active, false); } });
  table.addEventListener("click", (event) => { const cell = cellOf(event); if (cell) { activate(cell); reveal(cell, event.clientX, event.clientY); } });
  table.addEventListener("focusin", (event) => { const cell = cellOf(event); if (cell && cell.matches(":focus-visible")) { activate(cell); reveal(cell); } });
  table.addEventListener("focusout", hideTip);
  table.addEventListener("keydown", (event) => {
    const [i, j] = place(active), last = size - 1;
    const to = { ArrowLeft: [i, j - 1], ArrowRight: [i, j + 1], ArrowUp: [i - 1, j], ArrowDown: [i + 1, j], Home: [i, 0], End: [i, last] }[event.key];
    if (!to) return;
    event.preventDefault();
    const within = (index) => Math.max(0, Math.min(last, index));
    activate(cells[within(to[0])][within(to[1])]);
    active.focus();
    reveal(active);
  });
  activate(active);
  const hint = make("p", { class: "hint", hidden: "" }, `${size} classes: scroll the matrix in its box; the names stay in place.`);
  const whole = make("div");
  host.replaceWith(whole);
  whole.append(hint, host);
  host.append(table);
  // Of many classes the rows scroll, too, so that the names of the columns stay in sight.
  host.classList.toggle("tall", size > 40);
  redrawOnResize(whole, (width) => {
    const room = width - rows[0].cells[0].offsetWidth - 2;
    host.style.setProperty("--cell", `${Math.max(CELL.least, Math.min(CELL.most, Math.floor(room / size)))}px`);
    hint.hidden = host.scrollWidth <= host.clientWidth && host.scrollHeight <= host.clientHeight;
  });
}

if (DATA.confusion) drawMatrix(document.getElementById("confusion"), DATA.confusion);
