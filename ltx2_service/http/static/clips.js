// The clips that the page knows, as the service's list and the events of running ones tell of them.

const PAGE = 50; // clips a request
const FOLLOWED = 4; // streams at most: a browser keeps six connections to a host

export const hasEnded = (clip) => clip.status === "completed" || clip.status === "failed";

export class Clips {
  #api;
  #on;
  #known = new Map(); // id -> a video of the API, and what its events told beside
  #order = []; // of ids, the newest first
  #deleted = new Set(); // here, which a list that was under way may still name
  #followed = new Map(); // id -> AbortController
  more = false; // whether there are older ones

  /** `on.changed()` is called when there is something to show, `on.ended(clip)` once for each clip
   * that ends, `on.over()` when the events of one are over: it is time to look. */
  constructor(api, on) {
    this.#api = api;
    this.#on = on;
  }

  /** The newest first. */
  get all() {
    return this.#order.map((id) => this.#known.get(id));
  }

  get(id) {
    return this.#known.get(id);
  }

  /** Asks for the list again, as far back as something waits or runs. */
  async look() {
    const seen = [];
    let page;
    do {
      page = await this.#api.clips(page?.last_id, PAGE);
      seen.push(...page.data);
    } while (page.has_more && page.data.some((clip) => !hasEnded(clip)));
    const older = page.has_more ? this.#behind(seen.at(-1).id) : [];
    if (!older.length) this.more = page.has_more;
    for (const id of older) {
      if (!hasEnded(this.#known.get(id))) seen.push(await this.#api.clip(id));
    }
    this.#take(seen, older);
  }

  /** Shows a page of older ones. */
  async older() {
    const page = await this.#api.clips(this.#order.at(-1), PAGE);
    this.more = page.has_more;
    const before = this.#order;
    this.#take(page.data, []);
    this.#order = [...before, ...this.#order];
    this.#on.changed();
  }

  /** A clip that was just asked for. */
  add(clip) {
    this.#known.set(clip.id, clip);
    this.#order = [clip.id, ...this.#order.filter((id) => id !== clip.id)];
    this.#on.changed();
  }

  /** Marks one that was asked to end. */
  cancelled(id) {
    this.#known.get(id).cancels = true;
    this.#on.changed();
  }

  forget(id) {
    this.#deleted.add(id);
    this.#order = this.#order.filter((other) => other !== id);
    this.#on.changed();
  }

  /** What stands behind a clip in the order as it was. */
  #behind(id) {
    const at = this.#order.indexOf(id);
    return at < 0 ? [] : this.#order.slice(at + 1);
  }

  #take(clips, older) {
    const fresh = clips.filter(({ id }) => !this.#deleted.has(id));
    const over = [];
    for (const clip of fresh) {
      const before = this.#known.get(clip.id);
      if (before && !hasEnded(before) && hasEnded(clip)) over.push(clip);
      this.#known.set(clip.id, { ...before, ...clip });
    }
    this.#order = [...new Set([...fresh.map(({ id }) => id), ...older])];
    this.#follow();
    over.forEach(this.#on.ended);
    this.#on.changed();
  }

  #follow() {
    const running = this.#order.filter((id) => this.#known.get(id).status === "in_progress");
    for (const [id, stop] of this.#followed) {
      if (!running.includes(id)) stop.abort();
    }
    for (const id of running.slice(0, FOLLOWED)) {
      if (this.#followed.has(id)) continue;
      const stop = new AbortController();
      this.#followed.set(id, stop);
      this.#api
        .follow(id, (kind, data) => this.#told(id, kind, data), stop.signal)
        .finally(() => {
          this.#followed.delete(id);
          if (!stop.signal.aborted) this.#on.over();
        });
    }
  }

  #told(id, kind, data) {
    const clip = this.#known.get(id);
    if (kind === "preview") clip.preview = data.image;
    if (kind === "progress") {
      Object.assign(clip, { stage: data.stage, step: data.step, steps: data.steps });
      clip.seconds_left = data.left_s ?? clip.seconds_left;
      if (data.steps > 0) clip.progress = Math.min(99, Math.floor((100 * data.step) / data.steps));
    }
    this.#on.changed();
  }
}
