/* Show the values nearest to the pointer, or to a place chosen with the arrow keys; hide runs. */
const data = JSON.parse(document.getElementById("data").textContent);
const hidden = new Set();
const SVG = "http://www.w3.org/2000/svg";

/** Return where a number is, in pixels of the panel. */
function place([low, high, start, end], value, log = false) {
  const of = (number) => (log ? Math.log10(number) : number);
  return start + ((end - start) * (of(value) - of(low))) / (of(high) - of(low));
}

/** Return the point of a series whose x is nearest. */
function nearest(points, x) {
  let low = 0, high = points.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (points[middle][0] < x) low = middle;
    else high = middle;
  }
  return Math.abs(points[low][0] - x) <= Math.abs(points[high][0] - x) ? points[low] : points[high];
}

/** Return a number with five digits at most. */
function text(value) {
  const size = Math.abs(value);
  if (size >= 1000) return Math.round(value).toLocaleString("en");
  return size && size < 1e-3 ? value.toExponential(2) : String(Number(value.toPrecision(4)));
}

function make(parent, name, attributes) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  parent.append(node);
  return node;
}

function show(figure, panel, x) {
  const svg = figure.querySelector("svg"), readout = figure.querySelector(".readout");
  let marks = svg.querySelector(".marks");
  if (marks) marks.replaceChildren();
  else marks = make(svg, "g", { class: "marks" });
  if (x === null) return; // The words stay, so that nothing moves below them.
  readout.replaceChildren();
  const shown = panel.series.filter((one) => !hidden.has(one.run)).map((one) => [one, nearest(one.points, x)]);
  if (!shown.length) return;
  const at = shown.reduce((best, [, point]) => (Math.abs(point[0] - x) < Math.abs(best - x) ? point[0] : best), shown[0][1][0]);
  const [, , bottom, top] = panel.y, px = place(panel.x, at);
  make(marks, "path", { class: "cursor", d: `M${px} ${top}V${bottom}` });
  add(readout, `${data.axis} ${text(at)}`);
  const both = new Set(panel.series.map((one) => one.split)).size > 1;
  for (const [one, [u, v]] of shown) {
    make(marks, "circle", { class: `near run-${one.run % 8}`, cx: place(panel.x, u), cy: place(panel.y, v, panel.log), r: 4 });
    const where = text(u) === text(at) ? "" : ` @ ${text(u)}`;
    add(readout, `${data.names.length > 1 ? `${data.names[one.run]} ` : ""}${both ? `${data.words[one.split]} ` : ""}`, one.run).append(strong(text(v)), where);
  }
}

function add(parent, words, run = null) {
  const span = document.createElement("span");
  if (run !== null) {
    const swatch = document.createElement("i");
    swatch.className = `swatch run-${run % 8}`;
    span.append(swatch);
  }
  span.append(words);
  parent.append(span);
  return span;
}

function strong(words) {
  const node = document.createElement("b");
  node.textContent = words;
  return node;
}

document.querySelectorAll("figure").forEach((figure) => {
  const panel = data.panels[figure.dataset.panel], svg = figure.querySelector("svg");
  const [low, high, start, end] = panel.x;
  const stops = [...new Set(panel.series.flatMap((one) => one.points.map(([x]) => x)))].sort((a, b) => a - b);
  let stop = -1;
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect(), across = ((event.clientX - box.left) / box.width) * data.size[0];
    show(figure, panel, low + ((high - low) * (across - start)) / (end - start));
  });
  svg.addEventListener("pointerleave", () => show(figure, panel, null));
  figure.addEventListener("blur", () => show(figure, panel, null));
  figure.addEventListener("keydown", (event) => {
    const jump = Math.max(1, Math.round(stops.length / 50));
    const goals = { ArrowRight: stop + jump, ArrowLeft: stop < 0 ? stops.length - 1 : stop - jump, Home: 0, End: stops.length - 1 };
    if (!(event.key in goals)) return;
    stop = Math.min(Math.max(goals[event.key], 0), stops.length - 1);
    show(figure, panel, stops[stop]);
    event.preventDefault();
  });
});

document.querySelectorAll("nav button").forEach((button) => {
  button.addEventListener("click", () => {
    const run = Number(button.dataset.run), gone = !hidden.has(run);
    if (gone) hidden.add(run);
    else hidden.delete(run);
    button.setAttribute("aria-pressed", String(!gone));
    document.querySelectorAll(`svg [data-run="${run}"]`).forEach((line) => line.classList.toggle("hidden", gone));
  });
});
