/* Ask this server, and nobody else. */
let key = sessionStorage.getItem("key") || "";

export function setKey(given) {
  key = given;
  sessionStorage.setItem("key", given);
}

export class Refused extends Error {
  constructor(status, words) {
    super(words);
    this.status = status;
  }
}

async function send(path, body, signal) {
  const headers = { "Accept-Language": document.documentElement.lang, ...(key && { Authorization: `Bearer ${key}` }), ...(body && { "Content-Type": body instanceof Blob ? "application/octet-stream" : "application/json" }) };
  const answer = await fetch(path, { method: body ? "POST" : "GET", headers, body: body && !(body instanceof Blob) ? JSON.stringify(body) : body, signal });
  if (answer.ok) return answer;
  let words = `${answer.status} ${answer.statusText}`;
  try {
    const found = await answer.json();
    words = found.error?.message ?? found.error ?? words;
  } catch { /* The status says enough. */ }
  throw new Refused(answer.status, words);
}

export const ask = async (path, body, signal) => (await send(path, body, signal)).json();

/** Send a sound as it is. */
export const askSound = ask;

/** Yield the events of a stream (server-sent events) as objects. */
export async function* stream(path, body, signal) {
  const reader = (await send(path, { ...body, stream: true }, signal)).body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    held += value;
    const parts = held.split("\n\n");
    held = parts.pop();
    for (const part of parts) {
      const data = part.replace(/^data: ?/, "");
      if (data === "[DONE]") return;
      const found = JSON.parse(data);
      if (found.error) throw new Refused(503, found.error.message ?? found.error);
      yield found;
    }
  }
}
