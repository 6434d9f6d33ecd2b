// @ts-check
/** Which text encoder a node is connected to, told by the files that the loader at the end of its links names. */
const FOLDERS = { clip_name: "text_encoders", ckpt_name: "checkpoints" };

/**
 * Each file in a line, behind the folder that it is in. Empty where no loader is found.
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
  return origin(graph, input?.link);
}

/** The node where a link begins, past the borders of subgraphs, of which the first use counts. */
function origin(graph, number) {
  const link = graph?.getLink(number);
  if (!link) return undefined;
  const { origin_id: id, origin_slot: slot } = link;
  if (id === graph.inputNode?.id) {
    const graphs = [graph.rootGraph, ...graph.rootGraph.subgraphs.values()];
    const user = graphs.flatMap(({ nodes }) => nodes).find(({ subgraph }) => subgraph === graph);
    return origin(user?.graph, user?.inputs[slot].link);
  }
  const found = graph.getNodeById(id);
  return found?.subgraph ? origin(found.subgraph, found.subgraph.outputs[slot].linkIds[0]) : found;
}
