// @ts-check
/** What a text was read as, in words, and the other ways to read it. */
import { element } from "../dom.mjs";
import { splice, split } from "./lines.mjs";
import { button, counted, say } from "./parts.mjs";

const READINGS = ["lines", "commas", "columns", "inverted"];

const same = (some, others) => some.length === others.length && some.every((one, i) => one === others[i]);
const titled = (head) => (/^\d+$/.test(head) ? say("column", { head }) : `“${head}”`);

/** A shape in words; `Shape` on the server has what it is made of. */
export function described({ kind, columns, name, anchor }) {
  if (!columns) return say(`like_${kind}`);
  const parts = [columns > 1 ? say("table", { columns }) : say("like_columns")];
  if (name) parts.push(say("from", { head: titled(name) }));
  if (anchor) parts.push(say("anchors", { head: titled(anchor) }));
  return parts.join(say("comma"));
}

/**
 * What was read, its shape, whether that is a guess, and what to choose from: readings and columns.
 * @param {string} words
 * @param {any} found the server's answer
 * @param {string} reading the one that is shown
 * @param {(reading: string) => void} choose
 * @param {(column: string) => void} ask asks again, with another column
 */
export function readAs(words, found, reading, choose, ask) {
  const { best, shape, heads = [], unsure } = found;
  const shown = reading === best;
  const told = shown && shape ? say("told", { words, shape: described(shape) }) : words;
  const repeats = (one, i) =>
    READINGS.some((other, j) => (other === best || (one !== best && j < i)) && other !== one && same(found[other], found[one]));
  const offered = READINGS.filter((one, i) => shape && found[one].length && !repeats(one, i));
  const press = (one) => button(say(one), () => choose(one), { "aria-pressed": String(one === reading) });
  return [
    element("span", {}, told),
    shown && unsure ? element("span", { class: "warning", title: unsure }, say("guess")) : "",
    ...(offered.length > 1 ? offered.map(press) : []),
    reading === "columns" && heads.length > 1 ? columns(heads, shown ? shape.name : "", ask) : "",
  ].filter(Boolean);
}

function columns(heads, chosen, ask) {
  const value = (head, i) => (head && heads.indexOf(head) === i ? head : String(i + 1));
  const option = (head, i) => element("option", { value: value(head, i), selected: head === chosen }, head || String(i + 1));
  const options = [element("option", { value: "" }, say("auto")), ...heads.map(option)];
  const about = { "aria-label": say("names"), title: say("names"), onchange: () => ask(made.value) };
  const made = element("select", about, ...options);
  return made;
}

/** Puts a pasted text into the list: as lines at once, then as the server reads it. */
export function paste(editor, text, first, replaced) {
  const before = editor.text;
  const lines = split(text).map(({ raw }) => raw.trim());
  const plain = { best: "lines", lines: lines.filter(Boolean) };
  editor.lines = splice(editor.lines, first, replaced, plain.lines);
  editor.strip.replaceChildren();
  editor.write(); // no step of its own
  editor.rows.focus(first + plain.lines.length - 1);
  readInto(editor, text, { before, first, replaced }, plain);
}

/**
 * Reads a text and puts what it says in the place of some lines of another, unless that has changed since; offers the
 * other ways to read it. Without an answer, `plain` is put there.
 */
export function readInto(editor, text, { before, first, replaced }, plain = null) {
  const put = (found, reading = found.best) => {
    const texts = found[reading];
    if (reading !== found.best) editor.checks.decline(found.shape.kind);
    const words = plain ? say("imported", { n: texts.length }) : counted(texts.length);
    const parts = readAs(words, found, reading, (one) => put(found, one), ask);
    const lines = splice(split(before), first, replaced, texts);
    const typing = editor.rows.element.isConnected && editor.root.contains(document.activeElement);
    editor.done(() => editor.change(lines), parts, before);
    if (typing) editor.rows.focus(first + texts.length - 1);
  };
  const ask = (column = "") =>
    editor.reads.ask({ path: "readings", body: { text, column } }, (found) => {
      if (found.best) put(found);
      else if (plain && !column) put(plain);
      else editor.strip.replaceChildren(found.error ?? say("failed"));
    });
  ask();
}
