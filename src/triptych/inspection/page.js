/* Draw every trace as one panel: input and answer, selectors, lines over the text or a heat map, attribution. */
const SIDES = { cross: ["target", "source"], encoder: ["source", "source"], decoder: ["inputs", "inputs"],
  causal: ["source", "source"] };

function sentence(parent, cells, isActive) {
  return cells.map((cell, place) => {
    const text = place ? cell.text : cell.text.trimStart(), isBreak = !text.trim() && text.includes("\n");
    const shown = isBreak ? text.replaceAll("\n", "⏎\n") : text || ` ${cell.label}`, kind = cell.text ? "token" : "token special";
    const span = make(parent, "span", { class: kind, title: `${say("pieces")}: ${cell.pieces.join(" ")}` }, shown);
    if (isActive) span.setAttribute("tabindex", "0");
    return span;
  });
}

function choice(parent, key, options, chosen, changed) {
  const label = make(parent, "label", {}, `${say(key)} `);
  const select = make(label, "select", { "data-key": key });
  for (const [value, text] of options) {
    const option = make(select, "option", { value }, text);
    option.selected = String(value) === String(chosen);
  }
  select.addEventListener("change", () => changed(select.value));
}

/** Write the texts of both sides and the answer's score; return the spans of each side that is written out. */
function facts(panel, trace) {
  if (trace.window[1] > 1) make(panel, "p", { class: "note" }, say("window", ...trace.window));
  const list = make(panel, "dl"), spans = { source: [], target: [] };
  if (trace.target.length) {
    for (const side of ["source", "target"]) {
      make(list, "dt", {}, say(side));
      spans[side] = sentence(make(list, "dd"), trace[side], side === "target" && "cross" in trace.attention);
    }
    make(list, "dt", {}, say("score"));
    make(list, "dd", {}, trace.log_probabilities.reduce((a, b) => a + b, 0).toFixed(2));
  } else if (trace.target_text) {
    make(list, "dt", {}, say(trace.expected ? "written" : "answer"));
    make(list, "dd", { class: "answer" }, trace.target_text);
  }
  for (const note of trace.notes) make(panel, "p", { class: "note" }, say(`note_${note}`));
  return spans;
}

function selectors(panel, trace, state, weights) {
  const kinds = Object.keys(trace.attention), [layers, heads] = weights.shape;
  const controls = make(panel, "div", { class: "controls" });
  const focus = (key) => panel.querySelector(`select[data-key="${key}"]`).focus(); // The keyboard's focus stays on the selector.
  const change = (key) => (value) => {
    redraw(panel, trace, state, () => { state[key] = key === "kind" ? value : Number(value); });
    focus(key);
  };
  const numbered = (count) => [[-1, say("mean")], ...[...Array(count).keys()].map((i) => [i, i + 1])];
  const changeKind = (value) => { state.layer = state.head = state.token = -1; change("kind")(value); };
  if (kinds.length > 1) choice(controls, "kind", kinds.map((kind) => [kind, say(kind)]), state.kind, changeKind);
  if (layers > 1) choice(controls, "layer", numbered(layers), state.layer, change("layer"));
  if (heads > 1) choice(controls, "head", numbered(heads), state.head, change("head"));
  if (layers * heads > 1) {
    const scales = ["view", "all"].map((name) => [name, say(`scale_${name}`)]);
    choice(controls, "scale", scales, colours.scale, (value) => { colours.scale = value; draw(); focus("scale"); });
  }
  return controls;
}

/** Change what one panel shows; the others follow where that changes the scale of all. */
function redraw(panel, trace, state, change) {
  const scales = () => ["cross", "encoder", "decoder", "causal"].map((kind) => mostOf(kind)).concat(fullColour(receivedByAll())).join(" "), before = scales();
  change();
  if (scales() === before) drawPanel(panel, trace, state);
  else draw();
}

