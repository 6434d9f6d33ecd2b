// @ts-check
/* global LiteGraph */
/** Puts the editor in the place of the host's text box, whose widget keeps the value. */
import { api } from "../../../../scripts/api.js";
import { app } from "../../../../scripts/app.js";
import { after, element, memory, takePlace } from "../dom.mjs";
import { Editor } from "./editor.mjs";
import { encoderOf } from "./encoder.mjs";
import { say } from "./parts.mjs";

const TYPE = "SCAPRE_CONCEPTS";
const SUBGRAPH = "-10"; // how the host calls the inputs of a subgraph
const PAN = { pointerdown: "processMouseDown", pointermove: "processMouseMove", pointerup: "processMouseUp" };
const CONTEXT = ["anchor", "preserve"]; // inputs that a check looks at too
const LINE = 14; // pixels
const [LEAST, USUAL] = [120, 200]; // pixels in height: in a node saved with a small text box, and in others

const linkOf = (node, name) => node.graph?.getLink(node.inputs.find((input) => input.name === name)?.link);

/**
 * @param {any} node
 * @param {any} widget the host's multiline text widget
 */
export function dress(node, widget) {
  const editor = new Editor(sourceOf(node, widget));
  replace(node, widget, editor);
  watchLink(node, widget.name, editor);
  fit(node, widget, editor);
  guard(editor.root);
  after(widget.options, "setValue", () => editor.load());
  for (const one of node.widgets) if ([...CONTEXT, "method"].includes(one.name)) after(one, "callback", () => editor.show());
  after(node, "onExecuted", () => editor.show()); // a run knows more of the names
  const look = () => editor.checks.encoder(encoderOf(node));
  api.addEventListener("graphChanged", look); // names are cut as the text encoder that is connected cuts them
  after(node, "onConnectionsChange", () => queueMicrotask(look));
  after(node, "onRemoved", () => (editor.silence(), api.removeEventListener("graphChanged", look)));
}

/** The text that is edited, and what belongs to it. */
function sourceOf(node, widget) {
  const value = (name) => (linkOf(node, name) ? "" : String(node.widgets.find((one) => one.name === name)?.value ?? ""));
  return {
    textarea: widget.element,
    memory: memory(node, "concepts"),
    read: () => String(widget.value ?? ""),
    write: (text) => (widget.value = text),
    usual: () => ({ anchor: value("anchor"), auto: value("method") === "auto" }),
    context: () => ({ ...Object.fromEntries(CONTEXT.map((name) => [name, value(name)])), encoder: encoderOf(node) }),
    /** Does what the graph can undo as one. */
    step(act) {
      app.canvas.emitBeforeChange();
      try {
        act();
      } finally {
        app.canvas.emitAfterChange();
      }
    },
  };
}

/** Shows the editor in place of the box, except in a subgraph whose own face has the list. */
function replace(node, widget, editor) {
  const { type, element: textarea, name } = widget;
  let promoting = false;
  const promoted = () => promoting || String(linkOf(node, name)?.origin_id) === SUBGRAPH;
  const define = (key, get, set = () => {}) => Object.defineProperty(widget, key, { get, set, configurable: true });
  const suppress = () => Reflect.set(Object.getPrototypeOf(widget), "connectionSuppressed", promoted(), widget);
  define("type", () => (promoted() ? type : TYPE)); // the subgraph takes over the host's own boxes only
  define("element", () => (promoted() ? textarea : editor.root));
  define("computedDisabled", promoted); // the canvas hides a linked box; this one says where its names come from
  define("connectionSuppressed", promoted, suppress); // so do both renderers of newer frontends
  define("width", () => undefined); // the frontend's side panel sets its own
  after(node, "onConnectInput", (_slot, _type, _output, from) => {
    promoting = String(from?.id) === SUBGRAPH;
    queueMicrotask(() => (promoting = false));
  });
  after(widget, "draw", (context, _node, width, _y, height) => {
    if (context.canvas !== app.canvas.canvas) sketch(context, editor, width, height);
  });
  if (node.graph) swap(node.widgets, widget, textarea, editor.root);
}

/** Puts the editor where the box is shown: the canvas knows its element, Nodes 2.0 its place in the list. */
function swap(widgets, widget, textarea, root) {
  textarea.replaceWith(root);
  const index = widgets.indexOf(widget);
  widgets.splice(index, 1);
  widgets.splice(index, 0, widget);
}

/** Says where the names come from while a link brings them. */
function watchLink(node, name, { root, bar, body }) {
  const banner = element("div", { class: "linked" });
  const show = () => {
    const origin = linkOf(node, name)?.origin_id;
    bar.inert = body.inert = origin !== undefined;
    banner.textContent = say("linked", { title: node.graph?.getNodeById(origin)?.title ?? node.graph?.name });
    if (bar.inert) root.append(banner);
    else banner.remove();
  };
  after(node, "onConnectionsChange", () => queueMicrotask(show));
  after(node, "onConfigure", show);
}

/** Makes a node high enough; a saved one grows as little as will do. */
function fit(node, widget, editor) {
  let least = USUAL;
  widget.options.getMinHeight = () => least;
  node.setSize([node.size[0], Math.max(node.size[1], node.computeSize()[1])]);
  after(node, "onConfigure", ({ size }) => {
    least = LEAST;
    least += Math.min(Math.max(size[1] - node.computeSize()[1], 0), USUAL - LEAST);
    editor.root.style.setProperty("--least", `${least}px`);
    editor.load();
    editor.look(editor.source.memory.read());
    if (widget.element === editor.root) takePlace(node, editor.root);
  });
}

/** Writes the list into the side panel, where only the host's own boxes can be edited. */
function sketch(context, { root, lines }, width, height) {
  context.fillStyle = getComputedStyle(root).color;
  const shown = lines.slice(0, height / LINE - 1);
  shown.forEach(({ raw }, i) => context.fillText(raw, LINE, LINE * (i + 1), width - 2 * LINE));
}

/** Keeps what is typed and pasted from the graph; the page's own shortcuts, such as Ctrl+Enter, pass. */
function guard(root) {
  const stop = (event) => event.stopPropagation();
  for (const type of ["copy", "cut", "paste"]) root.addEventListener(type, stop);
  root.addEventListener("contextmenu", (event) => event.target.matches("input, textarea") && stop(event));
  for (const [type, action] of Object.entries(PAN)) {
    root.addEventListener(type, (event) => (event.button === 1 || event.buttons === 4) && app.canvas[action](event));
  }
  root.addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey) || /^[acvxyz]$/i.test(event.key)) stop(event);
  });
  root.addEventListener("wheel", (event) => {
    const box = event.target.closest("[data-capture-wheel], textarea");
    if (!event.ctrlKey && box?.scrollHeight > box?.clientHeight) return stop(event);
    if (LiteGraph.vueNodesMode) return;
    event.preventDefault();
    app.canvas.processMouseWheel(event);
  });
  root.blur = () => root.contains(document.activeElement) && document.activeElement.blur();
}
