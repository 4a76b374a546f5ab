// The service's public API, as any client speaks it. Nothing else of the page makes requests.

const KEPT = "token"; // in this tab's storage, until it is closed
const LOST_MS = [500, 1000, 2000, 5000]; // between tries to follow a clip again

/** What the service answered instead of doing it: its sentence and remedy. */
export class Refused extends Error {
  constructor(message, status = 0, code = "") {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** The service could not be reached. */
export class Unreachable extends Error {
  constructor() {
    super("The service does not answer. Is it running?");
  }
}

export class Api {
  #ask;
  #asked = null;

  /** `ask(refused)` gives a token that a person typed. */
  constructor(ask) {
    this.#ask = ask;
  }

  service = () => this.#json("/v1/service");
  clips = (after, limit) =>
    this.#json(`/v1/videos?limit=${limit}&order=desc${after ? `&after=${encodeURIComponent(after)}` : ""}`);
  clip = (id) => this.#json(`/v1/videos/${encodeURIComponent(id)}`);
  /** The same clip with another seed, its pictures too. */
  again = (id, prompt) => this.#post(`/v1/videos/${encodeURIComponent(id)}/remix`, JSON.stringify({ prompt, seed: -1 }), {
    "Content-Type": "application/json",
  });
  make = (form) => this.#post("/v1/videos", form, {});
  /** Cancels what has not ended, deletes what has. */
  remove = (id) => this.#json(`/v1/videos/${encodeURIComponent(id)}`, { method: "DELETE" });

  /** The bytes of a clip, with `metadata` of a copy that has its settings inside; or with
   * "thumbnail" of its first frame. */
  async content(id, variant = "video", metadata = false) {
    const path = `/v1/videos/${encodeURIComponent(id)}/content?variant=${variant}&metadata=${metadata}`;
    return (await this.#answer(path)).blob();
  }

  /** Calls `told(kind, data)` with all that happens to a clip, until it ends or `signal` aborts. */
  async follow(id, told, signal) {
    let last = "";
    for (let lost = 0; !signal.aborted; lost += 1) {
      try {
        const headers = last ? { "Last-Event-ID": last } : {};
        const path = `/v1/videos/${encodeURIComponent(id)}/events`;
        const answer = await this.#answer(path, { headers, signal });
        for await (const event of events(answer.body)) {
          lost = 0;
          last = event.id || last;
          told(event.kind, JSON.parse(event.data));
          if (event.kind === "completed" || event.kind === "failed") return;
        }
      } catch (error) {
        if (signal.aborted || error instanceof Refused) return;
      }
      await pause(LOST_MS[Math.min(lost, LOST_MS.length - 1)]);
    }
  }

  /** Asks again under the same key where the answer was lost: that makes no second clip. */
  async #post(path, body, headers) {
    const key = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    for (let lost = 0; ; lost += 1) {
      try {
        return await this.#json(path, { method: "POST", body, headers: { ...headers, "Idempotency-Key": key } });
      } catch (error) {
        if (!(error instanceof Unreachable) || lost === 2) throw error;
      }
      await pause(LOST_MS[lost]);
    }
  }

  async #json(path, options) {
    return (await this.#answer(path, options)).json();
  }

  async #answer(path, options = {}) {
    const token = sessionStorage.getItem(KEPT);
    const headers = { ...options.headers, ...(token && { Authorization: `Bearer ${token}` }) };
    let answer;
    try {
      answer = await fetch(path, { ...options, headers });
    } catch (error) {
      throw options.signal?.aborted ? error : new Unreachable();
    }
    if (answer.ok) return answer;
    const refused = await refusal(answer);
    if (answer.status !== 401) throw refused;
    await this.#newToken(token, refused);
    return this.#answer(path, options);
  }

  /** Many requests meet a missing token at once: one question serves them all. */
  async #newToken(used, refused) {
    if (sessionStorage.getItem(KEPT) !== used) return;
    this.#asked ??= this.#ask(used ? refused.message : "").finally(() => (this.#asked = null));
    sessionStorage.setItem(KEPT, await this.#asked);
  }
}

function pause(ms) {
  return new Promise((wake) => setTimeout(wake, ms));
}

async function refusal(answer) {
  try {
    const { error } = await answer.json();
    return new Refused(error.message, answer.status, error.code);
  } catch {
    return new Refused(`The service answered ${answer.status} ${answer.statusText}.`, answer.status);
  }
}

/** The server-sent events of a stream: {id, kind, data}. */
export async function* events(stream) {
  let left = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const blocks = (left + text.replaceAll("\r", "")).split("\n\n");
    left = blocks.pop();
    for (const block of blocks) {
      const event = { id: "", kind: "message", data: "" };
      for (const line of block.split("\n")) {
        const [, name, value] = /^([^:]*):? ?(.*)$/.exec(line);
        if (name === "id") event.id = value;
        else if (name === "event") event.kind = value;
        else if (name === "data") event.data += value;
      }
      if (event.data) yield event;
    }
  }
}
