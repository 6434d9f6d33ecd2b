// @ts-check
/** One picture over another, with a divider to drag, and prompts to go through. */
import { element } from "../dom.mjs";

const STEPS = { ArrowLeft: -2, ArrowDown: -2, ArrowRight: 2, ArrowUp: 2, PageDown: -10, PageUp: 10, Home: -100, End: 100 };
const COARSE = 256; // pixels: a narrower picture shows its pixels instead of a blur

/**
 * Makes a slider, and the function that shows pairs in it.
 * @param {(key: string, values?: object) => string} say
 */
export function slider(say) {
  const { frame, picture } = frameOf(say);
  const [caption, count] = [element("span", { class: "caption", "aria-live": "polite" }), element("span")];
  const stage = element("div", { class: "stage" }, element("p", {}, say("empty")));
  const arrow = (sign, key, step) => element("button", { type: "button", title: say(key), "aria-label": say(key), onclick: () => turn(step) }, sign);
  const pager = element("span", { class: "pager", hidden: true }, arrow("‹", "previous", -1), count, arrow("›", "next", 1));
  let [pairs, index] = [[], 0];

  function turn(step) {
    index = (index + step + pairs.length) % pairs.length;
    const pair = pairs[index];
    stage.replaceChildren(frame);
    picture(pair, () => pair === pairs[index] && stage.replaceChildren(element("p", {}, say("gone"))));
    caption.textContent = caption.title = pair.caption;
    count.textContent = `${index + 1} / ${pairs.length}`;
  }

  function show(given) {
    pairs = given;
    index = Math.min(index, pairs.length - 1);
    pager.hidden = pairs.length < 2;
    turn(0);
  }

  return { root: element("div", { class: "scapre-compare" }, stage, element("footer", {}, caption, pager)), show };
}

/** The two pictures with their divider, and the function that puts a pair into them. */
function frameOf(say) {
  const [before, after] = [side("before", say), side("after", say)];
  const divider = element("div", { class: "divider", role: "slider", tabindex: 0, "aria-label": say("divider"), "aria-valuemin": 0, "aria-valuemax": 100 });
  const frame = element("div", { class: "frame" }, before.image, after.image, before.label, after.label, divider);
  let at = 50;

  function move(to) {
    at = Math.round(Math.min(100, Math.max(0, to)));
    frame.style.setProperty("--at", String(at));
    divider.setAttribute("aria-valuenow", String(at));
  }

  const follow = ({ clientX }) => {
    const { left, width } = frame.getBoundingClientRect();
    move((100 * (clientX - left)) / width);
  };
  const grip = (event) => {
    if (event.button || event.target.closest("a")) return;
    event.preventDefault(); // the press neither drags the picture nor moves the focus
    event.stopPropagation(); // nor the node
    frame.setPointerCapture(event.pointerId);
    divider.focus({ preventScroll: true });
    follow(event);
  };
  const press = (event) => {
    if (!(event.key in STEPS)) return;
    event.preventDefault();
    event.stopPropagation();
    move(at + STEPS[event.key]);
  };
  frame.addEventListener("pointerdown", grip);
  frame.addEventListener("pointermove", (event) => frame.hasPointerCapture(event.pointerId) && follow(event));
  divider.addEventListener("keydown", press);
  before.image.addEventListener("load", ({ target }) => {
    frame.style.setProperty("--ratio", String(target.naturalWidth / target.naturalHeight));
    frame.classList.toggle("coarse", target.naturalWidth < COARSE);
  });
  move(at);

  const picture = (pair, failed) => {
    before.put(pair.before, pair.caption, failed);
    after.put(pair.after, pair.caption, failed);
  };
  return { frame, picture };
}

/** A picture, and its label that opens it. */
function side(key, say) {
  const image = element("img", { class: key, draggable: "false" });
  const label = element("a", { class: key, target: "_blank", rel: "noopener", title: say("open") }, say(key));
  const put = (address, caption, failed) => {
    image.onerror = failed;
    image.alt = `${say(key)}: ${caption}`;
    image.src = label.href = address;
  };
  return { image, label, put };
}
