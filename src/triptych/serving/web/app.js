/* The page: choose a run, write a text, watch the answer, then look inside. */
import { addPanel, draw as drawPanels, make, panels } from "/static/viewer.js";
import { Refused, ask, setKey, stream } from "/static/asking.js";
import { drawCurves } from "/static/curves.js";
import { drawGuide } from "/static/guided.js";
import { drawAnswer } from "/static/answers.js";
import { drawCloser } from "/static/closer.js";
import { drawMeasured } from "/static/measured.js";
import { drawHeard, drawSound } from "/static/hearing.js";
import { drawMasks } from "/static/masks.js";
import { drawSteps } from "/static/steps.js";
import { TEXTS, preferred, say, setLanguage } from "/static/texts.js";
import { drawTree } from "/static/tree.js";

const TABS = ["learn", "look", "closer", "curves"], CHOICES = 8; // choices: next tokens shown at a step
const EXAMPLES = { en: ["I am a student.", "I like cats."], "zh-Hant": ["我是學生。", "我喜歡貓。"], "zh-Hans": ["我是学生。", "我喜欢猫。"] };
const LONG = { zh: "The teacher reads a book at school every day.", other: "A man in a blue shirt is standing on a ladder and cleaning a window while two children play with a ball in the snow behind him." };
const longFor = (run) => LONG[run.targets.some((one) => one.startsWith("zh")) ? "zh" : "other"];
/** Return texts in the languages that a run reads; in that of the page first where the run names none. */
function examplesOf(run) {
  const page = document.documentElement.lang, known = run.sources.filter((one) => /^(zh|en)\b/.test(one)), chinese = page.startsWith("zh") ? page : "zh-Hant";
  if (run.targets.length && !known.length) return run.targets.some((one) => one.startsWith("zh")) ? EXAMPLES.en : [...EXAMPLES.en, ...EXAMPLES[chinese]];
  const wanted = known.length ? [known.some((one) => one.startsWith("zh")) && chinese, known.some((one) => one.startsWith("en")) && "en"] : [page, "en"];
  return wanted.filter(Boolean).flatMap((one) => EXAMPLES[one]);
}
/** Return the name of a language in the page's own, or its code. */
function languageOf(code) {
  try { return new Intl.DisplayNames([document.documentElement.lang], { type: "language" }).of(code) ?? code; } catch { return code; }
}
const QUESTION = ["Where do the cats sleep?", "Two cats live in the old house. By day they sit at the window; at night they sleep under the table in the kitchen."];
const content = document.getElementById("content"), said = document.getElementById("said");
const state = { tab: "learn", runs: [], run: "", beside: "", text: "", passage: "", to: "", beams: 1, found: null, steps: null };
let going = 0; // questions asked so far: only the latest is shown
const aim = { token: 1, rival: null, other: "", pair: null }; // what the researcher asks about

const stored = (name) => localStorage.getItem(name) ?? "";
const runOf = (name) => state.runs.find((one) => one.name === name);

// What is asked -------------------------------------------------------------------------------------

const kindsOf = (run) => (run.architecture === "encoder-decoder" && run.attention ? (run.recurrent ? ["cross"] : ["cross", "encoder", "decoder"]) : ["cross"]);

function traced(run, prefix = []) {
  const writes = run.architecture === "encoder-decoder";
  const body = { model: run.name, input: inputOf(run), kinds: kindsOf(run), ...(writes && { steps: CHOICES, prefix, beams: prefix.length ? 1 : state.beams }) };
  if (state.to && run.targets.length > 1) body.to = state.to;
  return ask("/v1/trace", body);
}

const inputOf = (run) => (run.passage ? { [run.input]: state.text, passage: state.passage } : run.input === "messages" ? { messages: [{ role: "user", content: state.text }] } : state.text);

async function answered(run, show) {
  if (!run.writes || run.targets.length > 1 || run.passage) return;
  const isChat = run.input === "messages";
  const body = isChat ? { model: run.name, messages: [{ role: "user", content: state.text }] } : { model: run.name, prompt: state.text };
  let text = "";
  for await (const part of stream(isChat ? "/v1/chat/completions" : "/v1/completions", { ...body, max_tokens: 64 })) {
    const choice = part.choices?.[0];
    text += (isChat ? choice?.delta?.content : choice?.text) ?? "";
    show(text);
  }
}

// What is shown -------------------------------------------------------------------------------------

