// @ts-check
/** The concept editor: rows, text and tools over one plain text. */
import { element, shape } from "../dom.mjs";
import { checksOf } from "./checks.mjs";
import { importPanel } from "./importer.mjs";
import { isName, join, sorted, splice, split } from "./lines.mjs";
import { button, counted, say } from "./parts.mjs";
import { rowsView } from "./rows.mjs";
import { latest } from "./server.mjs";

const REPEATS = ["duplicate", "conflict"];
const ICONS = {
  add: "M8 3v10M3 8h10",
  import: "M8 2v8M4 7l4 4 4-4M3 14h10",
  sort: "M4 2v12M2 12l2 2 2-2M8 4h6M8 8h4M8 12h2",
  unique: "M2 2h8v8H2zM6 12v2h8V6h-2",
  toggle: "M3 4h10M3 8h10M3 12h6",
};

export class Editor {
  #text;
  /** @param {any} source the text and what belongs to it; see `dress` */
  constructor(source) {
    this.source = source;
    this.checks = checksOf(this);
    this.reads = latest();
    this.lines = split((this.text = source.read()));
    this.rows = rowsView(this);
    this.count = element("span", { class: "count" });
    this.body = element("div", { class: "body" });
    this.strip = element("div", { class: "strip", role: "status" });
    this.bar = element("div", { class: "bar", role: "toolbar" }, this.count, ...Object.keys(ICONS).map((name) => this.tool(name)));
    this.root = element("div", { class: "scapre-concepts" }, this.bar, this.checks.hint, this.body, this.strip);
    this.look(false);
  }

  get text() {
    return this.#text;
  }

  set text(text) {
    this.#text = text;
    this.silence();
  }

  /** Whoever has asked about the text as it was hears no answer. */
  silence() {
    this.checks.drop();
    this.reads.drop();
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
    this.count.textContent = this.count.title = counted(n) + (off ? say("off", { n: off }) : "");
    this.rows.update(this.lines);
    this.checks.later();
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
    this.change(splice(this.lines, index, replaced, texts));
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
    const add = (texts) => this.done(() => this.append(texts), [say("imported", { n: texts.length })]);
    this.look(false, importPanel(have, add, () => this.look(false)));
  }

  sort() {
    this.done(() => this.change(sorted(this.lines)), [say("sorted")]);
  }

  /** Removes what a check of the list calls repeats, of the list as it is by then. */
  unique() {
    this.checks.now(() => {
      const left = this.lines.filter((line) => !line.review?.notes.some(({ kind }) => REPEATS.includes(kind)));
      this.done(() => this.change(left), [say("removed", { n: this.lines.length - left.length })]);
    });
  }

  /** Does something, says so below the list, and offers to take it back. */
  done(act, words, before = this.text) {
    act();
    const undo = button(say("undo"), () => (this.look(false), this.change(split(before))));
    const close = button("×", () => this.strip.replaceChildren(), { "aria-label": say("close") });
    this.strip.replaceChildren(...words, undo, close);
  }

  /** Shows what a check has found. */
  reviewed(error) {
    this.bar.classList.toggle("error", Boolean(error));
    if (error) this.count.textContent = this.count.title = error;
    this.rows.update(this.lines);
  }
}
