/* A map of a model's parts: a row for each part, a column for each head, and one number in each cell. */
import { siteOf } from "/static/cards.js";
import { drawGrid, largest, printed } from "/static/grid.js";
import { say } from "/static/texts.js";

/**
 * Draw a map {sites, changes} into a card. options: {name, title, unit, hasSign, most, print, told}:
 * print(value) is written in a cell, told(site, value) read out.
 */
export function drawMap(own, { sites, changes }, options = {}) {
  const { name = "ablation", title = say("ablation"), unit = say("nats"), hasSign = true, most = largest(changes), print = printed, told = (site, value) => say("off", site, value.toFixed(4)) } = options;
  const rows = new Map();
  sites.forEach((site, place) => {
    const { row } = siteOf(site), value = changes[place];
    rows.set(row, [...(rows.get(row) ?? []), { value, text: print(value), told: told(site, value), site, isStrong: Math.abs(value) > most / 2 }]);
  });
  const cells = [...rows.values()], columns = [...Array(Math.max(...cells.map((line) => line.length))).keys()].map((head) => say("head_number", head + 1));
  return drawGrid(own, { name, title, rows: [...rows.keys()], columns, cells: cells.map((line) => columns.map((_, place) => line[place] ?? null)), most, hasSign, unit,
    table: () => [["site", "change"], ...sites.map((site, place) => [site, changes[place]])] });
}
