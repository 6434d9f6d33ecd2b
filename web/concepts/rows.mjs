// @ts-check
/** The list as rows: what is typed, pressed, pasted and clicked in them. */
import { element } from "../dom.mjs";
import { edit, readLine, split } from "./lines.mjs";
import { button, say, windowed } from "./parts.mjs";
import { drawRow, rowHeight } from "./row.mjs";
import { readings } from "./server.mjs";

const PARTED = /[\r\n\t,;、，；]\s*\S/;

/** @param {import("./editor.mjs").Editor} editor */
export function rowsView(editor) {
  const box = element("div", { class: "rows", role: "list", "aria-label": say("list"), "data-capture-wheel": "true" });
  const view = windowed(box, rowHeight, (line, index, row) => drawRow(line, index, editor.source.context().anchor, row));
  const on = (type, act) =>
    box.addEventListener(type, (event) => {
      const { target } = event;
      const { line } = target.closest(".row") ?? {};
      const field = ["name", "anchor"].find((kind) => target.classList.contains(kind));
      const index = editor.lines.indexOf(line);
      if (index >= 0) act({ line, field, target, index }, event);
    });

  on("input", ({ line, field, target: { value } }) => {
    if (!field) return;
    if (line.heading) line.raw = value;
    else edit(line, { [field]: value.trim() || (field === "name" ? "" : null) });
    editor.strip.replaceChildren();
    editor.write();
  });
  on("change", ({ line, field, target }) => {
    if (field) Object.assign(line, readLine(line.raw, line.end)); // an arrow typed in a name parts it
    else edit(line, { on: target.checked });
    if (field) target.value = (line.heading ? line.raw : line[field]) ?? "";
    editor.source.step(() => editor.write());
  });
  on("click", ({ index, target }) => target.matches(".remove") && remove(index, index));
  on("paste", async ({ line }, event) => {
    const text = event.clipboardData.getData("text/plain").trim();
    if (!PARTED.test(text)) return;
    event.preventDefault();
    paste(line, await readings(text));
  });
  on("keydown", ({ index, field, target }, event) => {
    if (!field || event.isComposing || event.ctrlKey || event.metaKey) return;
    const empty = !editor.lines[index].raw.trim();
    const act = {
      Enter: () => (editor.insert(index + 1, [""]), focus(index + 1)),
      ArrowUp: () => focus(index - 1, field),
      ArrowDown: () => focus(index + 1, field),
      Backspace: empty && (() => remove(index, index - 1)),
      Delete: empty && (() => remove(index, index)),
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });

  /** Adds what a text says after a line, or in its place, and offers the other ways to read it. */
  function paste(at, found, reading = found.best) {
    const before = editor.text;
    const index = editor.lines.indexOf(at);
    const texts = found[reading];
    const first = at.raw.trim() ? index + 1 : index;
    const choice = (other) => {
      const again = () => (editor.change(split(before)), paste(editor.lines[index], found, other));
      return button(say(other), again, { "aria-pressed": String(other === reading) });
    };
    const choices = ["lines", "commas", "columns"].filter((one) => found[one]?.length).map(choice);
    editor.done(() => editor.insert(first, texts, index + 1 - first), say("added", { n: texts.length }), ...choices);
    focus(first + texts.length - 1);
  }

  function remove(index, next) {
    const left = editor.lines.filter((_, i) => i !== index);
    editor.change(left.length ? left : [readLine("")]);
    focus(Math.max(next, 0));
  }

  function focus(index, field = "name") {
    const row = view.reach(Math.min(Math.max(index, 0), editor.lines.length - 1));
    const target = row.parts[row.line.heading ? "name" : field];
    target.focus();
    target.setSelectionRange(target.value.length, target.value.length);
  }

  return { ...view, element: box, focus };
}
