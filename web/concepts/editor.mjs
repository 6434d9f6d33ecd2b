// @ts-check
/** The concept editor: rows, text and tools over one plain text. */
import { element, shape } from "../dom.mjs";
import { importPanel } from "./importer.mjs";
import { isName, join, readLine, sorted, split } from "./lines.mjs";
import { button, say } from "./parts.mjs";
import { rowsView } from "./rows.mjs";
import { ask } from "./server.mjs";

const PAUSE = 400; // milliseconds from a change to its check
const ICONS = {
  add: "M8 3v10M3 8h10",
  import: "M8 2v8M4 7l4 4 4-4M3 14h10",
  sort: "M4 2v12M2 12l2 2 2-2M8 4h6M8 8h4M8 12h2",
  unique: "M2 2h8v8H2zM6 12v2h8V6h-2",
  toggle: "M3 4h10M3 8h10M3 12h6",
};

export class Editor {
  /** @param {any} source the text and what belongs to it; see `dress` */
  constructor(source) {
    this.source = source;
    this.lines = split((this.text = source.read()));
    this.rows = rowsView(this);
    this.count = element("span", { class: "count" });
    this.body = element("div", { class: "body" });
    this.strip = element("div", { class: "strip", role: "status" });
    this.bar = element("div", { class: "bar", role: "toolbar" }, this.count, ...Object.keys(ICONS).map((name) => this.tool(name)));
    this.root = element("div", { class: "scapre-concepts" }, this.bar, this.body, this.strip);
    this.look(false);
  }

  tool(name) {
    const icon = shape("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, shape("path", { d: ICONS[name] }));
    return button(icon, () => this[name](), { title: say(name), "aria-label": say(name) });
  }

  /** Shows the list as text or as rows, or a panel in its place. */
  look(asText, panel = asText ? this.source.textarea : this.rows.element) {
    this.asText = Boolean(asText);
    this.bar.lastElementChild.setAttribute("aria-pressed", String(this.asText));
    this.body.replaceChildren(panel);
    this.show();
  }

  toggle() {
    this.look(!this.asText);
    this.source.memory.write(this.asText);
  }

  /** Takes the text over if something else has changed it. */
  load() {
    const text = this.source.read();
    if (text === this.text) return;
    this.lines = split((this.text = text));
    this.strip.replaceChildren();
    this.show();
  }

  show() {
    const names = this.lines.filter(isName);
    const n = names.filter((line) => line.on).length;
    const off = names.length - n;
    this.count.textContent = this.count.title = say(n === 1 ? "one" : "many", { n }) + (off ? say("off", { n: off }) : "");
    this.rows.update(this.lines);
    this.checkLater();
  }

  /** Takes over what the lines say now. */
  write() {
    this.text = join(this.lines);
    this.source.write(this.text);
    this.show();
  }

  /** Changes the list as one step. */
  change(lines) {
    this.strip.replaceChildren();
    this.lines = lines;
    this.source.step(() => this.write());
  }

  /** Puts lines into the list in place of others. */
  insert(index, texts, replaced = 0) {
    this.change(this.lines.toSpliced(index, replaced, ...texts.map((text) => readLine(text))));
  }

  /** Puts lines at the end, in place of empty ones. */
  append(texts) {
    this.insert(this.lines.findLastIndex((line) => line.raw.trim()) + 1, texts, this.lines.length);
  }

  add() {
    this.look(false);
    this.append([""]);
    this.rows.focus(this.lines.length - 1);
  }

  import() {
    const have = () => new Set(this.lines.map((line) => line.name.toLowerCase()));
    const add = (texts) => this.done(() => this.append(texts), say("imported", { n: texts.length }));
    this.look(false, importPanel(have, add, () => this.look(false)));
  }

  sort() {
    this.done(() => this.change(sorted(this.lines)), say("sorted"));
  }

  async unique() {
    do await this.check();
    while (this.checked !== this.text);
    const left = this.lines.filter((line) => !line.review?.notes.some(({ kind }) => kind === "duplicate" || kind === "conflict"));
    this.done(() => this.change(left), say("removed", { n: this.lines.length - left.length }));
  }

  /** Does something, says so below the list, and offers to take it back. */
  done(act, ...words) {
    const before = this.text;
    act();
    const undo = button(say("undo"), () => (this.look(false), this.change(split(before))));
    const close = button("×", () => this.strip.replaceChildren(), { "aria-label": say("close") });
    this.strip.replaceChildren(...words, undo, close);
  }

  checkLater() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => (this.checking ? this.checkLater() : this.check()), PAUSE);
  }

  /** Asks the server what to know about the list, one question at a time. */
  check() {
    this.checking ??= this.review().finally(() => (this.checking = null));
    return this.checking;
  }

  async review() {
    const { text, lines } = this;
    const { rows = [], error } = await ask("check", { concepts: text, ...this.source.context() });
    const found = new Map(rows.map((row) => [row.line - 1, row]));
    lines.forEach((line, i) => (line.review = found.get(i)));
    this.checked = text;
    this.bar.classList.toggle("error", Boolean(error));
    if (error) this.count.textContent = this.count.title = error;
    this.rows.update(this.lines);
  }
}
