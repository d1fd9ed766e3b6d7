/* What a run with an encoder alone answers: label bars, marked entities, filled words, the span of an answer. */
import { make } from "/static/viewer.js";
import { ask } from "/static/asking.js";
import { savers } from "/static/saving.js";
import { say } from "/static/texts.js";

const PATHS = { classification: "text-classification", tagging: "token-classification", "masked-words": "fill-mask" };

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

export async function drawAnswer(parent, run, text) {
  const path = PATHS[run.task];
  if (!path) return;
  const card = make(parent, "section", { class: "card wide" });
  const parameters = path === "text-classification" ? { top_k: 20 } : path === "token-classification" ? { aggregation_strategy: "simple" } : {};
  const found = (await ask(`/v1/tasks/${path}`, { model: run.name, inputs: text, parameters })).flat();
  if (path === "token-classification") {
    make(card, "h2", {}, say("entities"));
    marks(card, text, found);
    savers(card, "entities", null, () => [["start", "end", "text", "label", "probability"], ...found.map((one) => [one.start, one.end, text.slice(one.start, one.end), one.entity_group ?? one.entity, one.score])]);
    return;
  }
  make(card, "h2", {}, say("labels"));
  const rows = found.map((one) => [one.label ?? one.token_str, one.score]);
  bars(card, rows);
  savers(card, "labels", null, () => [["label", "probability"], ...rows]);
}
