/* What can be done to a model from inside: heads off, the lens, states of another text, contributions, attributions. */
import { make } from "/static/viewer.js";
import { ask } from "/static/asking.js";
import { card, methodOf, siteOf, stageOf } from "/static/cards.js";
import { drawCurve } from "/static/deletion.js";
import { drawFollow } from "/static/followed.js";
import { drawBars, drawGrid, largest, printed } from "/static/grid.js";
import { drawMap } from "/static/map_of_parts.js";
import { say } from "/static/texts.js";

const FIRST = ["ablation", "contributions", "lens"], THEN = ["attributions", "deletion"];
const PAIRS = { // two texts that differ in one word
  "encoder-decoder": [["He reads a book.", "She reads a book."], ["I like cats.", "I like dogs."]],
  decoder: [["Once upon a time there was a boy. He", "Once upon a time there was a girl. He"], ["Lily was happy because she", "Lily was sad because she"]],
  encoder: [["He was very good.", "He was very bad."], ["she won the game", "she lost the game"]],
};

function drawAblation(parent, found) {
  for (const map of found.ablation) {
    const own = card(parent, "ablation", "ablation_hint", found.score.of || say("the_answer"), map.base.toFixed(3));
    drawMap(own, map);
    if (found.recurrent) make(own, "p", { class: "note" }, say("recurrent_ablation"));
  }
}

/** Draw a row for each stage, the last one on top, and a column for each token. */
function drawLens(parent, found) {
  const titles = (lens) => (lens.stack === "decoder" ? found.target : found.source);
  for (const lens of [...found.lens].reverse()) {
    const own = card(parent, "lens", lens.final_norm ? "lens_norm_hint" : "lens_hint", say(`stack_${lens.stack}`));
    own.querySelector("h2").append(`: ${say(`stack_${lens.stack}`)}`);
    if (lens.stack === "encoder" && found.architecture === "encoder-decoder") make(own, "p", { class: "note" }, say("lens_of_encoder"));
    const count = lens.final.length, known = titles(lens), columns = known.length === count ? known : lens.final.map((_, row) => String(row + 1));
    const cells = lens.stages.map((stage, s) => columns.map((column, t) => {
      const chances = lens.top.probabilities[s][t], answers = lens.answers[s][t];
      const list = answers.map((one, k) => `${one} ${chances[k].toFixed(3)}`).join(", ");
      return { value: chances[0], text: answers[0], isStrong: lens.top.ids[s][t][0] === lens.final[t],
        told: `${stageOf(stage)}, ${column}: ${list}. ${say("final_rank", lens.final_ranks[s][t], lens.final_probabilities[s][t].toFixed(4))}` };
    }));
    drawGrid(own, { name: `lens-${lens.stack}`, title: say("lens"), rows: lens.stages.map(stageOf).reverse(), columns, feet: lens.stack === "decoder" ? found.written : [], cells: cells.reverse(), most: 1, hasSign: false, unit: say("probability_unit"),
      table: () => [["stage", "position", "token", "answer", "probability", "final_probability", "final_rank"],
        ...lens.stages.flatMap((stage, s) => columns.map((column, t) => [stage, t + 1, column, lens.answers[s][t][0], lens.top.probabilities[s][t][0], lens.final_probabilities[s][t], lens.final_ranks[s][t]]))] });
    if (found.recurrent) make(own, "p", { class: "note" }, say("recurrent_lens"));
  }
}

function drawContributions(parent, found) {
  const { chosen, rival, difference, names, values } = found.contributions;
  const own = card(parent, "contributions", "contributions_hint", chosen, rival, difference.toFixed(3));
  drawBars(own, "contributions", say("contributions"), names.map((one) => (one.includes(".") ? `${siteOf(one).row}${siteOf(one).head ? ` ${say("head_number", siteOf(one).head)}` : ""}` : say(`stage_${one}`))), values);
}

/** Draw a row for each method, on one scale: shares of the method's largest value. */
function drawAttributions(parent, found) {
  const { axis, values } = found.attributions, tokens = found[axis], own = card(parent, "attributions", "attributions_hint", found.score.of || say("the_answer"), found.score.value.toFixed(3));
  const cells = Object.values(values).map((line) => {
    const most = largest(line);
    return line.map((value, place) => ({ value: value / most, text: printed(value), isStrong: Math.abs(value) === most, told: `${tokens[place]}: ${value.toFixed(5)}` }));
  });
  drawGrid(own, { name: "attributions", title: say("attributions"), rows: Object.keys(values).map(methodOf), columns: tokens, cells, most: 1, unit: say("share_unit"),
    table: () => [["method", ...tokens], ...Object.entries(values).map(([name, line]) => [name, ...line])] });
  if (found.recurrent) make(own, "p", { class: "note" }, say("recurrent_attributions"));
}

function drawDeletion(parent, { deletion }) {
  drawCurve(card(parent, "deletion", "deletion_hint", methodOf(deletion.most_faithful)), deletion);
}

