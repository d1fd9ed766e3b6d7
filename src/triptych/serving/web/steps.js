/* The answer step by step: what could have come, what came, and what another choice would lead to. */
import { make } from "/static/viewer.js";
import { savers } from "/static/saving.js";
import { say } from "/static/texts.js";

const PACE = 900; // milliseconds of a step that is played
const percent = (p) => (p >= 0.0005 ? `${(100 * p).toFixed(1)} %` : "< 0.1 %");

/** Return the rows of the table of all steps. */
export const stepRows = (trace) => [["step", "token", "probability", "written"],
  ...trace.steps.flatMap((choices, step) => choices.map(([label, p, came]) => [step + 1, label, p, came]))];

/**
 * Draw the steps of an answer.
 * state: {step, chosen: labels chosen so far}; branch(prefix ids, label, step) asks for another answer.
 */
export function drawSteps(parent, trace, state, branch, reset) {
  const card = make(parent, "section", { class: "card wide steps-card" });
  make(card, "h2", {}, say("steps"));
  make(card, "p", { class: "hint" }, say("steps_hint"));
  if (state.chosen.length) {
    const line = make(card, "p", { class: "branched" }, `${say("branched", state.from + 1, state.chosen.join(" "))} `);
    make(line, "button", { type: "button" }, say("original")).addEventListener("click", reset);
  }
  const count = trace.steps.length;
  state.step = Math.max(0, Math.min(state.step, count - 1));
  const controls = make(card, "div", { class: "controls" });
  const back = make(controls, "button", { type: "button" }, say("previous"));
  const label = make(controls, "label", { class: "slider" });
  const where = make(label, "span");
  const slider = make(label, "input", { type: "range", min: "0", max: String(count - 1), value: String(state.step) });
  const ahead = make(controls, "button", { type: "button" }, say("next"));
  const play = make(controls, "button", { type: "button" }, say("play"));
  const written = make(card, "p", { class: "written" }), list = make(card, "div", { class: "bars choices-list", role: "list" });
  const ids = trace.steps.map((choices) => choices.find(([, , came]) => came)[3]);
  let timer = 0;

  const show = (step) => {
    state.step = step;
    slider.value = String(step);
    slider.setAttribute("aria-valuetext", say("step", step + 1, count));
    where.textContent = say("step", step + 1, count);
    back.disabled = step === 0;
    ahead.disabled = step === count - 1;
    written.replaceChildren();
    make(written, "span", { class: "soft" }, say("colon", say("before")));
    const before = trace.target.filter((_, place) => (trace.first_tokens[place] ?? 0) < step);
    if (!before.length) make(written, "span", { class: "soft" }, say("nothing_yet"));
    for (const one of before) make(written, "span", { class: "token" }, one.text || ` ${one.label}`);
    list.replaceChildren();
    for (const [text, p, came, id] of trace.steps[step]) {
      const line = make(list, "div", { class: came ? "line chosen" : "line", role: "listitem", "data-probability": p, "data-id": id });
      make(line, "span", { class: "label" }, text);
      const svg = make(line, "svg", { class: "measure", "aria-hidden": "true" });
      make(svg, "rect", { class: "track", width: "100%", height: "100%", rx: 2 });
      make(svg, "rect", { class: came ? "mark" : "bar", width: `${(100 * p).toFixed(2)}%`, height: "100%", rx: 2 });
      const end = make(line, "span", { class: "number" }, percent(p));
      if (came) end.append(` ← ${say("chosen")}`);
      else {
        make(end, "button", { type: "button", class: "branch", "aria-label": say("branch", text), title: say("branch", text) }, "↳")
          .addEventListener("click", () => { stop(); branch([...ids.slice(0, step), id], text, step); });
      }
    }
  };
  const stop = () => { clearInterval(timer); timer = 0; play.textContent = say("play"); };
  play.addEventListener("click", () => {
    if (timer) { stop(); return; }
    play.textContent = say("pause");
    if (state.step === count - 1) show(0);
    timer = setInterval(() => {
      if (!card.isConnected || state.step >= count - 1) stop();
      else show(state.step + 1);
    }, PACE);
  });
  back.addEventListener("click", () => { stop(); show(state.step - 1); });
  ahead.addEventListener("click", () => { stop(); show(state.step + 1); });
  slider.addEventListener("input", () => { stop(); show(Number(slider.value)); });
  show(state.step);
  savers(card, "steps", null, () => stepRows(trace));
}
