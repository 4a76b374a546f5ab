// Clips that have ended: players, what made them, and what can be done with them.

import { Keyed, write } from "./keyed.js";
import { ago, duration } from "./words.js";

const ROWS = [
  ["Model", (clip) => clip.model],
  ["Size", (clip) => clip.size.replace("x", " × ")],
  ["Length", (clip) => `${clip.num_frames} frames, ${clip.seconds} s at ${clip.frame_rate} a second`],
  ["Seed", (clip) => clip.seed],
  ["Not in it", (clip) => clip.negative_prompt],
  ["Steps", (clip) => clip.num_inference_steps],
  ["Prompt", (clip) => (clip.enhance ? "written out by the model" : null)],
  ["Pictures", (clip) => clip.pictures?.map(({ frame, strength }) => `at frame ${frame}, strength ${strength}`).join("; ")],
  ["Made by", (clip) => clip.worker],
  ["Took", (clip) => (clip.seconds_taken ? duration(clip.seconds_taken) : null)],
  ["Attempts", (clip) => (clip.attempt > 1 ? clip.attempt : null)],
  ["Id", (clip) => clip.id],
];

const SAVED_MS = 60_000; // that the browser gets to take the bytes of a download

/** A clip's settings in a line. */
export function settings(clip) {
  const size = clip.size.replace("x", " × ");
  return [size, `${clip.seconds} s`, `seed ${clip.seed}`, clip.model].join(" · ");
}

export class Gallery {
  #list;
  #empty;
  #content;
  #act;
  #seen;

  /** `content(id, variant, metadata)` gives bytes; `act` has again, reuse, remove and failed(error). */
  constructor(section, template, content, act) {
    this.#empty = section.querySelector(".empty");
    this.#content = content;
    this.#act = act;
    this.#list = new Keyed(section.querySelector("ul"), template, (...made) => this.#setUp(...made), letGo);
    this.#seen = new IntersectionObserver((entries) => {
      for (const { isIntersecting, target } of entries) if (isIntersecting) this.#showThumbnail(target);
    });
  }

  /** The newest first. */
  show(clips) {
    this.#empty.hidden = clips.length > 0;
    this.#list.show(clips, (element, clip) => update(element, clip));
  }

  #setUp(element, id) {
    const on = (name, act) => element.querySelector(`.${name}`).addEventListener("click", act);
    element.dataset.id = id;
    on("again", () => this.#act.again(id));
    on("reuse", () => this.#act.reuse(id));
    on("remove", () => this.#act.remove(id));
    on("download", () => this.#try(() => this.#download(element, this.#address(element))));
    on("tagged", () => this.#try(() => this.#downloadTagged(element)));
    on("play", () => this.#try(() => this.#play(element)));
    this.#seen.observe(element);
  }

  async #try(act) {
    try {
      await act();
    } catch (error) {
      this.#act.failed(error);
    }
  }

  /** The clip's bytes as an address, asked for once. */
  #address(element) {
    element.address ??= this.#content(element.dataset.id, "video").then(
      (bytes) => URL.createObjectURL(bytes),
      (error) => {
        element.address = null;
        throw error;
      },
    );
    return element.address;
  }

  async #showThumbnail(element) {
    if (element.dataset.status !== "completed") return;
    this.#seen.unobserve(element);
    const image = element.querySelector(".thumbnail");
    try {
      image.src = URL.createObjectURL(await this.#content(element.dataset.id, "thumbnail"));
      image.hidden = false;
    } catch {
      // A clip plays without its picture, too.
    }
  }

  async #play(element) {
    const video = document.createElement("video");
    video.controls = video.loop = video.playsInline = video.autoplay = true;
    video.setAttribute("aria-label", element.querySelector(".prompt").textContent);
    video.src = await this.#address(element);
    const focused = element.querySelector(".play") === document.activeElement;
    element.querySelector(".frame").replaceChildren(video);
    if (focused) video.focus();
  }

  async #download(element, address) {
    const link = document.createElement("a");
    link.href = await address;
    link.download = `${element.dataset.id}.mp4`;
    link.click();
  }

  /** A copy that has its settings inside. */
  async #downloadTagged(element) {
    const address = URL.createObjectURL(await this.#content(element.dataset.id, "video", true));
    await this.#download(element, address);
    setTimeout(() => URL.revokeObjectURL(address), SAVED_MS);
  }
}

function update(element, clip) {
  element.dataset.status = clip.status;
  element.dataset.code = clip.error?.code ?? "";
  const failed = clip.status === "failed";
  const when = ago(clip.completed_at ?? clip.created_at, Date.now() / 1000);
  write(element.querySelector(".prompt"), clip.prompt);
  write(element.querySelector(".settings"), `${settings(clip)} · ${when}`);
  const why = element.querySelector(".why");
  why.hidden = !failed;
  write(why, failed ? clip.error.message : "");
  for (const name of [".download", ".tagged"]) element.querySelector(name).hidden = failed;
  for (const button of element.querySelectorAll(".actions button, .tagged, .play .unseen")) {
    const named = button.matches(".unseen") ? button : null;
    if (named) write(named, `Play: ${clip.prompt}`);
    else button.setAttribute("aria-label", `${button.textContent}: ${clip.prompt}`);
  }
  const rows = ROWS.map(([name, of]) => [name, of(clip)]).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const list = element.querySelector("dl");
  if (list.children.length !== 2 * rows.length) {
    list.replaceChildren(
      ...rows.flatMap(([name, value]) => [text("dt", name), text("dd", String(value))]),
    );
  }
}

function text(tag, content) {
  const element = document.createElement(tag);
  element.textContent = content;
  return element;
}

/** Gives back the bytes of a clip that is shown no more. */
async function letGo(element) {
  URL.revokeObjectURL(element.querySelector(".thumbnail")?.src);
  if (element.address) URL.revokeObjectURL(await element.address);
}
