// Each card's state and memory, and how much waits for them.

import { Keyed, write } from "./keyed.js";
import { memory } from "./words.js";

export class Cards {
  #list;
  #summary;

  constructor(list, template, summary) {
    this.#summary = summary;
    this.#list = new Keyed(list, template, () => {});
  }

  show({ cards, queue }) {
    write(this.#summary, sentence(queue));
    this.#list.show(
      cards.map((card) => ({ ...card, id: card.worker })),
      update,
    );
  }
}

function sentence({ waiting, running, draining, ready, why_not }) {
  if (draining) return "The service is stopping and takes no more clips.";
  if (!ready) return why_not || "The service is not ready yet.";
  if (!waiting && !running) return "Ready";
  return [running && `${running} running`, waiting && `${waiting} waiting`].filter(Boolean).join(", ");
}

function update(element, card) {
  element.dataset.state = card.state;
  element.title = card.warm.length ? `holds the weights of ${card.warm.join(", ")}` : "";
  const isGpu = card.name !== "CPU"; // of a machine without one
  write(element.querySelector("b"), isGpu ? `GPU ${card.index}` : "CPU");
  write(element.querySelector(".quiet"), isGpu ? card.name.replace(/^(NVIDIA )?(GeForce )?/, "") : "");
  write(element.querySelector(".card-state"), card.state);
  const known = card.used_bytes !== null && card.total_bytes !== null;
  const [bar, bytes] = [element.querySelector("meter"), element.querySelector(".card-bytes")];
  bar.hidden = bytes.hidden = !known;
  if (!known) return;
  [bar.max, bar.value] = [card.total_bytes, card.used_bytes];
  write(bytes, memory(card.used_bytes, card.total_bytes));
  bar.setAttribute("aria-label", `Memory of GPU ${card.index}`);
}
