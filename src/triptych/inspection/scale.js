/* One scale of colours for all panels, and the colour bar that shows its numbers. */
const STRETCH = 160, LEGEND = 324, BAR_HEIGHT = 46; // pixels: the colour bar, the same with its words, the space above a map
const SWATCHES = 32;
const panels = []; // [element, trace, state] of everything that is shown

/** "view": full colour is the largest weight that any panel now shows; "all": that of every layer and head. */
const colours = { scale: "view" };

/** Return one trace's weights of a kind with the view that is chosen, each computed once. */
function viewOf(trace, state) {
  const known = (trace.views ??= {}), key = `${state.kind} ${state.layer} ${state.head}`;
  const weights = (known[state.kind] ??= unpack(trace.attention[state.kind]));
  return { weights, map: (known[key] ??= tabulate(weights, state.layer, state.head)) };
}

const alike = (kind) => panels.filter(([, trace, state]) => state.kind === kind && kind in trace.attention);

/** Return the largest weight of every layer and head, over all panels of a kind of attention. */
const mostOfAll = (kind) => alike(kind).reduce((most, [, trace, state]) => Math.max(most, viewOf(trace, state).weights.most()), 1e-9);

/** Return the weight that has the full colour in every panel of a kind of attention. */
function mostOf(kind) {
  if (colours.scale === "all") return mostOfAll(kind);
  return alike(kind).reduce((most, [, trace, state]) => Math.max(most, viewOf(trace, state).map.most), 1e-9);
}

const strengthOf = (w, most) => 0.03 + 0.97 * Math.min(1, w / most);

/** Draw the colours from 0 to `most` with three numbers. */
function drawColourBar(svg, most, x, y, isShared) {
  const group = make(svg, "g", { class: "colour-bar", "data-most": most.toFixed(5), "font-size": 12 });
  const fill = colour("--heat"), soft = colour("--soft"), step = STRETCH / SWATCHES;
  make(group, "title", {}, `${say("weight")}: 0 – ${short(most)}`);
  for (let n = 0; n < SWATCHES; n += 1) {
    make(group, "rect", { x: (x + n * step).toFixed(1), y, width: step + 0.2, height: 11, fill, "fill-opacity": strengthOf(n, SWATCHES - 1).toFixed(3) });
  }
  [0, 0.5, 1].forEach((share) => {
    const at = x + share * STRETCH;
    make(group, "path", { d: `M${at} ${y + 11}v4`, stroke: soft, fill: "none" });
    make(group, "text", { x: at, y: y + 27, fill: soft, "text-anchor": share === 0 ? "start" : share === 1 ? "end" : "middle" }, share ? short(share * most) : "0");
  });
  make(group, "text", { x: x + STRETCH + 10, y: y + 10, fill: soft }, say(isShared ? "one_scale" : "weight"));
}

/** Write numbers on their colours, for a row of coloured tokens. */
function drawSteps(parent, values, written, background) {
  const legend = make(parent, "p", { class: "legend steps" });
  for (const value of values) make(legend, "span", { class: "token" }, ` ${written(value)} `).style.backgroundColor = background(value);
  return legend;
}
