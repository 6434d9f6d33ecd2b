// @ts-check
/** What the server says of the list: notes for rows, a mistake of the whole, another shape. */
import { element } from "../dom.mjs";
import { button, say } from "./parts.mjs";
import { described, readInto } from "./readings.mjs";
import { latest } from "./server.mjs";

const PAUSE = 400; // milliseconds from a change to its check at least

/** @param {import("./editor.mjs").Editor} editor */
export function checksOf(editor) {
  const { ask, drop } = latest();
  const hint = element("div", { class: "strip hint", role: "status" });
  let awaited = null;
  let declined = null;
  let took = 0;
  let asked = "";

  /** Asks what to know about the list as it is. */
  function run(pause = 0) {
    const began = performance.now() + pause;
    const body = { concepts: editor.text, ...editor.source.context() };
    asked = body.encoder;
    ask({ path: "check", body, pause }, (found) => {
      took = performance.now() - began;
      take(found);
    });
  }

  /** Asks when nothing has changed for a while; no server is asked faster than it answers. */
  const later = () => run(Math.max(PAUSE, took));

  /** Asks again if the names were read by another text encoder than is connected now. */
  const encoder = (now) => now !== asked && later();

  /** Asks at once, and does something when the list, or what it has become by then, has been checked. */
  function now(act) {
    awaited = act;
    run();
  }

  function take({ rows, error, shape }) {
    mark(rows ?? []);
    editor.reviewed(error);
    suggest(shape);
    const act = awaited;
    awaited = null;
    if (act && rows && !error) act();
    else if (act) editor.strip.replaceChildren(error ?? say("failed"));
  }

  function mark(rows) {
    const found = new Map(rows.map((row) => [row.line - 1, row]));
    const there = new Set(editor.lines.map(({ name }) => name));
    const isNew = ({ kind, plain }) => kind !== "spelling" || !there.has(plain);
    editor.lines.forEach((line, i) => {
      const row = found.get(i);
      line.review = row && { ...row, notes: row.notes.filter(isNew) };
    });
  }

  /** Says that the list looks like another shape, until somebody has declined to read it so. */
  function suggest(shape) {
    if (shape?.kind !== declined) declined = null;
    const accept = () => readInto(editor, editor.text, { before: editor.text, first: 0, replaced: editor.lines.length });
    const close = () => (decline(shape.kind), hint.replaceChildren());
    const buttons = () => [button(say("accept"), accept), button("×", close, { "aria-label": say("close") })];
    hint.replaceChildren(...(shape && !declined ? [say("looks", { shape: described(shape) }), ...buttons()] : []));
  }

  const decline = (kind) => (declined = kind);

  return { later, now, encoder, drop, hint, decline };
}
