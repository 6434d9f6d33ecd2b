// @ts-check
/** The panel's sections. */
import { element } from "../dom.mjs";
import { bar, map } from "./charts.mjs";
import { figure, kinds, named, say } from "./tables.mjs";

const CELL = 28; // pixels of a matrix cell, while they fit

export const button = (words, act) => element("button", { type: "button", "aria-live": "polite", onclick: act }, words);

/** A table with its bars: its first rows, and the others when asked for. */
function table({ rows, sign, head, shown, top, line, digits }) {
  const row = ([name, of, ...numbers]) => {
    const what = element("th", { scope: "row" }, name, element("small", {}, of && ` ${sign} ${of}`));
    const drawn = top ? element("td", { class: "bar" }, bar(numbers[0], top, line)) : "";
    return element("tr", {}, what, drawn, ...numbers.map((value) => element("td", {}, figure(value, digits))));
  };
  const heads = head.map((key) => element("th", {}, key.length > 1 ? say(key) : key));
  const title = element("tr", {}, element("th", { colspan: top && 2 }, say("name")), ...heads);
  const fill = (count) => {
    const more = count < rows.length ? button(say("all", { n: rows.length }), () => fill(rows.length)) : "";
    box.replaceChildren(element("table", {}, element("thead", {}, title), ...rows.slice(0, count).map(row)), more);
  };
  const box = element("div");
  fill(shown);
  return box;
}

/** A map with a text alternative, and its scale from 0 to `top`. */
function labelled(key, values, top, tip) {
  const cells = values.flatMap((row, y) => row.map((value, x) => ({ value, y, x })));
  const filled = cells.filter(({ value }) => value !== null).sort((a, b) => b.value - a.value);
  const [high, low] = [filled[0], filled.at(-1)].map(({ y, x }) => tip(y, x));
  const label = say("map", { title: say(key), n: filled.length, high, low });
  return [map(values, top, label, tip), element("div", { class: "scale" }, "0", element("i"), figure(top))];
}

function heatMap(key, { blocks }) {
  const letters = kinds(blocks);
  const values = letters.map(([, kind]) => blocks.map((block) => block[kind]));
  const tip = (y, x) => `${blocks[x].block} ${letters[y][0]}: ${figure(values[y][x])}`;
  const [drawn, scale] = labelled(key, values, Math.max(...values.flat()) || 1, tip);
  const ends = element("div", { class: "ends" }, blocks[0].block, scale, blocks.at(-1).block);
  const heads = element("div", {}, ...letters.map(([letter]) => element("span", {}, letter)));
  return [element("div", { class: "kinds" }, heads, drawn), ends];
}

function matrix(key, { conflicts: { names, cosines, of } }) {
  const values = cosines.map((row, y) => row.map((value, x) => (x === y ? null : value)));
  const tip = (y, x) => `${named(names[y])} – ${named(names[x])}: ${figure(cosines[y][x])}`;
  const drawn = labelled(key, values, 1, tip);
  drawn[0].style.cssText = `max-width:${CELL * names.length}px;aspect-ratio:1`;
  return [...drawn, names.length < of ? say("shown", { n: names.length, of }) : ""];
}

/** That a preserved name that is only measured is no promise. */
const promise = (_key, { drift }) => (drift.some(({ role }) => role === "preserved") ? [element("p", {}, say("measured"))] : []);

const CHARTS = { change: heatMap, conflicts: matrix, held: promise };

/** A section, if there is something in it. */
export function section(key, content, { data, folded }, keep) {
  if (!content.rows.length) return "";
  const fold = () => {
    folded[key] = !made.open;
    keep();
  };
  const inside = [element("p", {}, say(`${content.help ?? key}Help`)), ...(CHARTS[key]?.(key, data) ?? []), table(content)];
  const made = element("details", { open: !folded[key], ontoggle: fold }, element("summary", {}, say(key)), ...inside);
  return made;
}