function select(parent, key, options, value, changed) {
  const label = make(parent, "label", { class: "field" });
  make(label, "span", {}, say(key));
  const box = make(label, "select", { "data-key": key });
  for (const [name, text] of options) make(box, "option", { value: name }, text).selected = name === value;
  box.addEventListener("change", () => changed(box.value));
}

function about(run) {
  const stack = (one) => (run.recurrent ? say("recurrent") : one ? say("stack", one.layers, one.heads) : say("none"));
  return say("about", TEXTS[document.documentElement.lang].tasks[run.task] ?? run.task, say(run.architecture), stack(run.encoder), stack(run.decoder));
}

function drawForm(parent, act) {
  const form = make(parent, "form", { class: "card wide" });
  const line = make(form, "div", { class: "fields" });
  const names = state.runs.map((one) => [one.name, one.name]), run = runOf(state.run);
  select(line, "run", names, state.run, (value) => { Object.assign(state, { run: value, found: null, isCloser: false }); going += 1; forget(); show(); });
  const others = state.runs.filter((one) => one.name !== run.name && one.architecture === run.architecture && hears(one) === hears(run));
  if (others.length && state.tab === "look" && !hears(run)) select(line, "beside", [["", say("nothing")], ...others.map((one) => [one.name, one.name])], state.beside, (value) => { state.beside = value; });
  if (run.targets.length > 1) {
    if (!run.targets.includes(state.to)) state.to = run.targets.find((one) => one === document.documentElement.lang) ?? run.target ?? run.targets[0];
    select(line, "to", run.targets.map((one) => [one, languageOf(one)]), state.to, (value) => { state.to = value; });
  }
  if (run.architecture === "encoder-decoder" && !hears(run)) select(line, "beams", ["1", "2", "3", "4", "5"].map((one) => [one, one]), String(state.beams), (value) => { state.beams = Number(value); });
  make(form, "p", { class: "hint" }, about(run));
  if (hears(run)) { drawSound(form, tell, goSound); return; }
  const label = make(form, "label", { class: "field text" });
  make(label, "span", {}, say("text"));
  const area = make(label, "textarea", { rows: "3", maxlength: "20000", spellcheck: "false" });
  area.value = state.text;
  area.addEventListener("input", () => { state.text = area.value; });
  area.addEventListener("keydown", (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit(); });
  if (run.passage) drawPassage(form);
  const actions = make(form, "div", { class: "controls" });
  make(actions, "button", { type: "submit", class: "main" }, say("go"));
  make(actions, "span", { class: "soft" }, say("colon", say("example")));
  const examples = run.passage ? [QUESTION[0]] : [...examplesOf(run), ...(others.length && state.tab === "look" ? [longFor(run)] : [])];
  for (const text of examples.filter((one, place, all) => all.indexOf(one) === place)) {
    make(actions, "button", { type: "button", class: "example" }, text.length > 60 ? say("long_example") : text).addEventListener("click", () => {
      state.text = area.value = text;
      if (run.passage && !state.passage) form.querySelector("[data-key=passage]").value = state.passage = QUESTION[1];
      form.requestSubmit();
    });
  }
  form.addEventListener("submit", (event) => { event.preventDefault(); act(); });
}

const hears = (run) => run.view === "hearing";

/** Show what the chosen run hears in a sound. */
async function goSound(sound) {
  const run = runOf(state.run), asked = ++going;
  Object.assign(state, { sound, found: null });
  tell(say("waiting"));
  try {
    const text = await drawHeard(document.getElementById("found"), run, sound);
    if (asked !== going) return;
    document.getElementById("answer").textContent = text;
    tell("");
  } catch (error) {
    if (asked !== going) return;
    if (error instanceof Refused && error.status === 401) askKey();
    else tell(say("failed", error.message));
  }
}

/** Draw where the document goes that a question is asked about. */
function drawPassage(form) {
  const label = make(form, "label", { class: "field text" });
  make(label, "span", {}, say("passage"));
  const area = make(label, "textarea", { rows: "5", maxlength: "20000", spellcheck: "false", "data-key": "passage" });
  area.value = state.passage;
  area.addEventListener("input", () => { state.passage = area.value; });
}

