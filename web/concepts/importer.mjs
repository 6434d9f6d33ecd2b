// @ts-check
/** The panel that adds names from a list: bundled, in the host's input folder, or a file. */
import { element } from "../dom.mjs";
import { readLine } from "./lines.mjs";
import { button, counted, say, windowed } from "./parts.mjs";
import { readAs } from "./readings.mjs";
import { latest } from "./server.mjs";

const ROW = 24; // pixels
const MOST_BYTES = 2 ** 23;
const TYPES = ".txt,.csv,.tsv,.json,.yaml,.yml,.md";

/**
 * @param {() => Set<string>} have names that are there, in lower case
 * @param {(lines: string[]) => void} add
 * @param {() => void} close
 */
export function importPanel(have, add, close) {
  const [lists, names] = [latest(), latest()];
  const files = new Map();
  let asked = false;
  let items = [];
  const source = element("select", { "aria-label": say("import"), onchange: () => open(source.value) });
  const search = element("input", { type: "text", "aria-label": say("search"), placeholder: say("search"), oninput: show });
  const file = element("input", { type: "file", accept: TYPES, hidden: true, onchange: () => take(file.files[0]) });
  const said = element("div", { class: "said", role: "status" });
  const box = element("div", { class: "choices", "data-capture-wheel": "true" });
  const all = button("", () => put(wanted()), { class: "main" });
  const bar = (...parts) => element("div", { class: "bar" }, ...parts);
  const view = windowed(box, () => ROW, draw);

  const found = () => items.filter(({ line }) => line.toLowerCase().includes(search.value.toLowerCase()));
  const wanted = () => found().filter((item) => !item.there);

  function put(some) {
    add(some.map(({ line }) => line));
    show();
  }

  function show() {
    const there = have();
    for (const item of items) item.there = there.has(item.name);
    view.update(found());
    all.textContent = say("shown", { n: wanted().length });
    all.disabled = !wanted().length;
  }

  function draw(item, _index, made = button(item.line, () => put([item]), { class: "row" })) {
    made.disabled = item.there;
    return made;
  }

  /** Shows what a list says, and in which way, or why it says nothing. */
  function fill(lines, parts, why = "") {
    items = lines.map((line) => ({ line, name: readLine(line).name.toLowerCase() }));
    said.replaceChildren(...parts);
    box.dataset.why = why;
    box.scrollTop = 0;
    show();
  }

  /** Asks what a list says, shows that, and offers the other ways to read it. */
  function read(path, body, column = "") {
    const again = (other) => read(path, body, other);
    const choose = (answer, reading) => {
      const lines = answer[reading].filter((line) => !line.startsWith("#"));
      fill(lines, readAs(counted(lines.length), answer, reading, (other) => choose(answer, other), again));
    };
    const answered = (answer) => (answer.best ? choose(answer, answer.best) : fill([], [], answer.error ?? say("failed")));
    asked = true;
    fill([], []);
    names.ask({ path: `${path}&column=${encodeURIComponent(column)}`, body }, answered);
  }

  function open(name) {
    const given = files.get(name);
    if (!given) return read(`lists/names?source=${encodeURIComponent(name)}`);
    if (given.size <= MOST_BYTES) return read(`readings/file?name=${encodeURIComponent(given.name)}`, given);
    names.drop();
    fill([], [], say("large", { most: MOST_BYTES / 2 ** 20 }));
  }

  /** A file becomes one of the lists, so that it can be returned to. */
  function take(given) {
    if (!given) return;
    const name = say("opened", { name: given.name });
    if (!files.has(name)) source.append(element("option", { value: name }, name));
    files.set(name, given);
    file.value = ""; // else the same file could not be opened again
    open((source.value = name));
  }

  show();
  lists.ask({ path: "lists" }, ({ lists: some = [] }) => {
    source.prepend(...some.map((list) => element("option", { value: list.source }, list.source)));
    if (asked || !some.length) return;
    open((source.value = some[0].source));
  });
  const buttons = [all, button(say("file"), () => file.click()), button(say("close"), close)];
  return element("div", { class: "import" }, bar(source, search), said, box, bar(...buttons), file);
}
