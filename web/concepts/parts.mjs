// @ts-check
/** The editor's parts: words, buttons, and a list that draws only what can be seen. */
import { element } from "../dom.mjs";
import { lookup } from "../words.mjs";
import { WORDS } from "./words.mjs";

const SPARE = 200; // pixels drawn above and below what is seen

export const say = lookup(WORDS);

export const counted = (n) => say(n === 1 ? "one" : "many", { n });

export const button = (label, onclick, more = {}) => element("button", { type: "button", onclick, ...more }, label);

/**
 * Draws those items of a list that can be seen, and the one that has the keyboard.
 * @param {HTMLElement} box what scrolls
 * @param {(item: any) => number} height
 * @param {(item: any, index: number, made?: any) => HTMLElement} draw makes an item's element, or brings it up to date
 */
export function windowed(box, height, draw) {
  const space = element("div");
  let items = [];
  let tops = [0];
  let drawn = new Map();

  function show() {
    const shown = new Map();
    const top = box.scrollTop - SPARE;
    const bottom = top + box.clientHeight + 2 * SPARE;
    items.forEach((item, i) => {
      const made = drawn.get(item);
      const seen = tops[i + 1] > top && tops[i] < bottom;
      if (seen || made?.contains(document.activeElement)) shown.set(item, draw(item, i, made));
      if (shown.has(item)) shown.get(item).style.top = `${tops[i]}px`;
    });
    for (const [item, made] of drawn) if (shown.get(item) !== made) made.remove();
    let next = space.firstChild;
    for (const made of shown.values()) {
      if (made === next) next = next.nextSibling;
      else space.insertBefore(made, next);
    }
    drawn = shown;
  }

  box.replaceChildren(space);
  box.addEventListener("scroll", show);
  new ResizeObserver(show).observe(box);
  return {
    update(list) {
      items = list;
      tops = [0];
      for (const item of items) tops.push(tops[tops.length - 1] + height(item));
      space.style.height = `${tops[tops.length - 1]}px`;
      show();
    },
    /** Scrolls to an item and returns its element. */
    reach(index) {
      box.scrollTop = Math.min(Math.max(box.scrollTop, tops[index + 1] - box.clientHeight), tops[index]);
      show();
      return drawn.get(items[index]);
    },
  };
}
