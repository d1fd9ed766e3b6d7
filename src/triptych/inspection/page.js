"use strict";
/* Draws every trace as one panel: sentences, selectors, a source x target heat map, the probability of each produced token. */
const WORDS = {
  en: {
    switch: "繁體中文", warning: "Attention weight, not proof: it shows where the model looked, not why it chose a word.",
    source: "Source", target: "Output", score: "Log-probability", kind: "Attention", layer: "Layer", head: "Head", mean: "mean",
    cross: "output to source", encoder: "source to source", decoder: "output to earlier output", download: "Save picture (SVG)",
    hint: "Point at a cell, or at a word of the output, to read its weights.", weight: "weight", probability: "probability",
    most: "0 to {0} in this view", pieces: "pieces", row: "rows: {0}, columns: {1}", p: "p",
    note_no_attention: "Nothing to show: this model has no attention. One vector, the encoder's last states, carries the whole sentence to every step.",
    note_means_only: "The sequence is long: only the mean over layers and heads is in this file.",
    note_cut: "The output was cut at its maximum length.",
  },
  "zh-Hant": {
    switch: "English", warning: "這是注意力權重，不是證據：它顯示模型看向哪裡，並不說明為何選用某個詞。",
    source: "原文", target: "輸出", score: "對數機率", kind: "注意力", layer: "層", head: "注意力頭", mean: "平均",
    cross: "輸出看原文", encoder: "原文看原文", decoder: "輸出看先前輸出", download: "儲存圖片（SVG）",
    hint: "將游標移到方格，或移到輸出的詞上，即可讀取權重。", weight: "權重", probability: "機率",
    most: "本圖範圍 0 至 {0}", pieces: "子詞", row: "列：{0}，欄：{1}", p: "機率",
    note_no_attention: "無可顯示：此模型沒有注意力。整個句子只由編碼器最後狀態的一個向量傳給每一步。",
    note_means_only: "序列過長：檔案中只保留各層、各頭的平均。",
    note_cut: "輸出達到最大長度而被截斷。",
  },
};
const SIDES = { cross: ["target", "source"], encoder: ["source", "source"], decoder: ["target", "target"] };
const CELL = 24;
let language = document.documentElement.lang;

const say = (key, ...values) => values.reduce((text, value, i) => text.replace(`{${i}}`, value), WORDS[language][key]);
const short = (value) => (value >= 0.995 ? "1.00" : value.toFixed(value < 0.0995 ? 3 : 2));

function make(parent, tag, attributes = {}, text = null) {
  const isDrawing = tag === "svg" || parent.namespaceURI === "http://www.w3.org/2000/svg";
  const element = isDrawing ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== null) element.textContent = text;
  parent.append(element);
  return element;
}

/** The weights as numbers: {shape: [L, H, T, S], at(layer, head, t, s)}; layer or head -1 is the mean. */
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
  return { shape: packed.shape, at };
}

/** Width in pixels that a label needs in the font of the picture. */
const pen = document.createElement("canvas").getContext("2d");
const FONT = "system-ui, sans-serif";
function measure(label) {
  pen.font = `14px ${FONT}`;
  return pen.measureText(label).width;
}

function sentence(parent, cells, isActive) {
  return cells.map((cell, place) => {
    const shown = (place ? cell.text : cell.text.trimStart()) || ` ${cell.label}`, kind = cell.text ? "token" : "token special";
    const span = make(parent, "span", { class: kind, title: `${say("pieces")}: ${cell.pieces.join(" ")}` }, shown);
    if (isActive) span.setAttribute("tabindex", "0");
    return span;
  });
}

function choice(parent, name, options, chosen, changed) {
  const label = make(parent, "label", {}, `${name} `);
  const select = make(label, "select");
  for (const [value, text] of options) {
    const option = make(select, "option", { value }, text);
    option.selected = String(value) === String(chosen);
  }
  select.addEventListener("change", () => changed(select.value));
}

function drawMap(holder, trace, state, weights, onCell) {
  const [rowSide, columnSide] = SIDES[state.kind];
  const rows = trace[rowSide], columns = trace[columnSide];
  const left = Math.max(...rows.map((c) => measure(c.label)), 30) + 12;
  const reach = Math.max(...columns.map((c) => measure(c.label)), 30); // of a column's name, written at a slant
  const top = reach * 0.79 + 18;
  const hasChances = rowSide === "target";
  const width = left + columns.length * CELL + Math.max(hasChances ? 84 : 8, reach * 0.62), height = top + rows.length * CELL + 8;
  const table = rows.map((_, t) => columns.map((_, s) => weights.at(state.layer, state.head, t, s)));
  const most = Math.max(...table.map((row) => Math.max(...row)), 1e-9);
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const svg = make(holder, "svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "font-family": FONT,
    "font-size": 14, "aria-label": `${trace.label} ${say(state.kind)}. ${say("row", say(rowSide), say(columnSide))}. ${say("warning")}` });
  columns.forEach((cell, s) => make(svg, "text", { x: 0, y: 0, fill: colour("--ink"), class: "column",
    transform: `translate(${left + s * CELL + CELL / 2 + 1} ${top - 6}) rotate(-52)` }, cell.label));
  rows.forEach((cell, t) => {
    const y = top + t * CELL;
    make(svg, "text", { x: left - 8, y: y + CELL * 0.7, "text-anchor": "end", fill: colour("--ink"), class: "row" }, cell.label);
    columns.forEach((_, s) => {
      const rect = make(svg, "rect", { x: left + s * CELL, y, width: CELL - 1, height: CELL - 1, rx: 2, fill: colour("--heat"),
        "fill-opacity": (0.03 + 0.97 * (table[t][s] / most)).toFixed(4), "data-t": t, "data-s": s, "data-weight": table[t][s].toFixed(5) });
      rect.addEventListener("pointerenter", () => onCell(t, s));
    });
    if (hasChances) {
      const chance = Math.exp(trace.log_probabilities[t]), x = left + columns.length * CELL + 8;
      make(svg, "rect", { x, y: y + 6, width: 36, height: CELL - 13, fill: colour("--line") });
      make(svg, "rect", { x, y: y + 6, width: 36 * chance, height: CELL - 13, fill: colour("--mark") });
      make(svg, "text", { x: x + 42, y: y + CELL * 0.7, fill: colour("--soft"), "font-size": 12 }, short(chance));
    }
  });
  if (hasChances) make(svg, "text", { x: left + columns.length * CELL + 8, y: top - 6, fill: colour("--soft"), "font-size": 12 }, say("p"));
  return { svg, table, most };
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

