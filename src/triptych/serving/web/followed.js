/* One head, or one other part, at each checkpoint of a run: what it attends to, and what is lost without it. */
import { make } from "/static/viewer.js";
import { ask } from "/static/asking.js";
import { card, siteOf } from "/static/cards.js";
import { drawGrid, largest, printed } from "/static/grid.js";
import { savers } from "/static/saving.js";
import { say } from "/static/texts.js";

const CELL = 14, MOST_SIDE = 40; // pixels of a cell; rows and columns drawn of one map
const nameOf = (step) => (step === null ? say("final_weights") : String(step));

/** Draw the form that chooses a part, and below it what it does at each checkpoint. */
export function drawFollow(parent, asked, run, names, state, tell) {
  if (run.checkpoints < 2) return;
  const form = make(parent, "form", { class: "card wide", "data-view": "follow" }), result = make(parent, "div", { class: "cards" });
  make(form, "h2", {}, say("follow"));
  make(form, "p", { class: "hint" }, say("follow_hint", run.checkpoints));
  const label = make(form, "label", { class: "field" });
  make(label, "span", {}, say("part"));
  const box = make(label, "select", { "data-key": "part" });
  for (const name of names) {
    const { row, head } = siteOf(name);
    make(box, "option", { value: name }, head ? `${row}, ${say("head_number", head)}` : row).selected = name === state.part;
  }
  make(make(form, "div", { class: "controls" }), "button", { type: "submit", class: "main" }, say("follow_go"));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    state.part = box.value;
    tell(say("waiting"));
    result.replaceChildren();
    try {
      const found = await ask("/v1/interventions", { ...asked, views: ["checkpoints"], part: box.value });
      if (!form.isConnected) return;
      if (found.problems.checkpoints) make(card(result, "checkpoints"), "p", { class: "note" }, found.problems.checkpoints);
      else for (const one of found.checkpoints) drawSteps(result, one, found);
      tell("");
    } catch (error) { tell(say("failed", error.message)); }
  });
}

function drawSteps(parent, { site, steps }, found) {
  const { row, head } = siteOf(site), own = card(parent, "checkpoints", "checkpoints_hint", found.score.of || say("the_answer"));
  own.querySelector("h2").append(`: ${row}${head ? `, ${say("head_number", head)}` : ""}`);
  const line = (name) => steps.map((one) => ({ value: one[name], text: printed(one[name]), told: `${nameOf(one.step)}: ${one[name].toFixed(4)}` }));
  const cells = [line("score"), line("change")];
  drawGrid(own, { name: "checkpoints", title: say("checkpoints"), rows: [say("score_row"), say("change_row")], columns: steps.map((one) => nameOf(one.step)), cells, most: largest(cells.flat().map((one) => one.value)), unit: say("nats"),
    table: () => [["step", "score", "change"], ...steps.map((one) => [one.step ?? "final", one.score, one.change])] });
  if (steps[0].attention) drawMaps(own, site, steps, found);
}

/** Draw the weights of the head at each checkpoint, all on one scale from 0 to 1. */
function drawMaps(own, site, steps, found) {
  const [stack, , part] = site.split("."), isCross = part === "cross";
  const rows = (stack === "encoder" ? found.source : isCross ? found.written : found.target).slice(0, MOST_SIDE);
  const columns = (stack === "encoder" || isCross ? found.source : found.target).slice(0, MOST_SIDE);
  make(own, "p", { class: "hint" }, say("maps_hint"));
  const readout = make(own, "p", { class: "readout wide-readout", "aria-live": "polite" }, say("point_at_map"));
  const line = make(own, "div", { class: "masks" });
  for (const { step, attention } of steps) {
    const figure = make(line, "figure", { class: "mask step-map", "data-step": step ?? "final" });
    make(figure, "figcaption", {}, nameOf(step));
    const svg = make(figure, "svg", { width: CELL * columns.length + 2, height: CELL * rows.length + 2, viewBox: `0 0 ${CELL * columns.length + 2} ${CELL * rows.length + 2}`, role: "img", "aria-label": `${site}, ${nameOf(step)}` });
    rows.forEach((to, y) => columns.forEach((from, x) => {
      const weight = attention[y][x], group = make(svg, "g", { class: "cell", "data-value": weight });
      make(group, "rect", { class: "cell-edge", x: 1 + CELL * x, y: 1 + CELL * y, width: CELL, height: CELL });
      make(group, "rect", { class: "bar", x: 1.5 + CELL * x, y: 1.5 + CELL * y, width: CELL - 1, height: CELL - 1, "fill-opacity": weight.toFixed(3) });
      group.addEventListener("pointerenter", () => { readout.textContent = `${nameOf(step)}, ${to} → ${from}: ${weight.toFixed(4)}`; });
    }));
  }
  savers(own, "checkpoints-attention", null, () => [["step", "row", "column", "weight"], ...steps.flatMap(({ step, attention }) => rows.flatMap((to, y) => columns.map((from, x) => [step ?? "final", to, from, attention[y][x]])))]);
}
