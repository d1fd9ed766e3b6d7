/* What the researcher's views have in common: their cards, and the names of parts, stages and methods. */
import { make } from "/static/viewer.js";
import { say } from "/static/texts.js";

export const siteOf = (name) => { const [stack, layer, part, head] = name.split("."); return { row: `${say(`stack_${stack}`)} ${layer} ${say(`part_${part}`)}`, head }; };
export const methodOf = (name) => say(`method_${name}`);
export const stageOf = (name) => { const [layer, part] = name.split("."); return part ? `${layer} ${say(`part_${part}`)}` : say(`stage_${name}`); };

export function card(parent, key, hint, ...values) {
  const found = make(parent, "section", { class: "card wide", "data-view": key });
  make(found, "h2", {}, say(key));
  if (hint) make(found, "p", { class: "hint" }, say(hint, ...values));
  return found;
}
