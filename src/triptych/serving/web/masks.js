/* The three masks side by side: the encoder's square, the decoder's triangle, the rectangle between both. */
import { make } from "/static/viewer.js";
import { savers } from "/static/saving.js";
import { say } from "/static/texts.js";

const SIDES = { encoder: ["source", "source"], decoder: ["inputs", "inputs"], cross: ["target", "source"] };
const LEAST = 7, MOST = 22, WIDTH = 260, NAMED = 14; // pixels of a cell, about of a mask, and of a cell from which tokens are written beside it
const pen = document.createElement("canvas").getContext("2d");
const widthOf = (cells) => { pen.font = "12px system-ui, sans-serif"; return cells.reduce((most, one) => Math.max(most, pen.measureText(one.label).width), 0); };

function drawMask(parent, trace, kind, mask, readout) {
  const [rows, columns] = SIDES[kind].map((side) => trace[side]);
  const cell = Math.max(LEAST, Math.min(MOST, Math.floor(WIDTH / Math.max(rows.length, columns.length))));
  const box = make(parent, "figure", { class: "mask" });
  make(box, "figcaption", {}, say(`mask_${kind}`));
  const named = cell >= NAMED, left = named ? widthOf(rows) + 8 : 0, slant = named ? widthOf(columns) : 0, top = named ? slant * 0.79 + 10 : 0;
  const width = left + columns.length * cell + 1 + slant * 0.62, height = top + rows.length * cell + 1;
  const svg = make(box, "svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", tabindex: "0", "data-kind": kind, "font-size": 12, "font-family": "system-ui, sans-serif",
    "aria-label": `${say(`mask_${kind}`)}. ${rows.length} × ${columns.length}` });
  if (named) {
    rows.forEach((one, t) => make(svg, "text", { x: left - 6, y: top + (t + 0.72) * cell, "text-anchor": "end", class: "ink" }, one.label));
    columns.forEach((one, s) => make(svg, "text", { class: "ink", transform: `translate(${left + (s + 0.5) * cell} ${top - 5}) rotate(-52)` }, one.label));
  }
  mask.rows.forEach((row, t) => [...row].forEach((bit, s) => make(svg, "rect", { x: left + s * cell + 0.5, y: top + t * cell + 0.5, width: cell - 1, height: cell - 1,
    class: bit === "1" ? "seen" : "hidden", "data-t": t, "data-s": s, "data-seen": bit })));
  let row = -1;
  const tell = (t) => {
    row = t;
    const seen = [...mask.rows[t]].filter((bit) => bit === "1").length;
    readout.textContent = say("row_sees", rows[t].label, seen, columns.length);
    svg.querySelectorAll("rect").forEach((one) => one.classList.toggle("chosen", Number(one.dataset.t) === t));
  };
  svg.addEventListener("pointermove", (event) => {
    const t = Math.floor((event.clientY - svg.getBoundingClientRect().top - top) / cell);
    if (t >= 0 && t < rows.length) tell(t);
  });
  svg.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    tell(Math.max(0, Math.min(rows.length - 1, row + (event.key === "ArrowDown" ? 1 : -1))));
    event.preventDefault();
  });
  if (trace.masks[kind].length > 1) make(box, "p", { class: "hint" }, say("mask_layers", mask.layers.join(", ")));
  const table = () => [["", ...columns.map((one) => one.label)], ...mask.rows.map((bits, t) => [rows[t].label, ...bits])];
  savers(box, `mask-${kind}`, () => svg, table);
}

export function drawMasks(parent, trace) {
  const kinds = ["encoder", "decoder", "cross"].filter((kind) => trace.masks?.[kind]?.length);
  if (!kinds.length) return;
  const card = make(parent, "section", { class: "card wide" });
  make(card, "h2", {}, say("masks"));
  make(card, "p", { class: "hint" }, say("masks_hint"));
  const row = make(card, "div", { class: "masks" });
  const readout = make(card, "p", { class: "readout", "aria-live": "polite" });
  for (const kind of kinds) for (const mask of trace.masks[kind]) drawMask(row, trace, kind, mask, readout);
}
