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
  return origin(graph, input);
}

/** The node that an input is linked to: past the borders of subgraphs, of which the first use counts. */
function origin(graph, input) {
  const link = graph?.getLink(input?.link);
  if (!link) return undefined;
  if (link.origin_id === graph.inputNode?.id) {
    const user = users(graph)[0];
    return user && origin(user.graph, user.inputs[link.origin_slot]);
  }
  const found = graph.getNodeById(link.origin_id);
  return found?.isSubgraphNode?.() ? inside(found, link.origin_slot) : found;
}

function inside({ subgraph }, slot) {
  const link = subgraph.getLink(subgraph.outputs[slot]?.linkIds[0]);
  const found = link && subgraph.getNodeById(link.origin_id);
  return found?.isSubgraphNode?.() ? inside(found, link.origin_slot) : found;
}

/** The nodes that stand for a subgraph. */
function users(subgraph) {
  const graphs = [subgraph.rootGraph, ...(subgraph.rootGraph?.subgraphs?.values() ?? [])];
  return graphs.flatMap((graph) => graph?.nodes ?? []).filter((node) => node.subgraph === subgraph);
}
