// @ts-check
/** The report's numbers as tables. */
import { lookup } from "../words.mjs";
import { WORDS } from "./words.mjs";

export const say = lookup(WORDS);
export const named = (name) => name || say("empty");

/** A number for the eye. */
export const figure = (value, digits) => value?.toFixed(digits ?? (Math.abs(value) < 0.1 ? 3 : 2)) ?? "–";

const LONGEST = 2; // a bar of more fills its row, so that the others stay readable
const highestFirst = (rows) => rows.sort((a, b) => b[2] - a[2]);
const most = (rows) => Math.max(...rows.map((row) => row[2]));

/** Rows of responses: bars with a line at 1. */
function responses(rows, sign, ...head) {
  return { rows: highestFirst(rows), sign, head, shown: 30, top: Math.max(1, Math.min(LONGEST, most(rows))), line: 1 };
}

/**
 * The tables of a report. A row has a name, what belongs to it (after `sign`), and a number for each head. `shown` rows
 * are there from the start. Bars are of the first number: a whole one means `top`.
 */
export function tables({ concepts, drift, blocks, neurons, conflicts, seconds }) {
  const erased = concepts.map((row) => [named(row.name), row.anchor, row.remaining, row.kept]);
  const cut = neurons?.map((row) => [row.name, row.role === "stays" ? say("stays") : "", row.answering, row.cut]);
  const letters = kinds(blocks);
  const held = drift.map((row) => [named(row.name), row.role === "empty" ? "" : say(row.role), row.drift]);
  const times = Object.entries(seconds).map(([stage, count]) => [stage, "", count]);
  return {
    concepts: cut?.length
      ? { rows: cut, sign: "", head: ["answering", "cut"], shown: 30, help: "neurons", digits: 0 }
      : responses(erased, "→", "remaining", "kept"),
    held: responses(held, "", "drift"),
    change: { rows: blocks.map((row) => [row.block, "", ...letters.map(([, kind]) => row[kind])]), head: letters.map(([letter]) => letter), shown: 0 },
    conflicts: { rows: pairs(conflicts), sign: "–", head: ["cosine"], shown: 5 },
    time: { rows: times, head: ["seconds"], shown: 30, top: most(times) || 1 },
  };
}

/** Letters and names of the matrices that an edit changes. */
const KINDS = [["K", "key"], ["V", "value"], ["F", "output"], ["R", "rest"]];
export const kinds = (blocks) => KINDS.filter(([, kind]) => blocks.some((row) => row[kind] != null));

function pairs(conflicts) {
  const { names, cosines } = conflicts ?? { names: [], cosines: [] };
  const before = (name, i) => names.slice(0, i).map((other, j) => [named(other), named(name), cosines[i][j]]);
  return highestFirst(names.flatMap(before));
}

/** Every number on a line of its own. */
export function csv(data) {
  const lines = Object.entries(tables(data)).flatMap(([table, { head, rows }]) =>
    rows.flatMap(([name, of, ...numbers]) => numbers.map((value, i) => [table, name, of, head[i], value])),
  );
  return ["table,name,of,measure,value", ...lines.map((line) => line.map(field).join(","))].join("\n");
}

/** A CSV field. Spreadsheets run a text that starts like a formula, and names come from strangers. */
function field(value) {
  const text = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value ?? "");
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
