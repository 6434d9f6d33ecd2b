// @ts-check
/** Bars and maps as SVG. */
import { element, shape } from "../dom.mjs";

const SHADES = 9; // report.css has their colours
const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

const clamp = (value, most) => Math.max(0, Math.min(most, value));

function drawing(width, height, shapes) {
  const box = { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" };
  return shape("svg", box, ...shapes);
}

/** A bar on a scale from 0 to `top`. */
export function bar(value, top, line) {
  const lines = line ? [shape("line", { x1: line / top, x2: line / top, y2: 1 })] : [];
  return drawing(1, 1, [shape("rect", { width: clamp(value / top, 1), height: 1 }), ...lines]);
}

/** Values as shaded cells: one path a shade, however many cells there are. */
function cells(values, top) {
  const paths = Array(SHADES).fill("");
  const shade = (value) => clamp(Math.round((value / top) * (SHADES - 1)), SHADES - 1);
  const add = (value, x, y) => value !== null && (paths[shade(value)] += `M${x} ${y}h1v1h-1z`);
  values.forEach((row, y) => row.forEach((value, x) => add(value, x, y)));
  return drawing(values[0].length, values.length, paths.map((d) => shape("path", { d })));
}

/** A map of values whose last shade means `top`, with a tip for the cell at the pointer or cursor. */
export function map(values, top, label, tip) {
  const [rows, columns] = [values.length, values[0].length];
  let [y, x] = [0, 0];
  const show = (row, column) => {
    [y, x] = [clamp(row, rows - 1), clamp(column, columns - 1)];
    for (const [name, value] of Object.entries({ x, y, rows, columns })) frame.style.setProperty(`--${name}`, value);
    words.textContent = tip(y, x);
  };
  const point = ({ clientX, clientY }) => {
    const { left, top, width, height } = drawn.getBoundingClientRect();
    show(Math.floor((rows * (clientY - top)) / height), Math.floor((columns * (clientX - left)) / width));
  };
  const step = (event) => {
    const by = STEPS[event.key];
    if (!by) return;
    event.preventDefault();
    show(y + by[0], x + by[1]);
    const list = frame.closest(".scroll"); // scrollIntoView would scroll the page as well
    list.scrollTop = frame.offsetTop + cursor.offsetTop - list.clientHeight / 2;
  };
  const hide = () => words.replaceChildren();
  const pointer = { onpointermove: point, onpointerleave: hide };
  const keyboard = { tabindex: 0, onfocus: () => show(y, x), onblur: hide, onkeydown: step };
  const about = { class: "map", role: "img", "aria-label": label, ...pointer, ...keyboard };
  const cursor = element("div", { class: "cursor" });
  const words = element("div", { class: "tip", role: "status" });
  const drawn = element("div", about, cells(values, top), cursor);
  const frame = element("div", { class: "frame" }, words, drawn);
  return frame;
}
