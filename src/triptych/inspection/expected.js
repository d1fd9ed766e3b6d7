/* What a language model expected: each token coloured by its surprise, and bars of the next tokens after the chosen one. */
const MOST_NATS = 8; // The colour is full from here on.
const STEPS = [0, 2, 4, 6, 8]; // nats in the legend
const shade = (nats) => tint(Math.min(1, nats / MOST_NATS), "--mark");
const percent = (p) => (p >= 0.0005 ? `${(100 * p).toFixed(1)} %` : "< 0.1 %");

function drawTotals(parent, expected) {
  for (const name of ["given", "own"]) {
    const total = expected[name];
    if (!total.tokens) continue;
    const figure = (value, digits) => (value === null ? "–" : value.toFixed(digits));
    const line = say("total", say(name), total.tokens, total.bytes, total.nats.toFixed(2), figure(total.bits_per_byte, 3), figure(total.perplexity, 2));
    const end = total.end_nats === null ? "" : say(name === "given" ? "with_end" : "end_own", (total.nats + total.end_nats).toFixed(2));
    make(parent, "p", { class: "total", "data-total": name, "data-nats": total.nats }, line + end);
  }
}

/** Draw bars with their labels beside them, or above them on a narrow screen; a long label wraps. */
function drawBars(parent, choices) {
  const list = make(parent, "div", { class: "bars", role: "list" });
  choices.forEach(([label, p, came]) => {
    const line = make(list, "div", { class: came ? "line chosen" : "line", role: "listitem", "data-probability": p, "data-actual": came });
    make(line, "span", { class: "label" }, label);
    const svg = make(line, "svg", { class: "measure", "aria-hidden": "true" });
    make(svg, "rect", { class: "track", width: "100%", height: "100%", rx: 2 });
    make(svg, "rect", { class: came ? "mark" : "bar", width: `${(100 * p).toFixed(2)}%`, height: "100%", rx: 2 });
    make(line, "span", { class: "number" }, `${percent(p)}${came ? ` ← ${say("actual")}` : ""}`);
  });
}

function drawNumbers(parent, trace) {
  const details = make(parent, "details");
  make(details, "summary", {}, say("numbers"));
  const table = make(make(details, "div", { class: "scroll", tabindex: "0" }), "table"), head = make(make(table, "thead"), "tr");
  for (const key of ["token", "nats", "next", "next_p"]) make(head, "th", { scope: "col" }, say(key));
  const body = make(table, "tbody");
  trace.source.forEach((cell, place) => {
    const row = make(body, "tr"), nats = trace.expected.nats[place], [label, p] = trace.expected.choices[place][0];
    make(row, "th", { scope: "row" }, cell.label);
    make(row, "td", nats === null ? {} : { "data-nats": nats }, nats === null ? "–" : nats.toFixed(3));
    make(row, "td", {}, label);
    make(row, "td", {}, percent(p));
  });
}

function drawExpected(parent, trace, state) {
  const { expected, source } = trace;
  make(parent, "h3", {}, say("surprise"));
  make(parent, "p", { class: "row-name" }, say("surprise_hint"));
  drawSteps(parent, STEPS, (nats) => (nats < MOST_NATS ? String(nats) : say("nats_scale", nats)), shade);
  const own = { token: state.place };
  const show = (place) => {
    state.place = own.token;
    const at = place >= 0 ? place : Math.max(0, expected.written - 1);
    flow.spans.forEach((span, t) => span.classList.toggle("chosen", t === at));
    bars.replaceChildren();
    const nats = expected.nats[at], word = `“${source[at].label}”`;
    make(bars, "h3", {}, `${say("after", word)}${nats === null ? "" : ` (${word}: ${nats.toFixed(2)} ${say("nats")})`}`);
    drawBars(bars, expected.choices[at]);
  };
  const flow = drawFlow(parent, source, own, (place) => show(place), "surprise_name");
  flow.holder.classList.add("surprise");
  flow.spans.forEach((span, t) => {
    const nats = expected.nats[t];
    if (nats !== null) {
      span.style.backgroundColor = shade(nats);
      span.setAttribute("data-nats", nats);
      span.setAttribute("title", `${source[t].label}: ${nats.toFixed(3)} ${say("nats")}`);
    }
    span.classList.toggle("own", t >= expected.written);
  });
  drawTotals(parent, expected);
  const bars = make(parent, "div", { class: "choices", "aria-live": "polite" });
  drawNumbers(parent, trace);
  show(state.place);
}
