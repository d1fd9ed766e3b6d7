/* Tables of numbers as grids of coloured cells with their colour bar, and bars to both sides of a middle line. */
import { make } from "/static/viewer.js";
import { savers } from "/static/saving.js";
import { say } from "/static/texts.js";

const TALL = 26, PAD = 8, NARROW = 46, WIDE = 120, STRONGEST = 0.62, SWATCH = 64; // pixels; opacity of the largest value
const EDGE = 150, HALF = 150, MOST_BARS = 16; // pixels of the bars: their labels' room, the longest bar; bars drawn one by one
const FONT = { "font-family": "system-ui, sans-serif", "font-size": 12 };
const pen = document.createElement("canvas").getContext("2d");
const widthOf = (text) => { pen.font = "12px system-ui, sans-serif"; return pen.measureText(text).width; };

/** Print a number in few digits: +0.12, −3.4, 0. */
export function printed(value, hasSign = true) {
  const size = Math.abs(value), text = size >= 100 ? size.toFixed(0) : size >= 10 ? size.toFixed(1) : size.toFixed(2);
  return Number(text) === 0 ? "0" : `${value < 0 ? "−" : hasSign ? "+" : ""}${text}`;
}

export const largest = (values) => values.reduce((most, one) => Math.max(most, Math.abs(one)), 0) || 1e-12;

function fit(text, room) {
  if (widthOf(text) <= room) return text;
  let end = text.length - 1;
  while (end > 1 && widthOf(`${text.slice(0, end)}…`) > room) end -= 1;
  return `${text.slice(0, end)}…`;
}

function cellOf(svg, x, y, wide, share, attributes) {
  const group = make(svg, "g", attributes);
  make(group, "rect", { class: "cell-edge", x, y, width: wide, height: TALL });
  make(group, "rect", { class: share < 0 ? "mark" : "bar", x: x + 0.5, y: y + 0.5, width: wide - 1, height: TALL - 1, "fill-opacity": (STRONGEST * Math.min(1, Math.abs(share))).toFixed(3) });
  return group;
}

/** Draw the colours with their numbers; `most` has the full colour. */
function drawColours(svg, most, hasSign, unit) {
  (hasSign ? [-1, -0.5, 0, 0.5, 1] : [0, 0.25, 0.5, 0.75, 1]).forEach((share, place) => {
    const group = cellOf(svg, 1 + place * SWATCH, 1, SWATCH, share, { class: "swatch", "data-most": most });
    make(group, "text", { class: "ink", x: 1 + (place + 0.5) * SWATCH, y: 1 + TALL - PAD, "text-anchor": "middle" }, printed(share * most, hasSign));
  });
  make(svg, "text", { class: "soft", x: 5 * SWATCH + 10, y: 1 + TALL - PAD }, unit);
}

/**
 * Draw a grid. found: {name, title, rows, columns, feet, most, hasSign, unit, cells}; a cell is
 * {value, text, told, isStrong} or null, `told` what is said when it is pointed at or reached by arrow keys.
 */
