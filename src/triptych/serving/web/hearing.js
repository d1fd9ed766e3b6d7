/* A run that hears: record or choose a sound, see what was heard in it, and play it with a line that moves along. */
import { make } from "/static/viewer.js";
import { askSound } from "/static/asking.js";
import { record } from "/static/microphone.js";
import { savers } from "/static/saving.js";
import { say } from "/static/texts.js";

const MOST_SECONDS = 30;
let stop = null; // of the recording that goes on

/** Draw the controls that take a sound; show(sound) is called with each. */
export function drawSound(parent, tell, show) {
  const line = make(parent, "div", { class: "controls sound" }), button = make(line, "button", { type: "button", class: "main", "data-key": "record" }, say("record"));
  const label = make(line, "label", { class: "field" });
  make(label, "span", {}, say("sound_file"));
  const box = make(label, "input", { type: "file", accept: "audio/*,.wav,.flac,.mp3,.ogg", "data-key": "sound" });
  make(parent, "p", { class: "hint" }, say("record_hint", MOST_SECONDS));
  const end = async () => {
    const ending = stop;
    stop = null;
    button.textContent = say("record");
    if (!ending) return;
    const sound = await ending();
    if (sound.size > 44) show(sound); else tell(say("no_sound"));
  };
  button.addEventListener("click", async () => {
    if (stop) { await end(); return; }
    button.disabled = true;
    try {
      stop = await record((seconds) => {
        if (!button.isConnected) { stop?.(); stop = null; return; } // another tab was opened
        if (stop) button.textContent = say("stop_recording", seconds.toFixed(1));
        if (stop && seconds >= MOST_SECONDS) end();
      });
      button.textContent = say("stop_recording", "0.0");
    } catch (error) { tell(say("no_microphone", error.message)); }
    button.disabled = false;
  });
  box.addEventListener("change", () => { if (box.files[0]) show(box.files[0]); });
}

/** Ask what a run hears in a sound, and draw it with a player. Returns the text. */
export async function drawHeard(parent, run, sound) {
  const found = await askSound(`/v1/hearing?model=${encodeURIComponent(run.name)}`, sound);
  if (!parent.isConnected) return found.text;
  parent.replaceChildren();
  const card = make(parent, "section", { class: "card wide", "data-view": "hearing" });
  make(card, "h2", {}, say("heard"));
  make(card, "p", { class: "hint" }, say(found.by === "ctc" ? "heard_hint" : "heard_hint_attention", Math.max(0, ...found.attention.flat()).toFixed(3)));
  if (!found.whole) make(card, "p", { class: "note" }, say("first_window", found.seconds.toFixed(1)));
  const player = make(card, "audio", { controls: "", src: URL.createObjectURL(sound) });
  const svg = document.importNode(new DOMParser().parseFromString(found.picture, "image/svg+xml").documentElement, true);
  make(card, "div", { class: "scroll", tabindex: "0" }).append(svg);
  follow(player, svg, found.start);
  savers(card, "heard", () => svg, () => [["token", "start", "end", "weight of each state"], ...found.tokens.map((one, place) => [...one, ...found.attention[place]])]);
  return found.text;
}

/** Move a line along the picture while the sound plays; a click on a token plays it from there. */
function follow(player, svg, start) {
  const { left, wide, seconds } = svg.dataset, bar = make(svg, "rect", { class: "now mark", x: left, y: 0, width: 1.5, height: svg.getAttribute("height") });
  const placed = [...svg.querySelectorAll(".placed")];
  const move = () => {
    const at = player.currentTime - start;
    bar.setAttribute("x", Number(left) + (Number(wide) * Math.max(0, Math.min(at, Number(seconds)))) / Number(seconds));
    for (const one of placed) one.classList.toggle("playing", at >= Number(one.dataset.start) && at < Number(one.dataset.end));
  };
  const tick = () => { move(); if (!player.paused && player.isConnected) requestAnimationFrame(tick); };
  player.addEventListener("play", tick);
  for (const event of ["seeked", "timeupdate"]) player.addEventListener(event, move);
  for (const one of placed) one.addEventListener("click", () => { player.currentTime = start + Number(one.dataset.start); player.play(); });
}
