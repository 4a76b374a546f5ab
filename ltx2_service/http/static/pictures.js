// The pictures that a clip passes through: dropped, moved and typed to their places on a strip.

import { Keyed, write } from "./keyed.js";
import { frameAt, trimmed } from "./words.js";

const STRIDE = 8; // frames between the places that pictures snap to
const MARKER_REM = 3; // a marker's width: the first frame's lies at the left end, the last's at the right

export class Pictures {
  #strip;
  #hint;
  #end;
  #markers = new Map();
  #rows;
  #all = []; // {id, file, url, frame, strength}
  #frames = 1;
  #rate = 25;
  #next = 1;

  constructor(field, template) {
    this.#strip = field.querySelector("#strip");
    this.#hint = field.querySelector(".strip-hint");
    this.#end = field.querySelector("#strip-end");
    this.#rows = new Keyed(field.querySelector("#pictures"), template, (row, id) => this.#setUp(row, id));
    const files = field.querySelector("#picture-files");
    field.querySelector("#add-picture").addEventListener("click", () => files.click());
    files.addEventListener("change", () => {
      for (const file of files.files) this.#add(file, this.#all.length ? this.#frames - 1 : 0);
      files.value = "";
    });
    this.#takeDrops();
  }

  get count() {
    return this.#all.length;
  }

  /** The clip is so long now; a picture at its end stays at its end. */
  fit(frames, rate) {
    for (const picture of this.#all) {
      const atEnd = picture.frame > 0 && picture.frame === this.#frames - 1;
      picture.frame = atEnd ? frames - 1 : Math.min(picture.frame, frames - 1);
    }
    [this.#frames, this.#rate] = [frames, rate];
    this.#show();
  }

  clear() {
    for (const { url } of this.#all) URL.revokeObjectURL(url);
    this.#all = [];
    this.#show();
  }

  /** Adds the pictures to a request's form. */
  write(form) {
    this.#all.forEach((picture, at) => {
      form.append(`images[${at}][image]`, picture.file);
      form.append(`images[${at}][frame]`, picture.frame);
      form.append(`images[${at}][strength]`, picture.strength);
    });
  }

  #add(file, frame) {
    if (!file.type.startsWith("image/")) return;
    const id = `picture-${this.#next++}`;
    const free = this.#free(frame);
    this.#all.push({ id, file, url: URL.createObjectURL(file), frame: free, strength: 1 });
    this.#show();
  }

  /** The place nearest to a frame where no picture lies yet. */
  #free(frame) {
    const taken = new Set(this.#all.map((picture) => picture.frame));
    const places = [];
    for (let at = 0; at < this.#frames; at += STRIDE) if (!taken.has(at)) places.push(at);
    if (!places.length) return frame;
    return places.reduce((best, at) => (Math.abs(at - frame) < Math.abs(best - frame) ? at : best));
  }

  #takeDrops() {
    const over = (event, is) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      this.#strip.classList.toggle("over", is);
    };
    // A picture that misses the strip must not replace the page.
    for (const kind of ["dragover", "drop"]) addEventListener(kind, (event) => event.preventDefault());
    this.#strip.addEventListener("dragover", (event) => over(event, true));
    this.#strip.addEventListener("dragleave", (event) => over(event, false));
    this.#strip.addEventListener("drop", (event) => {
      over(event, false);
      for (const file of event.dataTransfer.files) this.#add(file, this.#frameUnder(event));
    });
  }

  #frameUnder(event) {
    const { left, width } = this.#strip.getBoundingClientRect();
    const marker = MARKER_REM * parseFloat(getComputedStyle(document.documentElement).fontSize);
    return frameAt((event.clientX - left - marker / 2) / (width - marker), this.#frames);
  }

  #picture(id) {
    return this.#all.find((picture) => picture.id === id);
  }

  #move(id, frame) {
    this.#picture(id).frame = Math.min(this.#frames - 1, Math.max(0, Math.round(frame) || 0));
    this.#show();
  }

  #remove(id) {
    URL.revokeObjectURL(this.#picture(id).url);
    this.#all = this.#all.filter((picture) => picture.id !== id);
    this.#show();
  }

  #setUp(row, id) {
    const { file, url } = this.#picture(id);
    row.querySelector("img").src = url;
    row.querySelector(".picture-name").textContent = file.name;
    row.querySelector(".picture-name").title = file.name;
    // What is half typed is not the form's yet, which would write it anew.
    row.addEventListener("input", (event) => event.stopPropagation());
    const [at, strength] = [row.querySelector(".at"), row.querySelector(".strength")];
    at.addEventListener("change", () => this.#move(id, at.valueAsNumber));
    strength.addEventListener("change", () => {
      this.#picture(id).strength = Math.min(1, Math.max(0, strength.valueAsNumber || 0));
      this.#show();
    });
    row.querySelector(".drop").addEventListener("click", () => this.#remove(id));
  }

  #show() {
    this.#hint.hidden = this.#all.length > 0;
    write(this.#end, `frame ${this.#frames - 1}`);
    const sorted = [...this.#all].sort((one, other) => one.frame - other.frame);
    this.#rows.show(sorted, (row, picture) => {
      const at = row.querySelector(".at");
      at.max = this.#frames - 1;
      at.value = picture.frame;
      row.querySelector(".strength").value = picture.strength;
      row.querySelector(".drop").setAttribute("aria-label", `Remove ${picture.file.name}`);
    });
    for (const [id, marker] of this.#markers) {
      if (this.#picture(id)) continue;
      marker.remove();
      this.#markers.delete(id);
    }
    for (const picture of this.#all) this.#showMarker(picture);
  }

  #showMarker(picture) {
    const marker = this.#markers.get(picture.id) ?? this.#newMarker(picture);
    const share = this.#frames > 1 ? picture.frame / (this.#frames - 1) : 0;
    marker.style.left = `calc(${share} * (100% - ${MARKER_REM}rem))`;
    marker.setAttribute("aria-valuemax", this.#frames - 1);
    marker.setAttribute("aria-valuenow", picture.frame);
    const seconds = trimmed(picture.frame / this.#rate, 2);
    marker.setAttribute("aria-valuetext", `frame ${picture.frame}, ${seconds} seconds`);
  }

  #newMarker(picture) {
    const marker = document.createElement("button");
    marker.type = "button";
    marker.className = "marker";
    marker.setAttribute("role", "slider");
    marker.setAttribute("aria-label", `Place of ${picture.file.name}`);
    marker.setAttribute("aria-valuemin", 0);
    const image = document.createElement("img");
    image.src = picture.url;
    image.alt = "";
    marker.append(image);
    marker.addEventListener("keydown", (event) => this.#key(event, picture.id));
    marker.addEventListener("pointerdown", (event) => marker.setPointerCapture(event.pointerId));
    marker.addEventListener("pointermove", (event) => {
      if (marker.hasPointerCapture(event.pointerId)) this.#move(picture.id, this.#frameUnder(event));
    });
    this.#markers.set(picture.id, marker);
    this.#strip.append(marker);
    return marker;
  }

  #key(event, id) {
    const step = event.shiftKey ? 1 : STRIDE;
    const { frame } = this.#picture(id);
    const places = {
      ArrowLeft: frame - step,
      ArrowDown: frame - step,
      ArrowRight: frame + step,
      ArrowUp: frame + step,
      Home: 0,
      End: this.#frames - 1,
    };
    if (event.key in places) this.#move(id, places[event.key]);
    else if (event.key === "Delete") this.#remove(id);
    else return;
    event.preventDefault();
  }
}
