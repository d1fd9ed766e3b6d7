/* The heat map of one layer and head: rows attend to columns. */
const FONT = "system-ui, sans-serif";
const MANY_CELLS = 4000; // From here on squares of one colour are drawn together, because the page would get slow.
const SHADES = 32;

/** Tell whether later tokens are hidden from earlier ones. */
const isMasked = (kind) => kind === "causal" || kind === "decoder";

/** Return the weights as numbers: {shape: [L, H, T, S], read(layer, head, t, s), at(...), most()}; in `at`, layer or head -1 is the mean. */
function unpack(packed) {
  const bytes = Uint8Array.from(atob(packed.values), (c) => c.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  const [layers, heads, rows, columns] = packed.shape;
  const read = (l, h, t, s) => view.getUint16((((l * heads + h) * rows + t) * columns + s) * 2, true) / 65535;
  const range = (chosen, count) => (chosen < 0 ? [...Array(count).keys()] : [chosen]);
  const at = (layer, head, t, s) => {
    let sum = 0, count = 0;
    for (const l of range(layer, layers)) for (const h of range(head, heads)) { sum += read(l, h, t, s); count += 1; }
    return sum / count;
  };
  const most = () => {
    let best = 0;
    for (let place = 0; place < bytes.length; place += 2) best = Math.max(best, view.getUint16(place, true));
    return best / 65535;
  };
  return { shape: packed.shape, read, at, most };
}

/** Return the (T, S) numbers of one view, and the largest of them. */
function tabulate(weights, layer, head) {
  const [, , rows, columns] = weights.shape;
  const table = [...Array(rows).keys()].map((t) => [...Array(columns).keys()].map((s) => weights.at(layer, head, t, s)));
  const most = table.reduce((best, row) => row.reduce((a, b) => Math.max(a, b), best), 1e-9);
  return { table, most };
}

/** Return the width in pixels of a label in the picture's font. */
const pen = document.createElement("canvas").getContext("2d");
function measure(label, size = 14) {
  pen.font = `${size}px ${FONT}`;
  return pen.measureText(label).width;
}

function drawMap(holder, trace, state, table, most, onCell) {
  const [rowSide, columnSide] = SIDES[state.kind];
  const rows = trace[rowSide], columns = trace[columnSide];
  const longest = Math.max(rows.length, columns.length);
  const [cell, size] = longest <= 60 ? [24, 14] : longest <= 150 ? [16, 12] : [12, 10];
  const widest = (cells) => cells.reduce((best, c) => Math.max(best, measure(c.label, size)), 30);
  const left = widest(rows) + 12, reach = widest(columns); // reach is the width of a slanted column name.
  const top = reach * 0.79 + 18 + BAR_HEIGHT;
  const hasChances = rowSide === "target";
  const width = Math.max(left + columns.length * cell + Math.max(hasChances ? 84 : 8, reach * 0.62), LEGEND), height = top + rows.length * cell + 8;
  const svg = make(holder, "svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "font-family": FONT,
    "font-size": size, "aria-label": `${trace.label} ${say(state.kind)}. ${say("row", say(rowSide), say(columnSide))}. ${say("warning")}` });
  const ink = colour("--ink"), heat = colour("--heat");
  drawColourBar(svg, most, 8, 6, panels.length > 1);
  columns.forEach((c, s) => make(svg, "text", { x: 0, y: 0, fill: ink, class: "column",
    transform: `translate(${left + s * cell + cell / 2 + 1} ${top - 6}) rotate(-52)` }, c.label));
  rows.forEach((c, t) => make(svg, "text", { x: left - 8, y: top + (t + 0.7) * cell, "text-anchor": "end", fill: ink, class: "row" }, c.label));
  const place = (t, s) => [left + s * cell, top + t * cell];
  const strength = (w) => strengthOf(w, most), masked = isMasked(state.kind);
  if (rows.length * columns.length > MANY_CELLS) drawShades(svg, table, strength, place, cell - 1, heat, masked);
  else drawCells(svg, table, strength, place, cell - 1, heat, masked);
  if (masked) drawMask(svg, rows.length, left, top, cell);
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const t = Math.floor((event.clientY - box.top - top) / cell), s = Math.floor((event.clientX - box.left - left) / cell);
    if (t >= 0 && t < rows.length && s >= 0 && s < columns.length) onCell(t, s);
  });
  if (hasChances) drawChances(svg, trace, left + columns.length * cell + 8, top, cell);
  return svg;
}

/** Hatch what the mask hides. The lines run beside the diagonal, so none enters a cell below it. */
function drawMask(svg, count, left, top, cell) {
  const lines = [];
  for (let c = cell; c < count * cell; c += cell / 2) lines.push(`M${left + c} ${top}L${left + count * cell} ${top + count * cell - c}`);
  const path = make(svg, "path", { class: "hatch", d: lines.join(""), fill: "none", stroke: colour("--line"), "stroke-width": 1, "data-mask": "upper" });
  make(path, "title", {}, say("mask"));
}

function drawCells(svg, table, strength, place, size, fill, masked) {
  table.forEach((row, t) => row.forEach((w, s) => {
    if (masked && s > t) return;
    const [x, y] = place(t, s);
    make(svg, "rect", { x, y, width: size, height: size, rx: 2, fill, "fill-opacity": strength(w).toFixed(4),
      "data-t": t, "data-s": s, "data-weight": w.toFixed(5) });
  }));
}

function drawShades(svg, table, strength, place, size, fill, masked) {
  const paths = [...Array(SHADES + 1)].map(() => []);
  table.forEach((row, t) => row.forEach((w, s) => {
    if (masked && s > t) return;
    const [x, y] = place(t, s);
    paths[Math.round(SHADES * strength(w))].push(`M${x.toFixed(1)} ${y.toFixed(1)}h${size}v${size}h-${size}z`);
  }));
  paths.forEach((path, shade) => { if (path.length) make(svg, "path", { d: path.join(""), fill, "fill-opacity": (shade / SHADES).toFixed(3) }); });
}

/** Draw how likely each token of the output was. */
function drawChances(svg, trace, x, top, cell) {
  const line = colour("--line"), mark = colour("--mark"), soft = colour("--soft");
  make(svg, "text", { x, y: top - 6, fill: soft, "font-size": 12 }, say("p"));
  trace.log_probabilities.forEach((value, t) => {
    const chance = Math.exp(value), y = top + t * cell;
    make(svg, "rect", { x, y: y + 6, width: 36, height: cell - 13, fill: line });
    make(svg, "rect", { x, y: y + 6, width: 36 * chance, height: cell - 13, fill: mark });
    make(svg, "text", { x: x + 42, y: y + cell * 0.7, fill: soft, "font-size": 12 }, short(chance));
  });
}

function save(svg, name) {
  const copy = svg.cloneNode(true);
  const url = URL.createObjectURL(new Blob([new XMLSerializer().serializeToString(copy)], { type: "image/svg+xml" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = `${name || "attention"}.svg`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
