// The panel in AUTOMATIC1111 and Forge: a word that is offered under a list is added to it by a click.
// ComfyUI does not load this file; its pages are in web/.
"use strict";

document.addEventListener("click", (event) => {
    const word = event.target.closest?.(".scapre-review [data-add]");
    if (!word) return;
    const review = word.closest("[id$=_scapre_review]");
    const names = document.getElementById(review.id.replace(/review$/, "concepts"))?.querySelector("textarea");
    if (!names) return;
    const lines = names.value.trimEnd();
    names.value = `${lines}${lines ? "\n" : ""}${word.dataset.add}`;
    names.dispatchEvent(new Event("input", { bubbles: true }));
    names.focus();
    setTimeout(() => names.blur(), 200); // the list is reviewed when it is left, and the page has to take it in before
});
