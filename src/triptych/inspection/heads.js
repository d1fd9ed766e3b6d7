/* Every layer and head as a small map, side by side on one scale; a click shows one of them large. */
const SMALL_MAP = [44, 104]; // pixels: the shortest and the longest side of a small map

/** Return "#rrggbb" as numbers. */
const channels = (name) => [1, 3, 5].map((at) => Number.parseInt(colour(name).slice(at, at + 2), 16));

/** Paint one head, a pixel for each weight. */
function paint(canvas, read, most, [red, green, blue]) {
  const { width, height } = canvas, pen = canvas.getContext("2d"), image = pen.createImageData(width, height);
  for (let t = 0; t < height; t += 1) {
    for (let s = 0; s < width; s += 1) image.data.set([red, green, blue, Math.round(255 * strengthOf(read(t, s), most))], 4 * (t * width + s));
  }
  pen.putImageData(image, 0, 0);
}

function drawHeads(parent, trace, state, chosen) {
  const { weights } = viewOf(trace, state), [layers, heads, rows, columns] = weights.shape;
  if (layers * heads < 2) return;
  const details = make(parent, "details", { class: "heads" });
  make(details, "summary", {}, say("heads"));
  const fill = () => {
    if (details.querySelector("table")) return;
    const most = mostOfAll(state.kind), heat = channels("--heat");
    make(details, "p", { class: "row-name" }, say("heads_hint"));
    const holder = make(details, "div", { class: "scroll", tabindex: "0" });
    const bar = make(holder, "svg", { width: LEGEND, height: BAR_HEIGHT, viewBox: `0 0 ${LEGEND} ${BAR_HEIGHT}`, "font-family": FONT, "aria-hidden": "true" });
    drawColourBar(bar, most, 2, 8, panels.length > 1);
    const [least, longest] = SMALL_MAP, long = Math.max(rows, columns), size = (count) => Math.max(least, (longest * count) / long);
    const table = make(holder, "table"), top = make(make(table, "thead"), "tr");
    make(top, "th");
    for (let h = 0; h < heads; h += 1) make(top, "th", { scope: "col" }, `${say("head")} ${h + 1}`);
    const body = make(table, "tbody");
    for (let l = 0; l < layers; l += 1) {
      const row = make(body, "tr");
      make(row, "th", { scope: "row" }, `${say("layer")} ${l + 1}`);
      for (let h = 0; h < heads; h += 1) {
        const name = `${say("layer")} ${l + 1}, ${say("head")} ${h + 1}`, isChosen = l === state.layer && h === state.head;
        const button = make(make(row, "td"), "button", { type: "button", title: name, "aria-label": name, "aria-pressed": String(isChosen) });
        const canvas = make(button, "canvas", { width: columns, height: rows });
        canvas.style.width = `${size(columns)}px`;
        canvas.style.height = `${size(rows)}px`;
        paint(canvas, (t, s) => weights.read(l, h, t, s), most, heat);
        button.addEventListener("click", () => chosen(l, h));
      }
    }
  };
  details.open = Boolean(state.headsOpen);
  if (details.open) fill();
  details.addEventListener("toggle", () => { state.headsOpen = details.open; if (details.open) fill(); });
}
