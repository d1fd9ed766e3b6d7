/* Training curves of the runs that are served, laid over each other, and followed while a run trains. */
import { make } from "/static/viewer.js";
import { ask } from "/static/asking.js";
import { savers } from "/static/saving.js";
import { say } from "/static/texts.js";

const WIDTH = 560, HEIGHT = 260, LEFT = 56, BOTTOM = 42, EVERY = 5000; // pixels; milliseconds
const COLOURS = ["--heat", "--mark", "--object", "--soft"];
const SKIP = new Set(["step", "epoch", "tokens", "seconds", "learning_rate", "gradient_norm", "tokens_per_second"]);

/** Return {"validation loss": {run: [[step, value], …]}, …} of the metrics of several runs. */
export function series(found) {
  const all = {};
  for (const { model, metrics } of found) {
    for (const line of metrics) {
      if (typeof line.step !== "number") continue;
      for (const [name, value] of Object.entries(line)) {
        if (typeof value !== "number" || SKIP.has(name)) continue;
        ((all[`${line.split ?? "train"} ${name}`] ??= {})[model] ??= []).push([line.step, value]);
      }
    }
  }
  return all;
}

function nice(least, most) {
  const span = most - least || Math.abs(most) || 1, step = 10 ** Math.floor(Math.log10(span / 3)), size = [1, 2, 5, 10].map((one) => one * step).find((one) => span / one <= 5);
  const found = [];
  for (let at = Math.ceil(least / size) * size; at <= most + size * 1e-6; at += size) found.push(at);
  return found;
}

function drawPanel(parent, name, runs, names) {
  const card = make(parent, "section", { class: "card" }), [split, ...metric] = name.split(" "), title = ["train", "validation"].includes(split) ? say(`split_${split}`, metric.join(" ")) : name;
  make(card, "h2", {}, title);
  const points = Object.values(runs).flat(), xs = points.map(([x]) => x), ys = points.map(([, y]) => y).filter(Number.isFinite);
  const [x0, x1, y0, y1] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const x = (value) => LEFT + ((value - x0) / (x1 - x0 || 1)) * (WIDTH - LEFT - 12), y = (value) => 10 + (1 - (value - y0) / (y1 - y0 || 1)) * (HEIGHT - BOTTOM - 10);
  const svg = make(card, "svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, width: WIDTH, height: HEIGHT, class: "curves", role: "img", "font-size": 12, "font-family": "system-ui, sans-serif",
    "aria-label": `${title}: ${Object.entries(runs).map(([run, line]) => `${run} ${line.at(-1)[1]}`).join(", ")}` });
  for (const value of nice(y0, y1)) {
    make(svg, "path", { class: "grid", d: `M${LEFT} ${y(value)}H${WIDTH - 12}`, fill: "none" });
    make(svg, "text", { class: "soft", x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, Number(value.toPrecision(4)));
  }
  for (const value of nice(x0, x1)) make(svg, "text", { class: "soft", x: x(value), y: HEIGHT - 22, "text-anchor": "middle" }, Math.round(value));
  make(svg, "text", { class: "soft", x: LEFT + (WIDTH - LEFT - 12) / 2, y: HEIGHT - 6, "text-anchor": "middle" }, say("steps_axis"));
  for (const [run, line] of Object.entries(runs)) {
    const colour = `var(${COLOURS[names.indexOf(run) % COLOURS.length]})`;
    const path = make(svg, "path", { d: `M${line.map(([a, b]) => `${x(a).toFixed(1)} ${y(b).toFixed(1)}`).join("L")}`, fill: "none", "stroke-width": 2, "data-run": run, "data-last": line.at(-1)[1] });
    path.style.stroke = colour;
    if (line.length <= 12) for (const [a, b] of line) make(svg, "circle", { cx: x(a), cy: y(b), r: 3 }).style.fill = colour;
  }
  const legend = make(card, "p", { class: "legend" });
  for (const run of Object.keys(runs)) {
    const entry = make(legend, "span", { class: "run-key" }, `${run}: ${Number(runs[run].at(-1)[1].toPrecision(5))}`);
    entry.style.setProperty("--colour", `var(${COLOURS[names.indexOf(run) % COLOURS.length]})`);
  }
  savers(card, name.replaceAll(" ", "-"), () => svg, () => [["run", "step", name], ...Object.entries(runs).flatMap(([run, line]) => line.map(([a, b]) => [run, a, b]))]);
}

export function drawCurves(parent, runs) {
  const names = runs.filter((one) => one.curves).map((one) => one.name), chosen = new Set(names);
  const line = make(parent, "div", { class: "controls" });
  for (const name of names) {
    const label = make(line, "label"), box = make(label, "input", { type: "checkbox" });
    box.checked = true;
    label.append(` ${name}`);
    box.addEventListener("change", () => { if (box.checked) chosen.add(name); else chosen.delete(name); refresh(); });
  }
  const label = make(line, "label"), follow = make(label, "input", { type: "checkbox" });
  label.append(` ${say("live")}`);
  const holder = make(parent, "div", { class: "cards" });
  let last = "";
  const refresh = async () => {
    const found = await Promise.all([...chosen].map((name) => ask(`/v1/runs/${encodeURIComponent(name)}/metrics`)));
    const text = JSON.stringify(found);
    if (text === last) return;
    last = text;
    holder.replaceChildren();
    const all = series(found);
    if (!Object.keys(all).length) make(holder, "p", {}, say("no_curves"));
    const order = (name) => (name.endsWith(" loss") ? 0 : name.startsWith("validation") ? 1 : 2);
    for (const name of Object.keys(all).sort((a, b) => order(a) - order(b) || a.localeCompare(b))) drawPanel(holder, name, all[name], names);
  };
  const timer = setInterval(() => { if (!holder.isConnected) clearInterval(timer); else if (follow.checked) refresh(); }, EVERY);
  return refresh();
}