/** Answer the text with the chosen run, and with the one beside it. */
async function go(prefix = [], label = "", step = 0) {
  if (hears(runOf(state.run))) return; // an address cannot hold a sound
  if (!state.text.trim()) { tell(say("empty")); return; }
  const run = runOf(state.run), out = document.getElementById("answer");
  const asked = ++going, isLatest = () => asked === going;
  tell(say("waiting"));
  try {
    if (out && !prefix.length) await answered(run, (text) => { if (isLatest()) out.textContent = text; });
    const both = [run, ...(state.beside && !prefix.length ? [runOf(state.beside)] : [])];
    const found = [];
    for (const one of both) found.push({ run: one, trace: await traced(one, prefix) });
    if (!isLatest()) return; // another question was asked meanwhile
    if (!prefix.length) state.steps = { step: 0, chosen: [], from: 0 };
    else state.steps = { step, from: Math.min(step, state.steps.chosen.length ? state.steps.from : step), chosen: [...state.steps.chosen, label] };
    state.found = found;
    tell("");
    showFound();
  } catch (error) {
    if (!isLatest()) return;
    if (error instanceof Refused && error.status === 401) askKey();
    else tell(say("failed", error.message));
  }
}

function showFound() {
  const holder = document.getElementById("found");
  holder.replaceChildren();
  panels.length = 0;
  if (!state.found) return;
  const [{ run, trace }] = state.found;
  const out = document.getElementById("answer");
  if (trace.target_text || run.writes) out.textContent = trace.target_text;
  out.classList.toggle("columns", run.view === "arcs");
  showBeside(holder);
  if (run.architecture === "encoder") drawAnswer(holder, run, state.text, state.passage).catch((error) => tell(say("failed", error.message)));
  if (trace.steps) drawSteps(holder, trace, state.steps, go, () => go());
  drawMasks(holder, trace);
  const attention = make(holder, "section", { class: "wide" });
  make(attention, "h2", {}, say("attention"));
  const row = make(attention, "div", { class: "panels" });
  for (const one of state.found) addPanel(row, one.trace);
  drawPanels();
  for (const one of state.found) drawTree(holder, one.trace.beam_tree);
}

/** Show both answers, one above the other, where a second run answers too. */
function showBeside(holder) {
  if (state.found.length < 2) return;
  const card = make(holder, "section", { class: "card wide", "data-view": "beside" });
  make(card, "h2", {}, say("both"));
  make(card, "p", { class: "hint" }, say("both_hint"));
  const list = make(card, "dl", { class: "both" });
  for (const { run, trace } of state.found) {
    make(list, "dt", {}, run.name);
    const line = make(list, "dd"), sum = (trace.log_probabilities ?? []).reduce((a, b) => a + b, 0);
    make(line, "span", { class: "answer" }, trace.target_text);
    if (trace.log_probabilities?.length) make(line, "span", { class: "soft" }, ` ${say("per_token", (sum / trace.log_probabilities.length).toFixed(2), trace.log_probabilities.length)}`);
    if (run.recurrent) make(line, "span", { class: "soft" }, ` ${say(run.attention ? "recurrent_attention" : "recurrent_alone")}`);
  }
}

function forget() {
  Object.assign(aim, { token: 1, rival: null });
}

/** Ask for the researcher's views of the answer. */
async function goCloser() {
  if (!state.text.trim()) { tell(say("empty")); return; }
  state.isCloser = true;
  const run = runOf(state.run), body = { model: run.name, input: inputOf(run), ...(state.to && run.targets.length > 1 && { to: state.to }), ...(run.architecture === "encoder-decoder" && { beams: state.beams }) };
  aim.pair = (one, other) => { forget(); Object.assign(state, { text: one, isCloser: true }); aim.other = other; show(); };
  try {
    await drawCloser(document.getElementById("found"), body, run, aim, tell);
  } catch (error) {
    if (error instanceof Refused && error.status === 401) askKey();
    else tell(say("failed", error.message));
  }
}

function showCloser() {
  if (hears(runOf(state.run))) {
    state.sound = null;
    drawForm(content, () => {});
    content.querySelector(".sound").nextElementSibling.textContent = say("closer_sound");
    content.querySelector(".sound").remove();
    return;
  }
  drawForm(content, () => { forget(); goCloser(); });
  const card = make(content, "section", { class: "wide" });
  make(card, "p", { class: "hint" }, say("closer_hint"));
  make(content, "div", { id: "found", class: "cards" });
  drawMeasured(make(content, "div", { id: "measured", class: "cards" }), runOf(state.run)).catch((error) => tell(say("failed", error.message)));
  if (state.isCloser && state.text.trim()) goCloser(); // after another tab or language
}

