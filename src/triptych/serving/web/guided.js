/* The founding calculation: three words of two numbers through one encoder and one decoder step, every number reachable. */
import { make } from "/static/viewer.js";
import { savers } from "/static/saving.js";
import { say } from "/static/texts.js";

export const START = { words: ["我", "喜歡", "貓"], inputs: [[1, 0], [0, 1], [1, 1]], begin: [0, 0] };

const dot = (a, b) => a.reduce((sum, value, place) => sum + value * b[place], 0);
const scaled = (a, b) => dot(a, b) / Math.sqrt(a.length);
const softmax = (scores) => {
  const most = Math.max(...scores), powers = scores.map((one) => Math.exp(one - most)), sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((one) => one / sum);
};
const mean = (weights, vectors) => vectors[0].map((_, column) => weights.reduce((sum, weight, row) => sum + weight * vectors[row][column], 0));

/** Return every number of the calculation (Vaswani et al. 2017, section 3.2.1, with queries = keys = values). */
export function calculate({ inputs, begin }) {
  const scores = inputs.map((query) => inputs.map((one) => scaled(query, one)));
  const weights = scores.map(softmax), outputs = weights.map((row) => mean(row, inputs));
  const asked = [outputs.map((one) => scaled(begin, one))], given = asked.map(softmax);
  return { inputs, scores, weights, outputs, begin: [begin], asked, given, context: given.map((row) => mean(row, outputs)) };
}

export const written = (value) => (Number.isInteger(value) ? String(value) : value.toFixed(3)).replace("-", "−");
const factor = (value) => (value < 0 ? `(${written(value)})` : written(value));

/** Return how a number came to be, in words of arithmetic. */
function why(name, row, column, found) {
  const value = written(found[name][row][column]);
  if (name === "inputs") return say("why_input", value);
  if (name === "begin") return say("why_begin");
  if (name === "scores" || name === "asked") {
    const [a, b] = name === "scores" ? [found.inputs[row], found.inputs[column]] : [found.begin[0], found.outputs[column]];
    return say("why_score", factor(a[0]), factor(b[0]), factor(a[1]), factor(b[1]), value);
  }
  if (name === "weights" || name === "given") {
    const scores = found[name === "weights" ? "scores" : "asked"][row];
    return say("why_weight", written(scores[column]), scores.map((one) => `exp(${written(one)})`).join(" + "), value);
  }
  const [weights, vectors] = name === "outputs" ? [found.weights[row], found.inputs] : [found.given[0], found.outputs];
  return say("why_output", weights.map((weight, place) => `${written(weight)}·${factor(vectors[place][column])}`).join(" + "), value);
}

/** Return the places that a number is computed from: [table, row, column] each. */
function sources(name, row, column, found) {
  const places = [...found.inputs.keys()];
  if (name === "scores") return [0, 1].flatMap((part) => [["inputs", row, part], ["inputs", column, part]]);
  if (name === "asked") return [0, 1].flatMap((part) => [["begin", 0, part], ["outputs", column, part]]);
  if (name === "weights" || name === "given") return places.map((place) => [name === "weights" ? "scores" : "asked", row, place]);
  if (name === "outputs") return places.flatMap((place) => [["weights", row, place], ["inputs", place, column]]);
  if (name === "context") return places.flatMap((place) => [["given", 0, place], ["outputs", place, column]]);
  return [];
}

