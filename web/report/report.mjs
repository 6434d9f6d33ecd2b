// @ts-check
/** The report of the last run, in its node. */
import { app } from "../../../../scripts/app.js";
import { after, element, memory, stylesheet, takePlace } from "../dom.mjs";
import { contents } from "./panel.mjs";

const NODES = ["ScaPreEraseConcepts", "ScaPreEraseNeurons", "ScaPreUnlearn", "ScaPreMergeEdits", "ScaPreLoadEdit"];
const SETTING = "ScaPre.ReportPanel";
const NAME = "scapre_report";
const WIDTH = 340; // pixels, the node at least
const HEIGHT = 360; // pixels, the panel at least

stylesheet("report.css", import.meta.url); // before a panel is measured

/** Adds the panel to its node, which grows by what is missing. */
function add(node) {
  const panel = element("section", { class: "scapre-report", onwheel: wheel, onkeydown: stay });
  const options = { serialize: false, hideOnZoom: false, hideInPanel: true, getMinHeight: () => HEIGHT };
  const widget = node.addDOMWidget(NAME, "SCAPRE_REPORT", panel, options);
  widget.serialize = false; // the last one: the other values keep their places
  const [, height] = node.computeSize();
  node.setSize([Math.max(node.size[0], WIDTH), Math.max(node.size[1], height)]);
  return widget;
}

/** The wheel zooms the canvas where the panel cannot scroll; Nodes 2.0 does so. */
function wheel(event) {
  const list = event.target.closest(".scroll");
  if (globalThis.LiteGraph.vueNodesMode || (list?.scrollHeight > list?.clientHeight && !event.ctrlKey)) return;
  event.preventDefault();
  app.canvas.processMouseWheel(event);
}

/** The arrow keys move through the panel, and not its node. */
const stay = (event) => event.key.startsWith("Arrow") && event.stopPropagation();

/** Shows a run in its node. */
function show(node, run) {
  if (!run || !app.extensionManager.setting.get(SETTING)) return;
  const { element: panel } = node.widgets?.find(({ name }) => name === NAME) ?? add(node);
  takePlace(node, panel);
  panel.replaceChildren(...contents(run, () => memory(node, NAME).write(run)));
}

/** Shows and keeps what a run has sent. */
function receive(node, message) {
  const [text] = message?.[NAME] ?? [];
  if (!node || !text) return;
  const data = JSON.parse(text);
  const kept = memory(node, NAME);
  const run = { data, folded: kept.read()?.folded ?? {} };
  kept.write(run);
  show(node, run);
}

export function nodeCreated(node) {
  if (NODES.includes(node.comfyClass)) after(node, "onExecuted", (message) => receive(node, message));
}

export const loadedGraphNode = (node) => show(node, memory(node, NAME).read());

/** Runs that ended behind another workflow, or come from the history. */
export function onNodeOutputsUpdated(outputs) {
  for (const [place, message] of Object.entries(outputs)) {
    const [id, graph] = place.split(":").reverse();
    receive((graph ? app.rootGraph.subgraphs.get(graph) : app.rootGraph)?.getNodeById(id), message);
  }
}
