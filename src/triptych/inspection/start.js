/* Begin to draw the traces of this file. page.html#token-12 opens with token 12 chosen. */
const asked = /^#token-(\d{1,6})$/.exec(location.hash);
const main = document.getElementById("panels");
JSON.parse(document.getElementById("traces").textContent).forEach((trace) => addPanel(main, trace, asked ? Number(asked[1]) : -1));

function show() {
  document.documentElement.lang = language;
  document.getElementById("language").textContent = say("switch");
  document.getElementById("warning").textContent = say("warning");
  draw();
}

document.getElementById("language").addEventListener("click", () => { setLanguage(language === "en" ? "zh-Hant" : "en"); show(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
let width = innerWidth;
addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; show(); } }); // Lines follow the tokens.
show();
