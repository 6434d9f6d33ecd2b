"""Whether the text of our widgets can be read: it stands out from what is behind it, and none is cut off."""

from __future__ import annotations

from typing import Any

from pack.benchmarks.host.page import ComfyPage

ENOUGH = 4.5
"""Contrast that WCAG 2.1 asks for at level AA (1.4.3); hints in empty fields need two thirds of it."""
_AUDIT = """() => {
    const context = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
    const paint = (color, alpha) => {
        context.globalAlpha = alpha;
        context.fillStyle = color;
        context.fillRect(0, 0, 1, 1);
        return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
    };
    const luminance = (rgb) => {
        const [r, g, b] = rgb.map((one) => one / 255).map((one) => one <= 0.04045 ? one / 12.92
            : ((one + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const above = (element, root) => {
        const chain = [];
        for (let one = element; one && one !== root.parentElement; one = one.parentElement) chain.unshift(one);
        return chain;
    };
    const contrast = (element, root, base, color) => {
        let alpha = 1;
        let behind = paint(base, 1);
        for (const one of above(element, root)) {
            const style = getComputedStyle(one);
            alpha *= Number(style.opacity);
            behind = paint(style.backgroundColor, alpha);
        }
        const [low, high] = [luminance(behind), luminance(paint(color, alpha))].sort((a, b) => a - b);
        return (high + 0.05) / (low + 0.05);
    };
    const found = [];
    const note = (said, element, ratio) => found.push([said.trim().slice(0, 60), element.className?.baseVal
        ?? element.className, Math.round(100 * ratio) / 100]);
    const readable = (root, base, all) => {
        const top = all ? document.documentElement : root;
        const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
        while (walker.nextNode()) {
            const text = walker.currentNode, element = text.parentElement;
            if (!text.data.trim() || !element.checkVisibility() || element.closest("title, :disabled")) continue;
            const style = getComputedStyle(element);
            const color = element instanceof SVGElement ? style.fill : style.color;
            note(text.data, element, contrast(element, top, base, color));
        }
        for (const field of root.querySelectorAll("input:not([type=checkbox]), textarea")) {
            if (!field.checkVisibility()) continue;
            const hint = !field.value && field.placeholder;
            const color = getComputedStyle(field, hint ? "::placeholder" : null).color;
            const ratio = contrast(field, top, base, color) * (hint ? 1.5 : 1);
            if (hint || field.value) note(hint || field.value, field, ratio);
        }
    };
    const wide = [];
    for (const node of app.graph.nodes) {
        for (const widget of node.widgets ?? []) {
            if (!widget.element || !widget.type.startsWith("SCAPRE")) continue;
            const all = LiteGraph.vueNodesMode;
            readable(widget.element, all ? "white" : node.bgcolor || LiteGraph.NODE_DEFAULT_BGCOLOR, all);
            for (const one of [widget.element, ...widget.element.querySelectorAll("*")]) {
                const { display, overflowX, textOverflow } = getComputedStyle(one);
                const says = [...one.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
                const whole = one.scrollWidth <= one.clientWidth + 1 || textOverflow === "ellipsis";
                if (!says || whole || display === "inline" || overflowX === "auto" || !one.checkVisibility()) continue;
                wide.push([one.textContent.slice(0, 60), String(one.className), one.scrollWidth, one.clientWidth]);
            }
        }
    }
    return { found, wide };
}"""


def audit(comfy: ComfyPage) -> tuple[list[Any], list[Any], int]:
    """Look at every visible text of our widgets.

    Returns:
        Texts without enough contrast (text, class, contrast); texts that are wider than their place; and how many
        texts there were.
    """
    seen = comfy.page.evaluate(_AUDIT)
    faint = [one for one in seen["found"] if one[2] < ENOUGH]
    return faint, seen["wide"], len(seen["found"])