function showLook() {
  drawForm(content, () => go());
  const card = make(content, "section", { class: "card wide" });
  make(card, "h2", {}, say("answer"));
  make(card, "p", { id: "answer", class: "answer", "aria-live": "polite" });
  make(content, "div", { id: "found", class: "cards" });
  if (hears(runOf(state.run)) && state.sound) goSound(state.sound); // after another tab or language
  showFound();
}

function askKey() {
  content.replaceChildren();
  const form = make(content, "form", { class: "card" }), label = make(form, "label", { class: "field" });
  make(label, "span", {}, say("key"));
  const box = make(label, "input", { type: "password", autocomplete: "off" });
  make(form, "p", { class: "hint" }, say("key_hint"));
  make(form, "button", { type: "submit", class: "main" }, say("enter"));
  form.addEventListener("submit", (event) => { event.preventDefault(); setKey(box.value.trim()); begin(); });
  box.focus();
}

/** Return what opens a long sentence answered by a Transformer and an RNN, where both are served. */
function besides() {
  const recurrent = state.runs.filter((one) => one.recurrent), plain = state.runs.find((one) => !one.recurrent && !hears(one) && recurrent.some((other) => other.architecture === one.architecture));
  if (!plain) return null;
  const other = recurrent.find((one) => one.architecture === plain.architecture && !one.attention) ?? recurrent.find((one) => one.architecture === plain.architecture);
  return () => { Object.assign(state, { run: plain.name, beside: other.name, text: longFor(plain), found: null }); open("look"); go(); };
}

const tell = (words) => { said.textContent = words; };

function drawTabs() {
  const bar = document.getElementById("tabs");
  bar.replaceChildren();
  for (const name of TABS) {
    const button = make(bar, "button", { type: "button", role: "tab", "aria-selected": String(name === state.tab), id: `tab-${name}`, tabindex: name === state.tab ? "0" : "-1" }, say(name));
    button.addEventListener("click", () => open(name));
    button.addEventListener("keydown", (event) => {
      const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!move) return;
      open(TABS[(TABS.indexOf(name) + move + TABS.length) % TABS.length]);
      document.getElementById(`tab-${state.tab}`).focus();
    });
  }
}

function open(name) {
  state.tab = name;
  location.hash = name;
  show();
}

/** An address like #look?run=NAME&to=CODE&text=WORDS opens the page on an answer. */
function readAddress() {
  const [name, given] = location.hash.slice(1).split("?");
  if (TABS.includes(name)) state.tab = name;
  const asked = new URLSearchParams(given ?? "");
  for (const key of ["run", "to", "text"]) if (asked.has(key)) state[key] = asked.get(key);
  return asked.has("text");
}

function show() {
  drawTabs();
  tell("");
  content.replaceChildren();
  if (state.tab === "learn") drawGuide(content, () => open("look"), besides());
  else if (!state.runs.length) begin();
  else if (state.tab === "look") showLook();
  else if (state.tab === "closer") showCloser();
  else drawCurves(content, state.runs).catch((error) => tell(say("failed", error.message)));
}

let beginning = null;
const begin = () => (beginning ??= describeRuns().finally(() => { beginning = null; }));

async function describeRuns() {
  try {
    state.runs = (await ask("/v1/runs")).runs;
    if (!runOf(state.run)) state.run = state.runs[0].name;
    if (isAsked) state.isCloser = state.tab === "closer";
    show();
    if (isAsked && state.tab === "look") go();
    isAsked = false;
  } catch (error) {
    if (error instanceof Refused && error.status === 401) { if (state.tab === "learn") show(); else askKey(); }
    else tell(say("failed", error.message));
  }
}

function paint(name) {
  document.documentElement.dataset.theme = name;
  localStorage.setItem("theme", name);
  drawPanels();
}

const theme = document.getElementById("theme"), language = document.getElementById("language");
language.value = stored("language") in TEXTS ? stored("language") : preferred();
theme.value = stored("theme");
document.documentElement.dataset.theme = theme.value;
setLanguage(language.value);
language.addEventListener("change", () => { localStorage.setItem("language", language.value); setLanguage(language.value); show(); });
theme.addEventListener("change", () => paint(theme.value));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawPanels);
addEventListener("hashchange", () => {
  const before = state.tab;
  isAsked = readAddress();
  if (isAsked) { state.found = null; going += 1; content.replaceChildren(); begin(); } else if (state.tab !== before) show();
});
let width = innerWidth;
addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; drawPanels(); } });
let isAsked = readAddress();
show();
begin();
