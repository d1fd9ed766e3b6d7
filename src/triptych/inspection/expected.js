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

function drawLegend(parent) {
  const legend = make(parent, "p", { class: "legend" });
  for (const nats of STEPS) {
    const text = nats < MOST_NATS ? String(nats) : say("nats_scale", nats);
    make(legend, "span", { class: "token" }, ` ${text} `).style.backgroundColor = shade(nats);
  }
}

function drawBars(parent, choices) {
  const row = 24, track = 220, widest = choices.reduce((most, [label]) => Math.max(most, measure(label)), 40), left = Math.min(widest, 260) + 12;
  const height = row * choices.length, width = left + track + 90 + measure(say("actual")) * 1.2;
  const svg = make(parent, "svg", { class: "bars", width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "font-family": FONT, "font-size": 14,
    "aria-label": choices.map(([label, p, came]) => `${label} ${percent(p)}${came ? ` ${say("actual")}` : ""}`).join("; ") });
  choices.forEach(([label, p, came], place) => {
    const group = make(svg, "g", { "data-probability": p, "data-actual": came }), y = place * row, weight = came ? { "font-weight": 700 } : {};
    make(group, "text", { class: "ink", x: left - 8, y: y + 17, "text-anchor": "end", ...weight }, label);
    make(group, "rect", { class: "track", x: left, y: y + 5, width: track, height: row - 10, rx: 2 });
    make(group, "rect", { class: came ? "mark" : "bar", x: left, y: y + 5, width: track * p, height: row - 10, rx: 2 });
    make(group, "text", { class: "ink", x: left + track + 8, y: y + 17, ...weight }, `${percent(p)}${came ? ` ← ${say("actual")}` : ""}`);
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
  drawLegend(parent);
  const own = { token: state.place };
  const show = (place) => {
    state.place = own.token;
    const at = place >= 0 ? place : Math.max(0, expected.written - 1);
    flow.spans.forEach((span, t) => span.classList.toggle("chosen", t === at));
    bars.replaceChildren();
    const nats = expected.nats[at], word = `“${source[at].label}”`;
    make(bars, "h3", {}, `${say("after", word)}${nats === null ? "" : ` (${word}: ${nats.toFixed(2)} ${say("nats")})`}`);
    drawBars(make(bars, "div", { class: "scroll", tabindex: "0" }), expected.choices[at]);
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
