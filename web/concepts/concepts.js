// @ts-check
/** The concept editor of Erase Concepts: a row for each concept, over the same plain text. */
import { app } from "../../../scripts/app.js";
import { stylesheet } from "../dom.js";
import { dress } from "./widget.js";

const SETTING = "ScaPre.ConceptEditor";

stylesheet("concepts.css", import.meta.url);

app.registerExtension({
  name: SETTING,
  settings: [
    {
      id: SETTING,
      name: "Concept editor",
      tooltip: "Rows, checks and lists in Erase Concepts. Without it, plain text. Takes effect on nodes that are added or loaded afterwards.",
      category: ["ScaPre", "Nodes", "ConceptEditor"],
      type: "boolean",
      defaultValue: true,
    },
  ],
  nodeCreated(node) {
    if (node.comfyClass !== "ScaPreEraseConcepts" || !app.extensionManager.setting.get(SETTING)) return;
    const widget = node.widgets.find((one) => one.name === "concepts");
    if (widget?.element instanceof HTMLTextAreaElement) dress(node, widget);
  },
});
