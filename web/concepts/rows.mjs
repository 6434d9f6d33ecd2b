// @ts-check
/** The list as rows: what is typed, pressed, pasted and clicked in them. */
import { element } from "../dom.mjs";
import { edit, isList, readLine } from "./lines.mjs";
import { say, windowed } from "./parts.mjs";
import { paste } from "./readings.mjs";
import { drawRow, others, rowHeight } from "./row.mjs";

/** @param {import("./editor.mjs").Editor} editor */
export function rowsView(editor) {
  const box = element("div", { class: "rows", role: "list", "aria-label": say("list"), "data-capture-wheel": "true" });
  const view = windowed(box, rowHeight, (line, index, row) => drawRow(line, index, editor.source.usual(), row));
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
  on("click", ({ line, index, target }) => {
    if (target.matches(".remove")) remove(index, index);
    if (target.matches(".spell")) spell(line, index);
  });
  on("paste", ({ line, index }, event) => {
    const text = event.clipboardData.getData("text/plain").trim();
    if (!isList(text)) return;
    event.preventDefault();
    const kept = Number(Boolean(line.raw.trim()));
    paste(editor, text, index + kept, 1 - kept);
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

  /** Adds what belongs to a name as rows of their own. */
  function spell(line, index) {
    const added = others(line).map((name) => edit(readLine(""), { name, anchor: line.anchor }).raw);
    line.review = undefined; // until it is checked with the new rows
    editor.insert(index + 1, added);
    focus(index + 1);
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
