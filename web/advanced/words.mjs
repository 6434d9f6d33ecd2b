// @ts-check
/** What the button says. */
export const WORDS = {
  en: { show: "Show advanced", hide: "Hide advanced" },
  zh: { show: "显示高级选项", hide: "隐藏高级选项" },
};