function drawPatching(parent, found) {
  found.patching.forEach((map) => {
    const own = card(parent, "patching", "patching_hint", map.chosen, map.rival, map.base.toFixed(3), map.other.toFixed(3));
    const tokens = map.stack === "encoder" ? found.source : found.target, columns = tokens.map((one, place) => (one === map.other_tokens[place] ? one : `${one} ← ${map.other_tokens[place]}`));
    const most = largest(map.changes.flat());
    const cells = map.changes.map((line, layer) => line.map((value, place) => ({ value, text: printed(value), isStrong: Math.abs(value) > most / 2, told: `${layerOf(map.layers[layer])}, ${columns[place]}: ${value.toFixed(4)}` })));
    drawGrid(own, { name: "patching", title: say("patching"), rows: map.layers.map(layerOf).reverse(), columns, cells: cells.reverse(), most, unit: say("logits_unit") });
  });
}
const layerOf = (name) => (/^\d+$/.test(name) ? say("after_block", name) : say(`stage_${name}`));

const DRAWN = { ablation: drawAblation, contributions: drawContributions, lens: drawLens, attributions: drawAttributions, deletion: drawDeletion, patching: drawPatching };

/** Draw what was found; a view that the model cannot have says why. */
function drawViews(parent, found, views) {
  for (const view of views) {
    if (found.problems[view]) {
      const own = card(parent, view);
      make(own, "p", { class: "note" }, found.problems[view]);
    } else if (found[view]) DRAWN[view](parent, found);
  }
}

/**
 * Draw the researcher's views of an answer.
 * body: what /v1/interventions is asked of; state: {token, rival, other}, kept between calls; tell(words) says what goes on.
 */
export async function drawCloser(parent, body, run, state, tell) {
  parent.replaceChildren();
  const own = make(parent, "section", { class: "card wide", "data-view": "choice" }), [first, then, last] = ["", "", ""].map(() => make(parent, "div", { class: "cards" }));
  const asked = { ...body, token: state.token, ...(state.rival !== null && { rival: state.rival }) };
  const again = (changes) => { Object.assign(state, changes); return drawCloser(parent, body, run, state, tell); };
  tell(say("waiting"));
  const found = await ask("/v1/interventions", { ...asked, views: FIRST });
  if (!parent.isConnected || !own.isConnected) return;
  drawChoice(own, found, state, again, tell);
  drawViews(first, found, FIRST);
  drawOther(last, asked, run, state, tell);
  drawFollow(make(parent, "div", { class: "cards" }), asked, run, found.names, state, tell);
  const more = await ask("/v1/interventions", { ...asked, views: THEN });
  if (!own.isConnected) return;
  drawViews(then, more, THEN);
  tell("");
}

/** Draw the tokens of the answer, one of which is asked about, and the rival that it is compared with. */
function drawChoice(own, found, state, again, tell) {
  const failed = (error) => tell(say("failed", error.message));
  make(own, "h2", {}, say("choice"));
  make(own, "p", { class: "hint" }, say("choice_hint"));
  const answer = found.written.slice(found.answer_begins);
  if (answer.length) {
    const line = make(own, "div", { class: "controls tokens-line", role: "group", "aria-label": say("choice") });
    answer.forEach((label, place) => {
      const isChosen = place + 1 === state.token;
      make(line, "button", { type: "button", "aria-pressed": String(isChosen), class: isChosen ? "main" : "" }, label)
        .addEventListener("click", () => { again({ token: place + 1, rival: null }).then(() => own.isConnected, failed); });
    });
  } else if (found.score.of) make(own, "p", { class: "answer" }, found.score.of);
  if (!found.chosen) return;
  const label = make(own, "label", { class: "field" }), others = found.others.filter(([id]) => id !== found.chosen[0]);
  make(label, "span", {}, say("rival", found.chosen[1]));
  const box = make(label, "select", { "data-key": "rival" });
  if (!others.some(([id]) => id === found.rival[0])) others.push([...found.rival, null]);
  for (const [id, name, chance] of others) make(box, "option", { value: id }, chance === null ? name : `${name} (${(100 * chance).toFixed(1)} %)`).selected = id === found.rival[0];
  box.addEventListener("change", () => again({ rival: Number(box.value) }).catch(failed));
}

/** Draw the form that takes the second text, with pairs to try. */
function drawOther(parent, asked, run, state, tell) {
  const form = make(parent, "form", { class: "card wide", "data-view": "other" }), result = make(parent, "div", { class: "cards" });
  make(form, "h2", {}, say("other"));
  make(form, "p", { class: "hint" }, say("other_hint"));
  const label = make(form, "label", { class: "field text" });
  make(label, "span", {}, say("other_text"));
  const box = make(label, "input", { type: "text", maxlength: "2000", value: state.other, "data-key": "other" });
  const line = make(form, "div", { class: "controls" });
  make(line, "button", { type: "submit", class: "main" }, say("patch_go"));
  make(line, "span", { class: "soft" }, say("colon", say("pairs")));
  for (const [one, other] of PAIRS[run.architecture]) {
    make(line, "button", { type: "button", class: "example" }, `${one} / ${other}`).addEventListener("click", () => state.pair(one, other));
  }
  const go = async () => {
    state.other = box.value.trim();
    if (!state.other) { tell(say("empty")); return; }
    tell(say("waiting"));
    result.replaceChildren();
    try {
      const found = await ask("/v1/interventions", { ...asked, views: ["patching"], other: state.other });
      drawViews(result, found, ["patching"]);
      tell("");
    } catch (error) { tell(say("failed", error.message)); }
  };
  form.addEventListener("submit", (event) => { event.preventDefault(); go(); });
  if (state.other) go();
}
