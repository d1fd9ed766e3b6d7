/* Deletion curves of several attributions: how far the score falls as tokens are taken away. */
import { make } from "/static/viewer.js";
import { methodOf } from "/static/cards.js";
import { printed } from "/static/grid.js";
import { savers } from "/static/saving.js";
import { say } from "/static/texts.js";

const COLOURS = ["#1f77b4", "#c2410c", "#15803d", "#9333ea", "#be123c", "#64748b"];
const WIDTH = 420, HEIGHT = 220, LEFT = 46, LOW = 24;

/** Draw the curves into a card, the most faithful method in bold. */
export function drawCurve(own, deletion) {
  const names = Object.keys(deletion.fall).sort((a, b) => deletion.area[b] - deletion.area[a]);
  const all = Object.values(deletion.fall).flat(), top = Math.max(1e-9, ...all), bottom = Math.min(0, ...all);
  const x = (share) => LEFT + share * (WIDTH - LEFT - 14), y = (value) => 8 + ((top - value) / (top - bottom)) * (HEIGHT - LOW - 8);
  const svg = make(own, "svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, width: WIDTH, height: HEIGHT, class: "curves deletion", role: "img", "font-family": "system-ui, sans-serif", "font-size": 12,
    "aria-label": `${say("deletion")}: ${names.map((name) => `${methodOf(name)} ${printed(deletion.area[name])}`).join(", ")}` });
  for (const value of [bottom, 0, top].filter((one) => one === 0 || Math.abs(one) > (top - bottom) / 12)) {
    make(svg, "path", { class: "grid", d: `M${LEFT} ${y(value)}H${WIDTH - 14}`, fill: "none" });
    make(svg, "text", { class: "soft", x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, printed(value, false));
  }
  for (const share of [0, 0.5, 1]) make(svg, "text", { class: "soft", x: x(share), y: HEIGHT - 6, "text-anchor": share === 1 ? "end" : "middle" }, `${100 * share} %`);
  const legend = make(own, "p", { class: "legend" });
  names.forEach((name, place) => {
    const points = deletion.fall[name].map((value, at) => `${x(deletion.shares[at]).toFixed(1)} ${y(value).toFixed(1)}`).join("L");
    const path = make(svg, "path", { d: `M${points}`, fill: "none", stroke: COLOURS[place % COLOURS.length], "stroke-width": 2, "data-method": name, "data-area": deletion.area[name], ...(name === "random" && { "stroke-dasharray": "4 4" }) });
    make(path, "title", {}, methodOf(name));
    const key = make(legend, "span", { class: "run-key" }, `${methodOf(name)} ${printed(deletion.area[name])}`);
    key.style.setProperty("--colour", COLOURS[place % COLOURS.length]);
    if (name === deletion.most_faithful) key.style.fontWeight = 700;
  });
  savers(own, "deletion", () => svg, () => [["method", "share", "fall"], ...names.flatMap((name) => deletion.shares.map((share, at) => [name, share, deletion.fall[name][at]]))]);
}
