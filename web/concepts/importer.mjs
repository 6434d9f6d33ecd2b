// @ts-check
/** The panel that adds names from a list: a bundled one, one in the host's input folder, or a file. */
import { element } from "../dom.mjs";
import { readLine } from "./lines.mjs";
import { button, say, windowed } from "./parts.mjs";
import { ask, readings } from "./server.mjs";

const ROW = 24; // pixels
const MOST_BYTES = 2 ** 20;

/**
 * @param {() => Set<string>} have names that are there, in lower case
 * @param {(lines: string[]) => void} add
 * @param {() => void} close
 */
export function importPanel(have, add, close) {
  let items = [];
  const source = element("select", { "aria-label": say("import"), onchange: () => open(source.value) });
  const search = element("input", { type: "text", "aria-label": say("search"), placeholder: say("search"), oninput: show });
  const file = element("input", { type: "file", accept: ".txt,.csv,.tsv", hidden: true, onchange: () => read(file.files[0]) });
  const box = element("div", { class: "choices", "data-capture-wheel": "true" });
  const all = button("", () => take(wanted()), { class: "main" });
  const bar = (...parts) => element("div", { class: "bar" }, ...parts);
  const view = windowed(box, () => ROW, draw);

  const found = () => items.filter(({ line }) => line.toLowerCase().includes(search.value.toLowerCase()));
  const wanted = () => found().filter((item) => !item.there);

  function take(some) {
    add(some.map(({ line }) => line));
    show();
  }

  function show() {
    const names = have();
    for (const item of items) item.there = names.has(item.name);
    view.update(found());
    all.textContent = say("shown", { n: wanted().length });
    all.disabled = !wanted().length;
  }

  function draw(item, _index, made = button(item.line, () => take([item]), { class: "row" })) {
    made.disabled = item.there;
    return made;
  }

  function fill(lines, why = "") {
    items = lines.map((line) => ({ line, name: readLine(line).name.toLowerCase() }));
    box.dataset.why = why;
    box.scrollTop = 0;
    show();
  }

  async function open(name) {
    const { names, error } = await ask(`lists/names?source=${encodeURIComponent(name)}`);
    fill(names ?? [], names ? "" : (error ?? say("failed")));
  }

  async function read(given) {
    if (given.size > MOST_BYTES) return fill([], say("failed"));
    const { best, ...texts } = await readings(await given.text());
    fill(texts[best].filter((line) => !line.startsWith("#")));
  }

  ask("lists").then(({ lists = [] }) => {
    for (const list of lists) source.append(element("option", { value: list.source }, list.source));
    if (lists.length) open(lists[0].source);
    else show();
  });
  const buttons = [all, button(say("file"), () => file.click()), button(say("close"), close)];
  return element("div", { class: "import" }, bar(source, search), box, bar(...buttons), file);
}
