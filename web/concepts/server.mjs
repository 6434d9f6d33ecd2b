// @ts-check
/** What the server knows of names. Nothing here fails: without an answer there is none. */
import { api } from "../../../../scripts/api.js";

/**
 * @param {string} path
 * @param {object} [body]
 */
export async function ask(path, body) {
  try {
    const headers = { "Content-Type": "application/json" };
    const answer = await api.fetchApi(`/scapre/${path}`, body && { method: "POST", headers, body: JSON.stringify(body) });
    return await answer.json();
  } catch {
    return {};
  }
}

/** The lines of a pasted text as lines, as names between commas and as a table; `best` names what fits. */
export async function readings(text) {
  const { best = "lines", ...read } = await ask("readings", { text });
  return { best, lines: text.split(/[\r\n]+/).filter((line) => line.trim()), ...read };
}
