// @ts-check
/** What the server knows of names. Nothing here fails: without an answer there is an empty one. */
import { api } from "../../../../scripts/api.js";

/**
 * A line of questions in which the newest wins. `ask` puts a question after a pause in milliseconds and hands its answer
 * to `take`, unless another one was put since, or `drop` was called: then the request is cancelled.
 */
export function latest() {
  let newest = new AbortController();
  const drop = () => newest.abort();
  /**
   * @param {{ path: string, body?: object | Blob, pause?: number }} question
   * @param {(answer: any) => void} take
   */
  async function ask({ path, body, pause = 0 }, take) {
    drop();
    const { signal } = (newest = new AbortController());
    if (pause) await new Promise((go) => setTimeout(go, pause));
    const answer = signal.aborted || (await request(path, body, signal));
    if (!signal.aborted) take(answer);
  }
  return { ask, drop };
}

async function request(path, body, signal) {
  const json = { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  const post = body && { method: "POST", ...(body instanceof Blob ? { body } : json) };
  try {
    const answer = await api.fetchApi(`/scapre/${path}`, { ...post, signal });
    return await answer.json();
  } catch {
    return {};
  }
}
