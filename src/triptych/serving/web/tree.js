/* The tree of a beam search: columns are steps, rows hypotheses; the answer's path is bold. */
import { make } from "/static/viewer.js";
import { savers } from "/static/saving.js";
import { say } from "/static/texts.js";

const ROW = 22, GAP = 26, MARGIN = 12, MOST_ROWS = 80;
const pen = document.createElement("canvas").getContext("2d");
const widthOf = (text) => { pen.font = "14px system-ui, sans-serif"; return pen.measureText(text).width; };

/** Return the branches to draw: the answer's, whole ones, and the likeliest others. */
function kept(tree) {
  const best = new Set(tree.best), keep = new Set();
  const add = (place) => { for (let at = place; at >= 0 && !keep.has(at); at = tree.branches[at].parent) keep.add(at); };
  tree.best.forEach(add);
  const others = [...tree.branches.keys()].filter((place) => !best.has(place))
    .sort((a, b) => (tree.branches[b].fate === "finished") - (tree.branches[a].fate === "finished") || tree.branches[b].log_probability - tree.branches[a].log_probability);
  for (const place of others.slice(0, MOST_ROWS)) add(place);
  return [...keep].sort((a, b) => a - b);
}

export function drawTree(parent, tree) {
  if (!tree?.branches?.length) return;
  const card = make(parent, "section", { class: "card wide" });
  make(card, "h2", {}, say("tree"));
  make(card, "p", { class: "hint" }, say("tree_hint", tree.beams));
  const shown = kept(tree), best = new Set(tree.best), children = new Map(), rows = new Map();
  for (const place of shown) {
    const { parent: above } = tree.branches[place];
    children.set(above, [...(children.get(above) ?? []), place]);
  }
  for (const list of children.values()) list.sort((a, b) => best.has(b) - best.has(a) || tree.branches[b].log_probability - tree.branches[a].log_probability);
  let next = 0;
  const settle = (place) => {
    const below = children.get(place) ?? [];
    if (!below.length) { rows.set(place, next); next += 1; return; }
    below.forEach(settle);
    rows.set(place, rows.get(below[0]));
  };
  (children.get(-1) ?? []).forEach(settle);
  const widths = [];
  for (const place of shown) {
    const { depth, label } = tree.branches[place];
    widths[depth] = Math.max(widths[depth] ?? 0, widthOf(label), 40);
  }
  const xs = [MARGIN];
  for (let depth = 1; depth < widths.length; depth += 1) xs[depth] = depth === 1 ? MARGIN + GAP : xs[depth - 1] + (widths[depth - 1] ?? 40) + GAP;
  const width = (xs.at(-1) ?? 0) + (widths.at(-1) ?? 40) + MARGIN * 2, height = MARGIN * 2 + next * (ROW + 8);
  const y = (place) => MARGIN + (place < 0 ? 0 : rows.get(place)) * (ROW + 8) + 12;
  const svg = make(make(card, "div", { class: "scroll", tabindex: "0" }), "svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", class: "tree",
    "font-family": "system-ui, sans-serif", "font-size": 14, "aria-label": `${say("tree")}: ${tree.text}` });
  for (const place of shown) {
    const { parent: above, depth } = tree.branches[place], from = depth === 1 ? MARGIN : xs[depth - 1] + widthOf(tree.branches[above].label) + 4;
    make(svg, "path", { d: `M${from} ${y(above < 0 ? (tree.best[0] ?? shown[0]) : above) - 5}L${xs[depth] - 4} ${y(place) - 5}`, fill: "none",
      class: best.has(place) ? "edge best" : "edge", "stroke-width": best.has(place) ? 2.5 : 1, "stroke-opacity": best.has(place) ? 1 : 0.5 });
  }
  for (const place of shown) {
    const one = tree.branches[place], isBest = best.has(place);
    const group = make(svg, "g", { "data-place": place, "data-log-probability": one.log_probability, class: `node ${one.fate}` });
    make(group, "title", {}, `${one.label}: ${one.log_probability.toFixed(3)} (${one.fate})`);
    make(group, "text", { x: xs[one.depth], y: y(place), class: "ink", "font-weight": isBest ? 700 : 400, "fill-opacity": isBest || one.fate === "finished" ? 1 : 0.65 }, one.label);
    make(group, "text", { x: xs[one.depth], y: y(place) + 11, class: "soft", "font-size": 10 }, one.log_probability.toFixed(2));
  }
  savers(card, "beam-tree", () => svg, () => [["place", "parent", "depth", "token", "log_probability", "fate", "answer"],
    ...tree.branches.map((one, place) => [place, one.parent, one.depth, one.label, one.log_probability, one.fate, Number(best.has(place))])]);
}
