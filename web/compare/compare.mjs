// @ts-check
/* global LiteGraph */
/** Before and After shows its pictures under a slider. */
import { api } from "../../../../scripts/api.js";
import { app } from "../../../../scripts/app.js";
import { after, memory, stylesheet, takePlace } from "../dom.mjs";
import { lookup } from "../words.mjs";
import { slider } from "./slider.mjs";
import { WORDS } from "./words.mjs";

const SETTING = "ScaPre.CompareSlider";
const HEIGHT = 340; // pixels at least, before and after a run, so that the node keeps its size
const say = lookup(WORDS);

stylesheet("compare.css", import.meta.url);

const address = (file) => api.apiURL(`/view?${new URLSearchParams(file)}`);

function attach(node) {
  const { root, show } = slider(say);
  const kept = memory(node, "compare");
  const draw = (pairs) => pairs?.length && show(pairs.map((pair) => ({ ...pair, before: address(pair.before), after: address(pair.after) })));
  const options = { serialize: false, hideOnZoom: false, getMinHeight: () => HEIGHT };
  node.addDOMWidget("compare", "SCAPRE_COMPARE", root, options).serialize = false;
  node.setSize([node.size[0], Math.max(node.size[1], node.computeSize()[1])]); // what a reload would make it
  root.addEventListener("wheel", toCanvas);
  root.addEventListener("pointerdown", (event) => event.button === 1 && toCanvas(event));
  after(node, "onConfigure", () => takePlace(node, root));
  after(node, "onAdded", () => draw(kept.read()));
  after(node, "onExecuted", (message) => {
    if (message?.scapre_compare) kept.write(message.scapre_compare);
    draw(message?.scapre_compare);
  });
}

/** Zooms and pans the graph over the pictures; Nodes 2.0 does so. */
function toCanvas(event) {
  if (LiteGraph.vueNodesMode) return;
  event.preventDefault();
  app.canvas.canvas.dispatchEvent(new event.constructor(event.type, event));
}

export function nodeCreated(node) {
  if (node.comfyClass !== "ScaPreBeforeAfter" || !app.extensionManager.setting.get(SETTING)) return;
  attach(node);
}