export function drawGrid(card, found) {
  const { name, title, rows, columns, feet = [], most, hasSign = true, unit = "", cells } = found;
  const texts = [...columns, ...feet, ...cells.flat().filter(Boolean).map((one) => one.text)];
  const wide = Math.min(WIDE, Math.max(NARROW, ...texts.map((one) => widthOf(one) + PAD)));
  const left = Math.max(0, ...rows.map(widthOf)) + PAD, top = TALL + 12;
  const width = Math.max(left + wide * columns.length + 2, 5 * SWATCH + 20 + widthOf(unit)), height = top + TALL * (rows.length + 1 + (feet.length ? 1 : 0)) + 4;
  const svg = make(make(card, "div", { class: "scroll" }), "svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", tabindex: "0", class: `grid-picture ${name}`, "aria-label": `${title}. ${say("arrows")}`, ...FONT });
  drawColours(svg, most, hasSign, unit);
  const middle = (column) => left + wide * (column + 0.5), foot = (row) => top + TALL * (row + 2) - PAD;
  columns.forEach((one, column) => make(make(svg, "text", { class: "ink", x: middle(column), y: top + TALL - PAD, "text-anchor": "middle" }, fit(one, wide - 4)), "title", {}, one));
  rows.forEach((one, row) => make(svg, "text", { class: "ink", x: left - PAD, y: foot(row), "text-anchor": "end" }, one));
  feet.forEach((one, column) => make(svg, "text", { class: "ink", x: middle(column), y: foot(rows.length), "text-anchor": "middle", "font-weight": 700 }, fit(one, wide - 4)));
  const groups = new Map();
  cells.forEach((line, row) => line.forEach((one, column) => {
    if (!one) return;
    const group = cellOf(svg, left + wide * column, top + TALL * (row + 1), wide, one.value / most, { class: "cell", "data-value": one.value, "data-row": rows[row], "data-column": column });
    make(group, "text", { class: "ink", x: middle(column), y: foot(row), "text-anchor": "middle", ...(one.isStrong && { "font-weight": 700 }) }, fit(one.text, wide - 4));
    group.addEventListener("pointerenter", () => choose(row, column));
    groups.set(`${row} ${column}`, group);
  }));
  const readout = make(card, "p", { class: "readout wide-readout", "aria-live": "polite" }, say("point_at"));
  let at = [0, -1];
  function choose(row, column) {
    const group = groups.get(`${row} ${column}`);
    if (!group) return false;
    at = [row, column];
    for (const one of groups.values()) one.classList.toggle("chosen", one === group);
    readout.textContent = cells[row][column].told;
    return true;
  }
  svg.addEventListener("keydown", (event) => {
    const move = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key];
    if (!move) return;
    event.preventDefault();
    let [row, column] = [at[0] + move[0], at[1] + move[1]];
    while (row >= 0 && row < rows.length && column > 0 && !cells[row][column]) column -= 1; // of a row with fewer cells
    if (row >= 0 && row < rows.length) choose(row, Math.max(0, column));
  });
  const table = () => [["", ...columns], ...cells.map((line, row) => [rows[row], ...line.map((one) => one?.value ?? "")])];
  savers(card, name, () => svg, found.table ?? table);
  return svg;
}

/** Draw values as bars from a middle line, the largest first, and many small ones as one. */
export function drawBars(card, name, title, names, values) {
  const ranked = names.map((one, place) => [one, values[place]]).sort((a, b) => Math.abs(b[1]) - Math.abs(a[1]));
  const shown = ranked.slice(0, MOST_BARS), rest = ranked.slice(MOST_BARS);
  if (rest.length) shown.push([say("others", rest.length), rest.reduce((sum, [, value]) => sum + value, 0)]);
  const most = largest(shown.map(([, value]) => value)), left = Math.max(EDGE, ...shown.map(([one]) => widthOf(one) + PAD)), middle = left + 46 + HALF;
  const width = middle + HALF + 54, height = 22 * shown.length + 6;
  const svg = make(make(card, "div", { class: "scroll", tabindex: "0" }), "svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", class: `bars-picture ${name}`,
    "aria-label": `${title}: ${shown.map(([one, value]) => `${one} ${printed(value)}`).join(", ")}`, ...FONT });
  shown.forEach(([one, value], line) => {
    const long = (HALF * Math.abs(value)) / most, y = 22 * line + 3, isUp = value >= 0;
    const group = make(svg, "g", { "data-name": one, "data-value": value });
    make(group, "text", { class: "ink", x: left - PAD, y: y + 14, "text-anchor": "end" }, one);
    make(group, "rect", { class: isUp ? "bar" : "mark", x: isUp ? middle : middle - long, y: y + 2, width: Math.max(long, 0.5), height: 14, rx: 2 });
    make(group, "text", { class: "ink", x: isUp ? middle + long + 4 : middle - long - 4, y: y + 14, "text-anchor": isUp ? "start" : "end" }, printed(value));
  });
  make(svg, "rect", { class: "track", x: middle - 0.5, y: 0, width: 1, height });
  savers(card, name, () => svg, () => [["part", "contribution"], ...ranked]);
}