function facts(panel, trace) {
  const list = make(panel, "dl"), spans = {};
  for (const side of ["source", "target"]) {
    make(list, "dt", {}, say(side));
    spans[side] = sentence(make(list, "dd"), trace[side], side === "target" && "cross" in trace.attention);
  }
  make(list, "dt", {}, say("score"));
  make(list, "dd", {}, trace.log_probabilities.reduce((a, b) => a + b, 0).toFixed(2));
  for (const note of trace.notes) make(panel, "p", { class: "note" }, say(`note_${note}`));
  return spans;
}

function drawPanel(panel, trace, state) {
  panel.replaceChildren();
  make(panel, "h2", {}, trace.label);
  const spans = facts(panel, trace);
  const kinds = Object.keys(trace.attention);
  if (!kinds.length) return;
  const weights = unpack(trace.attention[state.kind]);
  const [layers, heads] = weights.shape;
  const controls = make(panel, "div", { class: "controls" });
  const change = (key) => (value) => { state[key] = key === "kind" ? value : Number(value); drawPanel(panel, trace, state); };
  const numbered = (count) => [[-1, say("mean")], ...[...Array(count).keys()].map((i) => [i, i + 1])];
  const changeKind = (value) => { state.layer = state.head = -1; change("kind")(value); };
  if (kinds.length > 1) choice(controls, say("kind"), kinds.map((kind) => [kind, say(kind)]), state.kind, changeKind);
  if (layers > 1) choice(controls, say("layer"), numbered(layers), state.layer, change("layer"));
  if (heads > 1) choice(controls, say("head"), numbered(heads), state.head, change("head"));
  const holder = make(panel, "div", { class: "scroll", tabindex: "0" });
  const readout = make(panel, "p", { class: "readout", "aria-live": "polite" });
  const [rowSide, columnSide] = SIDES[state.kind];

  const clear = () => {
    for (const span of [...spans.source, ...spans.target]) { span.style.backgroundColor = ""; span.classList.remove("chosen"); }
    readout.textContent = `${say("hint")} ${say("most", short(map.most))}.`;
  };
  const lightUp = (t) => {
    clear();
    spans[rowSide][t].classList.add("chosen");
    map.table[t].forEach((w, s) => {
      spans[columnSide][s].style.backgroundColor = `color-mix(in srgb, var(--heat) ${Math.round((70 * w) / map.most)}%, transparent)`;
    });
  };
  const name = (side, place) => `“${trace[side][place].label}”`;
  const onCell = (t, s) => {
    lightUp(t);
    const chance = rowSide === "target" ? `; ${say("probability")} ${name(rowSide, t)} ${short(Math.exp(trace.log_probabilities[t]))}` : "";
    readout.textContent = `${name(rowSide, t)} → ${name(columnSide, s)}: ${say("weight")} ${map.table[t][s].toFixed(3)}${chance}`;
  };
  const onWord = (t) => {
    lightUp(t);
    const best = map.table[t].map((w, s) => [w, s]).sort((a, b) => b[0] - a[0]).slice(0, 4);
    readout.textContent = `${name("target", t)}: ${best.map(([w, s]) => `${name(columnSide, s)} ${w.toFixed(3)}`).join(", ")}`;
  };
  const map = drawMap(holder, trace, state, weights, onCell);
  map.svg.addEventListener("pointerleave", clear);
  if (rowSide === "target") {
    spans.target.forEach((span, t) => {
      for (const event of ["pointerenter", "focus"]) span.addEventListener(event, () => onWord(t));
      for (const event of ["pointerleave", "blur"]) span.addEventListener(event, clear);
    });
  }
  make(controls, "button", { type: "button" }, say("download")).addEventListener("click", () => save(map.svg, trace.label));
  clear();
}

function draw() {
  document.documentElement.lang = language;
  document.getElementById("language").textContent = say("switch");
  document.getElementById("warning").textContent = say("warning");
  panels.forEach(([panel, trace, state]) => drawPanel(panel, trace, state));
}

const main = document.getElementById("panels");
const panels = JSON.parse(document.getElementById("traces").textContent).map((trace) => {
  const kinds = Object.keys(trace.attention);
  return [make(main, "section"), trace, { kind: kinds.includes("cross") ? "cross" : kinds[0], layer: -1, head: -1 }];
});
document.getElementById("language").addEventListener("click", () => { language = language === "en" ? "zh-Hant" : "en"; draw(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
draw();
