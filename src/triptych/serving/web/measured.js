/* What `inspect --keep` measured over many sentences of a run: the most faithful attribution, development maps, gold arcs. */
import { make } from "/static/viewer.js";
import { ask } from "/static/asking.js";
import { card, methodOf, siteOf } from "/static/cards.js";
import { drawCurve } from "/static/deletion.js";
import { drawMap } from "/static/map_of_parts.js";
import { savers } from "/static/saving.js";
import { say } from "/static/texts.js";

const MOST = 20; // relations listed
const percent = (share) => `${(100 * share).toFixed(1)} %`;
const siteName = (site) => { const { row, head } = siteOf(site); return `${row}, ${say("head_number", head)}`; };

/** Draw what was measured of a run, or how to measure it. */
export async function drawMeasured(parent, run) {
  const found = await ask(`/v1/runs/${encodeURIComponent(run.name)}/inspection`);
  if (!parent.isConnected) return;
  parent.replaceChildren();
  make(make(parent, "section", { class: "wide" }), "h2", {}, say("measured"));
  if (!found.deletion && !found.ablation && !found.arcs) {
    make(make(parent, "section", { class: "card wide", "data-view": "measured-none" }), "p", { class: "hint" }, say("measured_none", run.name));
    return;
  }
  if (found.deletion) drawFaithful(parent, found.deletion);
  for (const map of found.ablation?.maps ?? []) {
    const own = card(parent, "measured-ablation", "ablation_measured", map.measure, map.examples, map.base.toFixed(3));
    drawMap(own, map, { unit: map.measure === "loss" ? say("nats") : map.measure });
  }
  if (found.arcs) drawArcs(parent, found.arcs);
}

function drawFaithful(parent, deletion) {
  const own = card(parent, "measured-deletion", "deletion_measured", deletion.sentences), best = methodOf(deletion.most_faithful);
  own.querySelector("h2").after(make(own, "p", { class: "answer", "data-method": deletion.most_faithful }, deletion.sure === undefined ? best : say("most_faithful", best, percent(deletion.sure))));
  if (deletion.complete === false) make(own, "p", { class: "note" }, say("incomplete"));
  drawCurve(own, deletion);
}

function drawArcs(parent, arcs) {
  const own = card(parent, "measured-arcs", "arcs_hint", arcs.sentences, arcs.file), label = make(own, "label", { class: "field" });
  make(label, "span", {}, say("relation"));
  const box = make(label, "select", { "data-key": "relation" }), holder = make(own, "div");
  arcs.relations.forEach((name, row) => make(box, "option", { value: row }, `${row ? name : say("all_relations")} (${arcs.counts[row]})`));
  const most = Math.max(...arcs.shares.flat(), 1e-9);
  const show = () => {
    const row = Number(box.value), changes = arcs.shares[row];
    holder.replaceChildren();
    make(holder, "p", { class: "hint" }, say("offsets", ...["-1", "+1"].map((one) => percent(arcs.offsets[one][row]))));
    drawMap(holder, { sites: arcs.sites, changes }, { name: "arcs", title: say("measured-arcs"), unit: say("share_of_words"), hasSign: false, most, print: percent, told: (site, value) => `${siteName(site)}: ${percent(value)}` });
  };
  box.addEventListener("change", show);
  show();
  const table = make(make(own, "div", { class: "scroll", tabindex: "0" }), "table", { class: "numbers" }), top = make(make(table, "thead"), "tr");
  for (const key of ["relation", "words_of_it", "best_head", "found_share", "best_offset"]) make(top, "th", { scope: "col" }, say(key));
  const body = make(table, "tbody");
  arcs.relations.slice(0, MOST).forEach((name, row) => {
    const best = arcs.shares[row].indexOf(Math.max(...arcs.shares[row])), offset = arcs.offsets["-1"][row] >= arcs.offsets["+1"][row] ? "-1" : "+1", line = make(body, "tr");
    make(line, "th", { scope: "row" }, row ? name : say("all_relations"));
    for (const text of [arcs.counts[row], siteName(arcs.sites[best]), percent(arcs.shares[row][best]), `${percent(arcs.offsets[offset][row])} (${offset})`]) make(line, "td", {}, text);
  });
  savers(own, "arcs", null, () => [["relation", "words", ...arcs.sites, "-1", "+1"], ...arcs.relations.map((name, row) => [name, arcs.counts[row], ...arcs.shares[row], arcs.offsets["-1"][row], arcs.offsets["+1"][row]])]);
}
