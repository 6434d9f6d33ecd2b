// @ts-check
/** The list as lines. The server's parser has the last word on what a line means. */

/**
 * A line as typed (`raw`, with its line break `end`) and as read. A # switches the name right after it off; any other #
 * at the start makes the line a heading. Without an arrow, `anchor` is `null`. `review` is what the server says of it.
 * @typedef {{ raw: string, end: string, heading: boolean, on: boolean, name: string, anchor: string | null,
 *   remark: string, review?: any }} Line
 */

// The same as in scapre/concepts/text.py and syntax.py; tests/browser/test_lines.py compares them.
const END = /\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]/.source;
const PIECES = "→⇒↦⇨⇾➔➙➛➜➝➞➡⟶⟹⟼";
const STROKES = `[-‐‑–—−=]+>|[${PIECES}]\ufe0f?`;
const ARROW = new RegExp(STROKES, "g");
const QUOTED = new RegExp(`(?<![^\\s>${PIECES}\ufe0f])(?:"[^"]*"|“[^”]*”)(?=\\s|[,;]|${STROKES}|$)`, "g");
const REMARK = /(?<!\S)#/g;
const PARTED = new RegExp(`(?:${END}|[\t,;、，；])\\s*\\S`);

/** Without byte order marks and what is no character, and with single spaces. */
const clean = (text) => text.replace(/\ufeff/g, "").replace(/[\p{Cc}\p{Cs}\s]+/gu, " ").trim();

/** What stands before and after the first match outside of quoted names. */
function cut(pattern, text) {
  const quoted = [...text.matchAll(QUOTED)].map((match) => [match.index, match.index + match[0].length]);
  const free = ({ index }) => !quoted.some(([start, end]) => start <= index && index < end);
  const found = [...text.matchAll(pattern)].find(free);
  return found ? [text.slice(0, found.index).trim(), text.slice(found.index + found[0].length).trim()] : [text, null];
}

/** @returns {Line} */
export function readLine(raw, end = "\n") {
  const text = clean(raw);
  const heading = /^#([\s#]|$)/.test(text);
  const on = !text.startsWith("#");
  const [body, remark] = cut(REMARK, on ? text : text.slice(1));
  const [name, anchor] = heading ? ["", null] : cut(ARROW, body);
  return { raw, end, heading, on, name, anchor, remark: remark ?? "" };
}

/** Whether a text may be more than a name: then the server is asked what it is. */
export const isList = (text) => PARTED.test(text) || readLine(text).anchor !== null;

/** Changes fields of a line; only then is it written anew. */
export function edit(line, fields) {
  const { on, name, anchor, remark } = Object.assign(line, fields);
  const parts = [name, anchor === null ? "" : `-> ${anchor}`, remark && `# ${remark}`];
  const text = parts.filter(Boolean).join(" ").trim();
  line.raw = text && (on ? text : `#${text}`);
  return line;
}

/** @returns {Line[]} */
export function split(text) {
  const parts = text.split(new RegExp(`(${END})`));
  return parts.flatMap((part, i) => (i % 2 ? [] : [readLine(part, parts[i + 1])]));
}

export const join = (lines) => lines.map(({ raw, end }, i) => raw + (i < lines.length - 1 ? end : "")).join("");

/** Lines with texts in the place of some of them. */
export const splice = (lines, first, replaced, texts) => [
  ...lines.slice(0, first),
  ...texts.map((text) => readLine(text)),
  ...lines.slice(first + replaced),
];

export const isName = (line) => !line.heading && (line.name !== "" || line.anchor !== null);

/** Sorts the names of each group; headings and empty lines part the groups. */
export function sorted(lines) {
  const order = new Intl.Collator(undefined, { numeric: true });
  const groups = [[]];
  for (const line of lines) {
    if (isName(line)) groups[groups.length - 1].push(line);
    else groups.push([line], []);
  }
  return groups.flatMap((group) => group.sort((a, b) => order.compare(a.name, b.name)));
}
