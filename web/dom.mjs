// @ts-check
/** Helpers for drawing in a node: elements, SVG, stylesheets, hooks, and what a tab remembers. */
import { app } from "../../../scripts/app.js";

const SVG = "http://www.w3.org/2000/svg";

/**
 * An HTML element. Attributes that start with "on" are listeners, `null`, `undefined` and `false` leave one out.
 * @param {string} tag
 * @param {Record<string, any>} [attributes]
 * @param {...(Node | string)} children
 */
export const element = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);

/**
 * An SVG element; see `element`.
 * @param {string} tag
 * @param {Record<string, any>} [attributes]
 * @param {...(Node | string)} children
 */
export const shape = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

function fill(made, attributes = {}, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

/**
 * Loads a stylesheet that lies beside a module, once.
 * @param {string} name
 * @param {string} module the module's `import.meta.url`
 */
export function stylesheet(name, module) {
  const href = new URL(name, module).href;
  if (!document.querySelector(`link[href="${href}"]`)) document.head.append(element("link", { rel: "stylesheet", href }));
}

/**
 * Calls something after a method, whether or not there is one.
 * @param {any} object
 * @param {string} method
 * @param {(...given: any[]) => void} act
 */
export function after(object, method, act) {
  const was = object[method];
  object[method] = function (...given) {
    const result = was?.apply(this, given);
    act(...given);
    return result;
  };
}

/**
 * Shows an element where Nodes 2.0 has that of an earlier node of the same number, as after an undo.
 * @param {any} node
 * @param {HTMLElement} root
 */
export function takePlace(node, root) {
  if (node.graph !== app.canvas.graph) return;
  const shown = document.querySelector(`[data-node-id="${node.id}"] .${root.classList[0]}`);
  if (shown !== root) shown?.replaceWith(root);
}

/**
 * What this tab remembers about a node, also after a reload; it is not in the workflow.
 * @param {any} node
 * @param {string} kind
 */
export function memory(node, kind) {
  const key = () => `scapre.${kind}:${node.graph?.rootGraph?.id}:${node.graph?.id}:${node.id}`;
  return {
    read() {
      try {
        return JSON.parse(sessionStorage.getItem(key()) ?? "null");
      } catch {
        return null; // not ours, or storage is switched off
      }
    },
    write(value) {
      try {
        sessionStorage.setItem(key(), JSON.stringify(value));
      } catch {
        // Full or switched off: it is shown until the page is left.
      }
    },
  };
}