function drawPanel(panel, trace, state) {
  panel.replaceChildren();
  make(panel, "h2", {}, trace.label);
  const spans = facts(panel, trace);
  if (trace.expected) drawExpected(make(panel, "div", { class: "expected" }), trace, state);
  if (!Object.keys(trace.attention).length) return;
  const { weights, map } = viewOf(trace, state), most = mostOf(state.kind);
  const controls = selectors(panel, trace, state, weights);
  const [rowSide, columnSide] = SIDES[state.kind];
  const isOwn = rowSide === columnSide;
  const flow = isOwn ? drawFlow(panel, trace[rowSide], state, (t) => (t < 0 ? clear() : onWord(t))) : null;
  const own = flow ? [flow.spans] : [spans.source, spans.target];
  const readout = make(panel, "p", { class: "readout", "aria-live": "polite" });
  const looking = (t) => (flow ? flow.spans : spans[rowSide])[t], seen = (s) => (flow ? flow.spans : spans[columnSide])[s];

  const clear = () => {
    for (const span of own.flat()) { span.style.backgroundColor = ""; span.classList.remove("chosen"); }
    if (flow) clearLines(flow);
    readout.textContent = `${say(flow ? "flow" : "hint")} ${say("most", short(most))}`;
  };
  const lightUp = (t) => {
    clear();
    looking(t).classList.add("chosen");
    map.table[t].forEach((w, s) => { seen(s).style.backgroundColor = tint(Math.min(1, w / most)); });
    if (flow) drawLines(flow, t, map.table[t]);
  };
  const name = (side, place) => `“${trace[side][place].label}”`;
  const onCell = (t, s) => {
    lightUp(t);
    const chance = rowSide === "target" ? `; ${say("probability")} ${name(rowSide, t)} ${short(Math.exp(trace.log_probabilities[t]))}` : "";
    readout.textContent = `${name(rowSide, t)} → ${name(columnSide, s)}: ${say("weight")} ${map.table[t][s].toFixed(3)}${chance}`;
  };
  const onWord = (t) => {
    lightUp(t);
    const best = map.table[t].map((w, s) => [w, s]).sort((a, b) => b[0] - a[0]).slice(0, 4);
    const first = flow ? say("looks", name(rowSide, t)) : name(rowSide, t);
    readout.textContent = `${first}: ${best.map(([w, s]) => `${name(columnSide, s)} ${w.toFixed(3)}`).join(", ")}`;
  };
  const rest = () => (state.token >= 0 && flow ? onWord(state.token) : clear());
  if (isOwn && !trace.target.length && !trace.expected) drawAttribution(make(panel, "div", { class: "attribution" }), trace, receivedBy(map.table));
  if (isMasked(state.kind)) make(panel, "p", { class: "mask-note" }, say("mask"));
  const svg = drawMap(make(panel, "div", { class: "scroll", tabindex: "0" }), trace, state, map.table, most, onCell);
  drawHeads(panel, trace, state, (layer, head) => {
    redraw(panel, trace, state, () => Object.assign(state, { layer, head }));
    panel.querySelector('.heads [aria-pressed="true"]').focus();
  });
  svg.addEventListener("pointerleave", rest);
  if (!flow) {
    spans.target.forEach((span, t) => {
      for (const event of ["pointerenter", "focus"]) span.addEventListener(event, () => onWord(t));
      for (const event of ["pointerleave", "blur"]) span.addEventListener(event, clear);
    });
  }
  make(controls, "button", { type: "button" }, say("download")).addEventListener("click", () => save(svg, trace.label));
  rest();
}

function draw() {
  panels.forEach(([panel, trace, state]) => drawPanel(panel, trace, state));
}

/** Add a panel that shows a trace; `token` is the one chosen at first, -1 for none. */
function addPanel(parent, trace, token = -1) {
  const kinds = Object.keys(trace.attention), kind = kinds.includes("cross") ? "cross" : kinds[0];
  const isEncoder = kind === "encoder" || kind === "causal"; // The last layer is the one closest to the answer.
  const layer = isEncoder ? trace.attention[kind].shape[0] - 1 : -1;
  const chosen = isEncoder && token < trace.source.length ? token : -1;
  const panel = [make(parent, "section"), trace, { kind, layer, head: -1, token: chosen, place: chosen }];
  panels.push(panel);
  return panel;
}
