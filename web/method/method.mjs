// @ts-check
/** Shows what belongs to the chosen method of Erase Concepts; workflows older than it get the first one. */
import { app } from "../../../../scripts/app.js";
import { after } from "../dom.mjs";

const NODE = "ScaPreEraseConcepts";
const FIRST = "scapre"; // the only method that there was

const inputs = (node) => ({ ...node.constructor.nodeData?.input?.required, ...node.constructor.nodeData?.input?.optional });

/** Values are kept by place, and the method came later: where there is none, it is the first. */
function adopt(node, saved) {
  const place = node.widgets.findIndex(({ name }) => name === "method");
  if (Array.isArray(saved?.widgets_values) && saved.widgets_values.length <= place) saved.widgets_values[place] = FIRST;
}

function show(node) {
  const method = node.widgets.find(({ name }) => name === "method").value;
  for (const widget of node.widgets) {
    const { scapre_methods: methods, scapre_presets: presets } = inputs(node)[widget.name]?.[1] ?? {};
    const own = presets?.[method];
    if (own) choose(widget, own);
    if (methods || own) hide(widget, methods ? !methods.includes(method) : own.length < 2);
  }
  node.setSize([node.size[0], Math.max(node.size[1], node.computeSize()[1])]);
  node.setDirtyCanvas(true, true);
}

function choose(widget, presets) {
  widget.options.values = presets;
  if (!presets.includes(widget.value)) widget.value = presets[0];
}

/** Both renderers: the canvas reads the widget, Nodes 2.0 its options. */
function hide(widget, hidden) {
  widget.hidden = hidden;
  widget.options.hidden = hidden;
}

export function nodeCreated(node) {
  if (node.comfyClass !== NODE) return;
  const method = node.widgets?.find(({ name }) => name === "method");
  if (!method) return;
  const configure = node.configure;
  node.configure = function (saved) {
    adopt(node, saved);
    const result = configure.call(this, saved);
    show(node);
    return result;
  };
  after(method, "callback", () => show(node));
  show(node);
  app.canvas?.setDirty(true, true);
}
