// @ts-check
/**
 * All that the page loads at its start: the switches. The frontend loads every .js file here then, so what nodes need
 * is in .mjs files, which follow when the page is idle or a workflow has a node.
 */
import { app } from "../../scripts/app.js";

const MODULES = "../../api/scapre/web/"; // by a route of this pack, so that no browser keeps an old one
const LATER = " Takes effect on nodes that are added or loaded afterwards.";
const FEATURES = [
  {
    folder: "advanced",
    id: "ScaPre.FoldAdvanced",
    name: "Fold advanced inputs on the canvas",
    tooltip: "Behind a button at the end of the node." + LATER,
  },
  {
    folder: "compare",
    id: "ScaPre.CompareSlider",
    name: "Slider in Before and After",
    tooltip: "Shows the pictures of a run under a slider in the node. Without it, connect the outputs to Preview Image." + LATER,
  },
  {
    folder: "concepts",
    id: "ScaPre.ConceptEditor",
    name: "Concept editor",
    tooltip: "Rows, checks and lists in Erase Concepts. Without it, plain text." + LATER,
  },
  { folder: "method" },
  {
    folder: "report",
    id: "ScaPre.ReportPanel",
    name: "Report in the node",
    tooltip: "What an edit did, as charts and tables. Takes effect with the next run.",
  },
];

/** @type {Promise<any[]> | undefined} */
let loading;
/** @type {any[]} the features' modules, which export an extension's hooks; empty at first */
let loaded = [];

/** Loads the features, once. */
async function load() {
  loading ??= Promise.all(FEATURES.map(({ folder }) => import(new URL(`${MODULES}${folder}/${folder}.mjs`, import.meta.url).href)));
  loaded = await loading;
}

const call = (hook, given) => loaded.forEach((feature) => feature[hook]?.(...given));
const ours = (type) => String(type).startsWith("ScaPre");
const graphs = (workflow) => [workflow, ...(workflow.definitions?.subgraphs ?? [])];

app.registerExtension({
  name: "ScaPre",
  settings: FEATURES.filter(({ id }) => id).map(({ folder, ...words }) => ({
    ...words,
    category: ["ScaPre", "Nodes", words.id],
    type: "boolean",
    defaultValue: true,
  })),
  async beforeConfigureGraph(workflow) {
    if (graphs(workflow).some(({ nodes }) => nodes?.some(({ type }) => ours(type)))) await load();
  },
  afterConfigureGraph() {
    (globalThis.requestIdleCallback ?? setTimeout)(() => load().catch(console.error));
  },
  async nodeCreated(...given) {
    if (!ours(given[0].comfyClass)) return;
    if (!loaded.length) await load(); // only a node that came before the page was ever idle waits
    call("nodeCreated", given);
  },
  loadedGraphNode: (...given) => call("loadedGraphNode", given),
  onNodeOutputsUpdated: (...given) => call("onNodeOutputsUpdated", given),
});
