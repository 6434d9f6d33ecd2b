// @ts-check
/** Words on the screen, in the language that the frontend is set to. */
import { app } from "../../../scripts/app.js";

/**
 * Returns a lookup: `say("count", { n: 3 })` puts 3 where the text has {n}.
 * @param {Record<string, Record<string, string>>} tables texts by language and key; English has all of them
 */
export function lookup(tables) {
  return (key, values = {}) => {
    const language = app.extensionManager?.setting?.get("Comfy.Locale") ?? "en";
    const text = tables[language]?.[key] ?? tables.en[key];
    return text.replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
  };
}
