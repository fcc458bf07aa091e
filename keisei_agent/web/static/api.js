// Talking to the server.

/** What the server refused, in its words. */
export class Refusal extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

async function ask(path, options) {
  const response = await fetch(path, options);
  const text = await response.text();
  if (response.ok) return JSON.parse(text);
  let reason = text;
  try {
    reason = JSON.parse(text).error;
  } catch {
    // it was plain text
  }
  throw new Refusal(response.status, reason || `${response.status}`);
}

/** GET as JSON; parameters that are arrays are given several times. */
export function get(path, parameters = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    for (const one of [value].flat()) if (one !== "" && one !== null && one !== undefined) query.append(name, one);
  }
  const text = query.toString();
  return ask(text ? `${path}?${text}` : path, {});
}

/** POST JSON, or bytes as they are. */
export function post(path, body) {
  const raw = body instanceof Blob;
  const headers = { "content-type": raw ? "application/octet-stream" : "application/json" };
  return ask(path, { method: "POST", headers, body: raw ? body : JSON.stringify(body) });
}

export const runPath = (name) => `/api/runs/${encodeURIComponent(name)}`;

const SILENCE = 4000; // ms without a word after which the server is as good as gone

/**
 * Listen to changes of a run (or of all, for ""), as long as the page is seen.
 * `heard(news)` gets the newest state; `lost(bool)` whether the server is silent.  Returns what ends it.
 */
export function listen(run, heard, lost) {
  let source = null, timer = null, retry = null;
  const alive = () => {
    clearTimeout(timer);
    timer = setTimeout(silent, SILENCE);
    lost(false);
  };
  const silent = () => {
    lost(true);
    stop();
    retry = setTimeout(start, 1000);
  };
  const start = () => {
    stop();
    source = new EventSource(`/api/events?run=${encodeURIComponent(run)}`);
    timer = setTimeout(silent, SILENCE);
    source.onmessage = (event) => {
      alive();
      heard(JSON.parse(event.data));
    };
    source.addEventListener("beat", alive);
    source.onerror = () => {
      lost(true);
      if (source && source.readyState === EventSource.CLOSED) silent();
    };
  };
  const stop = () => {
    clearTimeout(timer);
    clearTimeout(retry);
    source?.close();
    source = null;
  };
  const seen = () => (document.hidden ? stop() : start());
  document.addEventListener("visibilitychange", seen);
  start();
  return () => {
    document.removeEventListener("visibilitychange", seen);
    stop();
  };
}
