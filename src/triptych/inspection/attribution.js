/* Attention received beside gradient x input: two rows of coloured tokens, and every number in a table. */

/** Return the (S,) mean over the attending tokens. */
const receivedBy = (table) => table[0].map((_, s) => table.reduce((sum, row) => sum + row[s], 0) / table.length);
const receivedByAll = () => alike("encoder").map(([, trace, state]) => [trace.source, receivedBy(viewOf(trace, state).map.table)]);
const UNDERLINED = 0.05; // share of the largest value; weaker negative values have no underline
const largest = (values) => values.reduce((best, value) => Math.max(best, Math.abs(value)), 1e-12);
const signed = (value) => `${value < 0 ? "−" : value > 0 ? "+" : ""}${Math.abs(value).toFixed(4)}`;

/** Return the value with the full colour: the largest of a text's own tokens in any panel. */
function fullColour(several) {
  return several.reduce((most, [cells, values]) => {
    const ofText = values.filter((_, place) => cells[place].text); // A special token often outweighs all words together.
    return Math.max(most, largest(ofText.length ? ofText : values));
  }, 0);
}

/** Draw one row of tokens in the colours of their values; `several` are the rows of all panels, which share the scale. */
function colourRow(parent, heading, hint, cells, values, several, hasSign) {
  const most = fullColour(several);
  const background = (value) => tint(Math.min(1, Math.abs(value) / most), value < 0 ? "--mark" : "--heat");
  const title = make(parent, "p", { class: "row-name" });
  make(title, "strong", {}, heading);
  title.append(` ${hint}`);
  const row = make(parent, "p", { class: "tokens" });
  sentence(row, cells, false).forEach((span, place) => {
    span.style.backgroundColor = background(values[place]);
    span.classList.toggle("against", values[place] < -UNDERLINED * most);
    span.setAttribute("title", `${cells[place].label}: ${signed(values[place])}`);
  });
  const shares = hasSign ? [-1, -0.5, 0, 0.5, 1] : [0, 0.25, 0.5, 0.75, 1];
  drawSteps(parent, shares.map((share) => share * most), (value) => (hasSign ? signed(value) : value.toFixed(4)), background);
}

/** Draw a bar in a table's cell, from the middle where values have signs. */
function bar(parent, value, most, hasSign) {
  const width = 90, whole = hasSign ? width / 2 : width, long = (whole * Math.abs(value)) / most;
  const svg = make(parent, "svg", { width, height: 12, "aria-hidden": "true" });
  make(svg, "rect", { class: "track", x: 0, y: 0, width, height: 12 });
  const from = !hasSign ? 0 : value < 0 ? whole - long : whole;
  make(svg, "rect", { class: value < 0 ? "mark" : "bar", x: from, y: 0, width: long, height: 12 });
}

function drawAttribution(parent, trace, received) {
  const found = trace.attribution;
  const columns = [["received", received, false]];
  if (found) columns.push(["gradient", found.gradient_times_input, true], ["norm", found.gradient_norm, false]);
  make(parent, "h3", {}, say(found ? "beside" : "received"));
  colourRow(parent, say("received"), `(${say("received_hint")})`, trace.source, received, receivedByAll(), false);
  if (found) {
    const what = say(`of_${found.kind}`, found.of, found.value.toFixed(4));
    colourRow(parent, say("gradient"), `(${what}) ${say("sign")}`, trace.source, found.gradient_times_input,
      panels.filter(([, one]) => one.attribution).map(([, one]) => [one.source, one.attribution.gradient_times_input]), true);
    make(parent, "p", { class: "note" }, say("cause"));
  }
  const details = make(parent, "details");
  details.open = false;
  make(details, "summary", {}, say("numbers"));
  const table = make(make(details, "div", { class: "scroll", tabindex: "0" }), "table");
  const head = make(make(table, "thead"), "tr");
  make(head, "th", { scope: "col" }, say("token"));
  for (const [name] of columns) make(head, "th", { scope: "col", colspan: 2 }, say(name));
  const body = make(table, "tbody");
  trace.source.forEach((cell, place) => {
    const row = make(body, "tr");
    make(row, "th", { scope: "row" }, cell.label);
    for (const [name, values, hasSign] of columns) {
      make(row, "td", { "data-column": name, "data-value": values[place] }, hasSign ? signed(values[place]) : values[place].toFixed(4));
      bar(make(row, "td"), values[place], largest(values), hasSign);
    }
  });
}
