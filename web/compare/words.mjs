// @ts-check
/** What the slider says. */
export const WORDS = {
  en: {
    after: "after",
    before: "before",
    divider: "Percent of the picture that is before",
    empty: "Run this node to see the pictures here.",
    gone: "The pictures are no longer in ComfyUI's temporary folder. Run the node again.",
    next: "Next prompt",
    open: "Open in full size",
    previous: "Previous prompt",
  },
  zh: {
    after: "之后",
    before: "之前",
    divider: "画面中“之前”所占的百分比",
    empty: "运行此节点，图片会显示在这里。",
    gone: "图片已不在 ComfyUI 的临时文件夹中。请重新运行此节点。",
    next: "下一条提示词",
    open: "查看原图",
    previous: "上一条提示词",
  },
};
