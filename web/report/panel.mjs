// @ts-check
/** The panel of a run. */
import { element } from "../dom.mjs";
import { button, section } from "./sections.mjs";
import { csv, figure, say, tables } from "./tables.mjs";

const COPIED = 2000; // milliseconds

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    return copySelected(text); // a page over plain http has no clipboard
  }
  return true;
}

function copySelected(text) {
  const area = element("textarea", { style: "position:fixed;opacity:0" });
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  return done;
}

function copyButton(kind, text) {
  const words = say("copy", { kind });
  const made = button(words, async () => {
    made.textContent = say((await copy(text())) ? "copied" : "failed");
    made.focus();
    setTimeout(() => (made.textContent = words), COPIED);
  });
  return made;
}

/** A panel's head, and what scrolls below it. `keep` is called when a section is folded. */
export function contents(run, keep) {
  const { title, lines, notes, seconds } = run.data;
  const total = Object.values(seconds).reduce((sum, part) => sum + part, 0);
  const head = [element("strong", {}, title), element("span", {}, say("run", { seconds: figure(total) }))];
  const copies = [copyButton("CSV", () => csv(run.data)), copyButton("JSON", () => JSON.stringify(run.data, null, 1))];
  const sections = Object.entries(tables(run.data)).map(([key, table]) => section(key, table, run, keep));
  const remarks = [...lines, ...notes].map((remark) => element("p", {}, remark));
  const list = element("div", { class: "scroll", tabindex: 0, "data-capture-wheel": "true" }, ...sections, ...remarks);
  return [element("header", {}, ...head, ...copies), list];
}
