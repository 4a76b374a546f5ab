// What waits and what runs: each clip's place or step, and the picture as it forms.

import { Keyed, write } from "./keyed.js";
import { left, place, stage } from "./words.js";
import { settings } from "./gallery.js";

export class Queue {
  #list;
  #empty;

  /** `cancel(id)` is called for a person. */
  constructor(section, template, cancel) {
    this.#empty = section.querySelector(".empty");
    this.#list = new Keyed(section.querySelector("ol"), template, (element, id) => {
      element.querySelector(".cancel").addEventListener("click", () => cancel(id));
    });
  }

  /** Running ones first, then in the order of the queue. */
  show(clips) {
    const order = (clip) => (clip.status === "in_progress" ? -1 : (clip.place ?? Infinity));
    const sorted = [...clips].sort(
      (one, other) => order(one) - order(other) || one.created_at - other.created_at,
    );
    this.#empty.hidden = sorted.length > 0;
    this.#list.show(sorted, update);
  }
}

function update(element, clip) {
  element.dataset.status = clip.status;
  element.querySelector(".frame").dataset.place = clip.status === "queued" ? (clip.place ?? 0) + 1 : "";
  write(element.querySelector(".prompt"), clip.prompt);
  write(element.querySelector(".settings"), settings(clip));
  write(element.querySelector(".state"), state(clip));
  const bar = element.querySelector("progress");
  bar.hidden = clip.status !== "in_progress";
  bar.value = clip.progress;
  bar.setAttribute("aria-label", `Progress of ${clip.prompt}`);
  const preview = element.querySelector(".preview");
  if (clip.preview && preview.src !== clip.preview) preview.src = clip.preview;
  preview.hidden = !clip.preview;
  const cancel = element.querySelector(".cancel");
  write(cancel, clip.cancels ? "Ends …" : "Cancel");
  cancel.setAttribute("aria-disabled", String(Boolean(clip.cancels)));
  cancel.setAttribute("aria-label", `${cancel.textContent}: ${clip.prompt}`);
}

function state(clip) {
  const time = left(clip.seconds_left);
  if (clip.status === "queued") {
    return [place(clip.place ?? 0), time && `${time} until it is done`].filter(Boolean).join(", ");
  }
  const attempt = clip.attempt > 1 ? `attempt ${clip.attempt}` : "";
  return [stage(clip.stage, clip.step ?? 0, clip.steps ?? 0), time && `${time} left`, attempt]
    .filter(Boolean)
    .join(", ");
}