/** Draw the calculation; onward() opens a run, besides() two runs side by side, or is null where there are none. */
export function drawGuide(parent, onward, besides = null) {
  const state = structuredClone(START), intro = make(parent, "section", { class: "card wide" });
  make(intro, "h2", {}, say("guide_title"));
  make(intro, "p", { class: "hint" }, say("guide_hint"));
  const readout = make(intro, "p", { class: "readout sticky", "aria-live": "polite" });
  const flow = make(intro, "div", { class: "guide" }), cells = new Map();
  let found = calculate(state);

  const light = (name, row, column) => {
    for (const cell of cells.values()) cell.classList.remove("source", "chosen");
    cells.get(`${name} ${row} ${column}`).classList.add("chosen");
    for (const place of sources(name, row, column, found)) cells.get(place.join(" ")).classList.add("source");
    readout.textContent = why(name, row, column, found);
  };
  const refresh = () => {
    found = calculate(state);
    for (const [place, cell] of cells) {
      const [name, row, column] = place.split(" "), value = found[name][row][column];
      if (cell.tagName !== "INPUT") {
        cell.textContent = written(value);
        cell.setAttribute("data-value", value);
      }
      cell.setAttribute("aria-label", `${cell.dataset.name}: ${written(value)}. ${why(name, Number(row), Number(column), found)}`);
    }
  };
  const table = (box, name, heading, rows, columns) => {
    const holder = make(box, "table", { class: "matrix" });
    make(holder, "caption", {}, heading);
    const top = make(make(holder, "thead"), "tr");
    make(top, "th");
    for (const one of columns) make(top, "th", { scope: "col" }, one);
    const body = make(holder, "tbody");
    rows.forEach((label, row) => {
      const line = make(body, "tr");
      make(line, "th", { scope: "row" }, label);
      columns.forEach((_, column) => {
        const isGiven = name === "inputs" || name === "begin", at = make(line, "td");
        const cell = isGiven
          ? make(at, "input", { type: "number", step: "0.5", min: "-9", max: "9", value: found[name][row][column] })
          : make(at, "span", { tabindex: "0", role: "img", class: "number" });
        cell.setAttribute("data-name", `${heading} ${label}${columns[column] ? ` ${columns[column]}` : ""}`);
        cells.set(`${name} ${row} ${column}`, cell);
        if (isGiven) {
          cell.addEventListener("input", () => {
            const value = Number(cell.value);
            if (cell.value === "" || !Number.isFinite(value) || Math.abs(value) > 9) return;
            (name === "begin" ? state.begin : state.inputs[row])[column] = value;
            refresh();
            light(name, row, column);
          });
        }
        for (const event of ["pointerenter", "focus", "click"]) cell.addEventListener(event, () => light(name, row, column));
      });
    });
    return holder;
  };
  const step = (number, draw) => {
    const box = make(flow, "div", { class: "guide-step" });
    make(box, "p", {}, say(`guide_${number}`));
    draw(make(box, "div", { class: "matrices" }));
  };
  const { words } = state, parts = ["1", "2"], begin = [say("begin")];
  step(1, (box) => table(box, "inputs", say("input_of"), words, parts));
  step(2, (box) => table(box, "scores", say("score_of"), words, words));
  step(3, (box) => table(box, "weights", say("weight_of"), words, words));
  step(4, (box) => table(box, "outputs", say("output_of"), words, parts));
  step(5, (box) => { table(box, "begin", say("input_of"), begin, parts); table(box, "asked", say("score_of"), begin, words); });
  step(6, (box) => { table(box, "given", say("weight_of"), begin, words); table(box, "context", say("context_of"), begin, parts); });
  step(7, () => {});
  refresh();
  light("outputs", 0, 0);
  const rows = () => [...cells].map(([place, cell]) => [place.split(" ")[0], cell.dataset.name, cell.value ?? cell.dataset.value]);
  savers(intro, "calculation", null, rows);
  const end = make(parent, "section", { class: "card" });
  make(end, "h2", {}, say("real_title"));
  make(end, "p", {}, say("real_hint"));
  make(end, "button", { type: "button", class: "main" }, say("real_go")).addEventListener("click", onward);
  const forgotten = make(parent, "section", { class: "card", "data-view": "forgotten" });
  make(forgotten, "h2", {}, say("forgotten_title"));
  make(forgotten, "p", {}, say("forgotten_hint"));
  const list = make(forgotten, "ol");
  for (const number of [1, 2, 3]) make(list, "li", {}, say(`forgotten_${number}`));
  if (besides) make(forgotten, "button", { type: "button", class: "main" }, say("forgotten_go")).addEventListener("click", besides);
  else make(forgotten, "p", { class: "hint" }, say("forgotten_none"));
}
