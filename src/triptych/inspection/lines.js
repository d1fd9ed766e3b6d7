/* Self-attention as lines over the text: from a token to those that it attends to. */
const FAINTEST = 0.03; // share of a token's strongest line; weaker ones are not drawn
const MOST_LINES = 32; // lines of a token; colours show the rest

/** Draw the text as tokens. One has the Tab stop, which arrow keys move; chosen(place) is called with -1 for none. */
function drawFlow(parent, cells, state, chosen, name = "flow_name") {
  const holder = make(parent, "div", { class: "flow", role: "group", "aria-label": say(name) });
  const spans = sentence(holder, cells, false);
  const svg = make(holder, "svg", { class: "lines", "aria-hidden": "true" });
  let stop = Math.max(state.token, 0);
  const reach = (place) => {
    spans[stop].setAttribute("tabindex", "-1");
    stop = place;
    spans[stop].setAttribute("tabindex", "0");
  };
  const pin = (place) => {
    state.token = state.token === place ? -1 : place;
    spans.forEach((span, t) => span.setAttribute("aria-pressed", String(t === state.token)));
    chosen(state.token);
  };
  spans.forEach((span, place) => {
    span.setAttribute("tabindex", "-1");
    span.setAttribute("role", "button");
    span.setAttribute("aria-pressed", String(place === state.token));
    span.addEventListener("pointerenter", () => chosen(place));
    span.addEventListener("pointerleave", () => chosen(state.token));
    span.addEventListener("focus", () => chosen(place));
    span.addEventListener("blur", () => chosen(state.token));
    span.addEventListener("click", () => { reach(place); pin(place); });
  });
  if (spans.length) reach(Math.min(stop, spans.length - 1));
  holder.addEventListener("keydown", (event) => {
    const goals = { ArrowRight: stop + 1, ArrowDown: stop + 1, ArrowLeft: stop - 1, ArrowUp: stop - 1, Home: 0, End: spans.length - 1 };
    if (event.key in goals) {
      reach(Math.min(Math.max(goals[event.key], 0), spans.length - 1));
      spans[stop].focus();
    } else if (event.key === "Enter" || event.key === " ") pin(stop);
    else if (event.key === "Escape" && state.token >= 0) pin(state.token);
    else return;
    event.preventDefault();
  });
  return { holder, spans, svg };
}

/** Return where a token's lines begin or end: the middle of its upper edge, in its first line of text. */
function anchor(span, holder) {
  const box = span.getClientRects()[0] || span.getBoundingClientRect(), around = holder.getBoundingClientRect();
  return [box.left - around.left + holder.scrollLeft + box.width / 2, box.top - around.top + holder.scrollTop];
}

function clearLines({ svg }) {
  svg.replaceChildren();
}

function drawLines(flow, t, weights) {
  const { holder, spans, svg } = flow;
  svg.replaceChildren();
  svg.setAttribute("width", holder.scrollWidth);
  svg.setAttribute("height", holder.scrollHeight);
  const most = weights.reduce((a, b) => Math.max(a, b), 1e-9), stroke = colour("--heat");
  const [x, y] = anchor(spans[t], holder);
  const least = [...weights].sort((a, b) => b - a)[Math.min(MOST_LINES, weights.length) - 1];
  weights.forEach((w, s) => {
    const share = w / most;
    if (share < FAINTEST || w < least) return;
    const [u, v] = anchor(spans[s], holder);
    const rise = Math.min(26, 8 + Math.abs(u - x) * 0.12), sameLine = Math.abs(v - y) < 4;
    const bend = sameLine ? `C${x} ${y - rise} ${u} ${v - rise} ${u} ${v}` : `Q${(x + u) / 2} ${(y + v) / 2 - 8} ${u} ${v}`;
    const path = s === t ? `M${x - 3} ${y}C${x - 16} ${y - 18} ${x + 16} ${y - 18} ${x + 3} ${y}` : `M${x} ${y}${bend}`;
    make(svg, "path", { d: path, fill: "none", stroke, "stroke-width": (0.8 + 2.2 * share).toFixed(2),
      "stroke-opacity": (0.12 + 0.78 * share).toFixed(3), "data-t": t, "data-s": s, "data-weight": w.toFixed(5) });
  });
}
