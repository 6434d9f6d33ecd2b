// @ts-check
/** One row of the list, and what is said under it. */
import { element } from "../dom.mjs";
import { isName } from "./lines.mjs";
import { say } from "./parts.mjs";

const [ROW, NOTES] = [26, 16]; // pixels
const OFFERED = ["spelling", "alias"];
const WARNINGS = ["error", "conflict", "preserved", "long"];

const isNoted = (line) => !line.heading && line.on && (line.remark || line.review?.notes.length);

export const rowHeight = (line) => (isNoted(line) ? ROW + NOTES : ROW);

/** Names that belong into the list with a line's own: another spelling, or words that the encoder answers alike. */
export function others(line) {
  const { plain, names = plain && [plain] } = (line.on && line.review?.notes.find(({ kind }) => OFFERED.includes(kind))) || {};
  return names ?? [];
}

function notes(line) {
  const said = (line.review?.notes ?? []).map((note) => {
    const pieces = note.pieces?.join("·").replaceAll("\ufffd", "?");
    const names = note.names?.join(", ") + (note.more ? " …" : "");
    return [note.kind, note.text ?? say(note.unseen ? "unseen" : note.kind, { ...note, pieces, names })];
  });
  return line.remark ? [...said, ["remark", `# ${line.remark}`]] : said;
}

/**
 * Makes a line's row, or brings it up to date.
 * @param {import("./lines.mjs").Line} line
 * @param {number} index
 * @param {any} usual what takes the place of a name without an arrow: a text, or its kin in the method auto
 * @param {any} [row]
 */
export function drawRow(line, index, { anchor: usual, auto }, row = blank(line)) {
  const { name, anchor, number, use, tokens, below, spell } = row.parts;
  row.className = `row ${line.heading ? "heading" : line.on ? "" : "off"}`;
  number.textContent = String(index + 1);
  fill(name, line.heading ? line.raw : line.name);
  fill(anchor, line.anchor ?? "");
  anchor.placeholder = (line.anchor === null && (usual || (auto && say("kin")))) || say("nothing");
  use.checked = line.on;
  use.disabled = !isName(line);
  const read = line.on && line.review?.pieces;
  tokens.textContent = read ? line.review.tokens : "";
  tokens.title = read ? say("tokens", { n: line.review.tokens, pieces: read.join(" · ") }) : "";
  const said = isNoted(line) ? notes(line) : [];
  below.replaceChildren(...said.map(([kind, text]) => element("span", { class: WARNINGS.includes(kind) && "warning" }, text)));
  below.title = said.map(([, text]) => text).join("\n");
  spell.hidden = !others(line).length;
  spell.title = spell.hidden ? "" : say("spell", { plain: others(line).join(", ") });
  return row;
}

/** A field that is being typed in keeps what is typed. */
function fill(field, value) {
  if (field !== document.activeElement && field.value !== value) field.value = value;
}

function blank(line) {
  const named = (tag, key, more = {}) => element(tag, { class: key, "aria-label": say(key), ...more });
  const field = (key) => named("input", key, { type: "text", spellcheck: "false", placeholder: say("hint") });
  const span = (key, text = "") => element("span", { class: key }, text);
  const parts = {
    number: span("number"),
    use: named("input", "use", { type: "checkbox" }),
    name: field("name"),
    arrow: span("arrow", "→"),
    anchor: field("anchor"),
    tokens: span("tokens"),
    remove: named("button", "remove", { type: "button" }),
    below: element("div", { class: "notes" }),
    spell: element("button", { class: "spell", type: "button", hidden: true }, say("insert")),
  };
  return Object.assign(element("div", { role: "listitem" }, ...Object.values(parts)), { parts, line });
}
