// @ts-check
/* global LiteGraph */
/** Folds advanced inputs on the canvas; Nodes 2.0 does so by itself. */
import { app } from "../../../../scripts/app.js";
import { lookup } from "../words.mjs";
import { WORDS } from "./words.mjs";

const SETTING = "ScaPre.FoldAdvanced";
const say = lookup(WORDS);

function fold(node) {
  const advanced = (node.widgets ?? []).filter((widget) => widget.options?.advanced);
  if (!advanced.length) return;
  for (const widget of advanced) {
    widget.advanced = true; // so the node is measured without them
    hide(widget, () => !node.showAdvanced && !LiteGraph.vueNodesMode);
  }
  const button = node.addWidget("button", "advanced", null, () => toggle(node), { serialize: false, canvasOnly: true });
  button.serialize = false;
  Object.defineProperty(button, "label", { get: () => say(node.showAdvanced ? "hide" : "show"), set() {} });
  fit(node);
}

/** The canvas leaves room for advanced widgets, which it does not draw, unless they are hidden. */
function hide(widget, folded) {
  let hidden = widget.hidden;
  Object.defineProperty(widget, "hidden", {
    get: () => hidden || folded(),
    set(value) {
      hidden = value;
    },
  });
}

function toggle(node) {
  app.canvas.emitBeforeChange();
  node.showAdvanced = !node.showAdvanced;
  fit(node);
  app.canvas.emitAfterChange();
}

function fit(node) {
  node.setSize([node.size[0], node.computeSize()[1]]);
  node.setDirtyCanvas(true, true);
}

export function nodeCreated(node) {
  if (app.extensionManager.setting.get(SETTING)) fold(node);
}
