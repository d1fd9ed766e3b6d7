/* What a run with an encoder alone answers: label bars, marked entities, filled words, the span of an answer. */
import { make } from "/static/viewer.js";
import { ask } from "/static/asking.js";
import { savers } from "/static/saving.js";
import { say } from "/static/texts.js";

const PATHS = { classification: "text-classification", tagging: "token-classification", "masked-words": "fill-mask" };
const CANDIDATES = 5;

function bars(card, rows) {
  const list = make(card, "div", { class: "bars", role: "list" });
  rows.forEach(([label, p], place) => {
    const line = make(list, "div", { class: place ? "line" : "line chosen", role: "listitem", "data-probability": p });
    make(line, "span", { class: "label" }, label);
    const svg = make(line, "svg", { class: "measure", "aria-hidden": "true" });
    make(svg, "rect", { class: "track", width: "100%", height: "100%", rx: 2 });
    make(svg, "rect", { class: "bar", width: `${(100 * p).toFixed(2)}%`, height: "100%", rx: 2 });
    make(line, "span", { class: "number" }, `${(100 * p).toFixed(1)} %`);
  });
}

function marks(card, text, found) {
  const kinds = [...new Set(found.map((one) => one.entity_group ?? one.entity))], line = make(card, "p", { class: "text" });
  let at = 0;
  for (const one of found) {
    if (one.start < at) continue;
    line.append(text.slice(at, one.start));
    const kind = one.entity_group ?? one.entity;
    const mark = make(line, "mark", { class: `kind-${kinds.indexOf(kind) % 8}` }, text.slice(one.start, one.end));
    make(mark, "b", {}, kind);
    at = one.end;
  }
  line.append(text.slice(at));
}

/** Draw the answer in its document, and the other candidates as bars. */
async function drawSpan(parent, run, question, context) {
  const card = make(parent, "section", { class: "card wide", "data-view": "span" });
  make(card, "h2", {}, say("answers_in"));
  const found = [await ask("/v1/tasks/question-answering", { model: run.name, inputs: { question, context }, parameters: { top_k: CANDIDATES } })].flat();
  const [best] = found, line = make(card, "p", { class: "text" });
  if (best?.answer) {
    line.append(context.slice(0, best.start));
    make(line, "mark", { class: "kind-0", "data-start": best.start, "data-end": best.end }, context.slice(best.start, best.end));
    line.append(context.slice(best.end));
  } else line.append(context);
  document.getElementById("answer").textContent = best?.answer || say("no_answer");
  bars(card, found.map((one) => [one.answer || say("no_answer"), one.score]));
  savers(card, "answers", null, () => [["answer", "start", "end", "probability"], ...found.map((one) => [one.answer, one.start, one.end, one.score])]);
}

/** Draw the arcs of each sentence, as `inspect --html` does. */
async function drawArcs(parent, run, text) {
  const card = make(parent, "section", { class: "card wide", "data-view": "arcs" });
  make(card, "h2", {}, say("tree_of"));
  const { pictures, words } = await ask("/v1/trees", { model: run.name, input: text });
  for (const picture of pictures) {
    const svg = document.importNode(new DOMParser().parseFromString(picture, "image/svg+xml").documentElement, true);
    make(card, "div", { class: "scroll", tabindex: "0" }).append(svg);
    savers(card, "dependency-tree", () => svg);
  }
  savers(card, "dependency-tree", null, () => [["sentence", "id", "text", "upos", "head", "relation"], ...words]);
}

export async function drawAnswer(parent, run, text, passage) {
  if (run.passage) return drawSpan(parent, run, text, passage);
  if (run.view === "arcs") return drawArcs(parent, run, text);
  const path = PATHS[run.task];
  if (!path) return null;
  const card = make(parent, "section", { class: "card wide" });
  const parameters = path === "text-classification" ? { top_k: 20 } : path === "token-classification" ? { aggregation_strategy: "simple" } : {};
  const found = (await ask(`/v1/tasks/${path}`, { model: run.name, inputs: text, parameters })).flat();
  if (path === "token-classification") {
    make(card, "h2", {}, say("entities"));
    marks(card, text, found);
    savers(card, "entities", null, () => [["start", "end", "text", "label", "probability"], ...found.map((one) => [one.start, one.end, text.slice(one.start, one.end), one.entity_group ?? one.entity, one.score])]);
    return null;
  }
  make(card, "h2", {}, say("labels"));
  const rows = found.map((one) => [one.label ?? one.token_str, one.score]);
  bars(card, rows);
  savers(card, "labels", null, () => [["label", "probability"], ...rows]);
  return null;
}
