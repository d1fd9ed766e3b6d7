/* Save what is shown: pictures as SVG or PNG, tables as CSV. */
import { make } from "/static/viewer.js";
import { say } from "/static/texts.js";

const SHARPNESS = 2; // pixels of a PNG for one of the picture

function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/** Return the picture with its colours written out, so that it looks the same without the page. */
function standalone(svg) {
  const copy = svg.cloneNode(true), pairs = [[svg, copy]];
  svg.querySelectorAll("*").forEach((element, place) => pairs.push([element, copy.querySelectorAll("*")[place]]));
  for (const [from, to] of pairs) {
    const style = getComputedStyle(from);
    for (const name of ["fill", "stroke", "fill-opacity", "stroke-width", "font-family", "font-size", "font-weight"]) to.setAttribute(name, style.getPropertyValue(name));
  }
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  return new XMLSerializer().serializeToString(copy);
}

export function saveSvg(svg, name) {
  download(new Blob([standalone(svg)], { type: "image/svg+xml" }), `${name}.svg`);
}

export function savePng(svg, name) {
  const image = new Image(), box = svg.getBoundingClientRect();
  const url = URL.createObjectURL(new Blob([standalone(svg)], { type: "image/svg+xml" }));
  image.addEventListener("load", () => {
    const canvas = document.createElement("canvas");
    canvas.width = box.width * SHARPNESS;
    canvas.height = box.height * SHARPNESS;
    const pen = canvas.getContext("2d");
    pen.fillStyle = getComputedStyle(document.body).backgroundColor;
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.drawImage(image, 0, 0, canvas.width, canvas.height);
    URL.revokeObjectURL(url);
    canvas.toBlob((blob) => download(blob, `${name}.png`));
  });
  image.src = url;
}

/** Return rows as CSV (RFC 4180); the mark at its beginning tells spreadsheets that it is UTF-8. */
export function csv(rows) {
  const cell = (value) => (/[",\r\n]/.test(String(value)) ? `"${String(value).replaceAll('"', '""')}"` : String(value));
  return `\ufeff${rows.map((row) => row.map(cell).join(",")).join("\r\n")}\r\n`;
}

export function saveCsv(rows, name) {
  download(new Blob([csv(rows)], { type: "text/csv" }), `${name}.csv`);
}

/** Add the buttons that save a card's picture, its numbers or both. */
export function savers(parent, name, picture, rows) {
  const line = make(parent, "p", { class: "savers" });
  const add = (key, act) => make(line, "button", { type: "button" }, say(key)).addEventListener("click", act);
  if (picture) {
    add("save_svg", () => saveSvg(picture(), name));
    add("save_png", () => savePng(picture(), name));
  }
  if (rows) add("save_csv", () => saveCsv(rows(), name));
}
