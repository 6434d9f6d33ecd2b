// @ts-check
/** The concept editor: a row for each concept, over the same plain text. */
import { app } from "../../../../scripts/app.js";
import { stylesheet } from "../dom.mjs";
import { dress } from "./widget.mjs";

const SETTING = "ScaPre.ConceptEditor";
const NODES = ["ScaPreEraseConcepts", "ScaPreEraseNeurons", "ScaPreUnlearn"];

stylesheet("concepts.css", import.meta.url);

export function nodeCreated(node) {
  if (!NODES.includes(node.comfyClass) || !app.extensionManager.setting.get(SETTING)) return;
  const widget = node.widgets.find((one) => one.name === "concepts");
  if (widget?.element instanceof HTMLTextAreaElement) dress(node, widget);
}
