// @ts-check
/** Which text encoder a node is connected to: the files that the loader at the other end of its links names. */

const FILES = [
  [/^clip_name\d?$/, "text_encoders"],
  [/^ckpt_name$/, "checkpoints"],
];
const FARTHEST = 100; // nodes between

/**
 * The loader's files, each in a line, behind the folder that it takes them from. Empty where it is not found, as in a
 * subgraph whose own face has the link.
 * @param {any} node
 * @returns {string}
 */
export function encoderOf(node) {
  const seen = new Set();
  let at = node;
  while (at && !seen.has(at) && seen.size < FARTHEST) {
    seen.add(at);
    const files = at === node ? [] : filesOf(at);
    if (files.length) return files.join("\n");
    const inputs = at.inputs ?? [];
    const input = inputs.find(({ name }) => name === "clip") ?? inputs.find(({ type }) => type === "CLIP" || type === "*");
    at = at.graph?.getNodeById(at.graph.getLink(input?.link)?.origin_id);
  }
  return "";
}

const filesOf = ({ widgets = [] }) =>
  FILES.flatMap(([pattern, folder]) => widgets.filter(({ name }) => pattern.test(name)).map(({ value }) => `${folder}/${value}`));
