// @ts-check
/** Which text encoder a node is connected to, told by the files that the loader at the end of its links names. */
const FOLDERS = { clip_name: "text_encoders", ckpt_name: "checkpoints" };

/**
 * Each file in a line, behind the folder that it is in. Empty where no loader is found, as in a subgraph.
 * @param {any} node
 */
export function encoderOf(node) {
  const seen = new Set();
  for (let at = source(node); at && !seen.has(at); at = source(at)) {
    seen.add(at);
    const files = (at.widgets ?? []).map(({ name, value }) => [FOLDERS[name.replace(/\d$/, "")], value]);
    const known = files.filter(([folder]) => folder).map((file) => file.join("/"));
    if (known.length) return known.join("\n");
  }
  return "";
}

function source({ inputs = [], graph }) {
  const input = inputs.find(({ name }) => name === "clip") ?? inputs.find(({ type }) => ["CLIP", "*"].includes(type));
  return graph?.getNodeById(graph.getLink(input?.link)?.origin_id);
}
