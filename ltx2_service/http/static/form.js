// The form that asks for a clip. What was typed is kept for this tab, so that a reload loses nothing.

import { duration, framesOf, shapeOf, sizesOf, trimmed } from "./words.js";

const DRAFT = "draft"; // in this tab's storage
const OWN = "own"; // of the sizes: width and height are typed
const STRIDE = 8;

export class Form {
  #form;
  #pictures;
  #models = [];
  #cards = "";

  /** `make(form)` asks for a clip. */
  constructor(form, pictures, make) {
    this.#form = form;
    this.#pictures = pictures;
    const { length, slide } = this.#lengths();
    slide.addEventListener("input", () => {
      length.value = trimmed((STRIDE * slide.valueAsNumber + 1) / this.#rate, 2);
    });
    form.addEventListener("input", () => this.#settle());
    form.elements.model.addEventListener("change", () => this.#chooseModel());
    form.elements.prompt.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      make(this.#request());
    });
  }

  /** The models and cards that there are. */
  offer({ models, cards }) {
    const { model, gpu_id } = this.#form.elements;
    const gpus = cards.map((card) => card.index).join();
    if (gpus !== this.#cards || !gpu_id.options.length) {
      this.#cards = gpus;
      const chosen = gpu_id.value;
      const each = cards.map((card) => new Option(`GPU ${card.index}`, card.index));
      gpu_id.closest(".field").hidden = cards.length < 2;
      gpu_id.replaceChildren(new Option("free first", ""), ...each);
      gpu_id.value = [...gpu_id.options].some((option) => option.value === chosen) ? chosen : "";
    }
    if (this.#models.length) return;
    this.#models = models;
    this.#form.inert = false;
    model.replaceChildren(...models.map(({ name }) => new Option(name, name)));
    this.#chooseModel();
    const draft = sessionStorage.getItem(DRAFT);
    if (draft) this.fill(JSON.parse(draft));
    else this.#settle();
  }

  /** Puts a clip's settings into the form; what it does not name stays as it is. */
  fill(settings) {
    const { model, size, seconds, seed, enhance } = this.#form.elements;
    if (this.#models.some(({ name }) => name === settings.model)) {
      model.value = settings.model;
      this.#chooseModel();
    }
    for (const name of ["prompt", "negative_prompt", "frame_rate", "gpu_id"]) {
      if (name in settings) this.#form.elements[name].value = settings[name] ?? "";
    }
    seed.value = settings.seed ?? "";
    enhance.checked = Boolean(settings.enhance);
    if (settings.size) {
      const known = [...size.options].some((option) => option.value === settings.size);
      size.value = known ? settings.size : OWN;
      [this.#form.elements.width.value, this.#form.elements.height.value] = settings.size.split("x");
    }
    if (settings.num_frames) seconds.value = trimmed(settings.num_frames / this.#rate, 2);
    this.#settle();
  }

  focus() {
    this.#form.elements.prompt.focus();
  }

  get #rate() {
    return this.#form.elements.frame_rate.valueAsNumber || this.#model.frame_rate;
  }

  get #frames() {
    return framesOf(this.#lengths().length.valueAsNumber || 1, this.#rate);
  }

  get #model() {
    return this.#models.find(({ name }) => name === this.#form.elements.model.value);
  }

  #lengths() {
    return {
      length: this.#form.querySelector("#length"),
      slide: this.#form.querySelector("#length-slide"),
    };
  }

  /** Another model has its own sizes and abilities; what it can make too stays chosen. */
  #chooseModel() {
    const { size, frame_rate, width, height } = this.#form.elements;
    const model = this.#model;
    const before = size.value || `${model.width}x${model.height}`;
    const groups = new Map();
    for (const [across, down] of sizesOf(model)) {
      const shape = shapeOf(across, down);
      if (!groups.has(shape)) groups.set(shape, document.createElement("optgroup"));
      groups.get(shape).label = shape;
      groups.get(shape).append(new Option(`${across} × ${down}`, `${across}x${down}`));
    }
    size.replaceChildren(...groups.values(), new Option("own …", OWN));
    size.value = before;
    if (!size.value) size.value = OWN;
    for (const side of [width, height]) side.step = side.min = model.multiple;
    width.value ||= model.width;
    height.value ||= model.height;
    frame_rate.value ||= model.frame_rate;
    const { length } = this.#lengths();
    length.value ||= trimmed(model.num_frames / this.#rate, 2);
    for (const field of this.#form.querySelectorAll("[data-if]")) field.hidden = !model[field.dataset.if];
  }

  /** What follows from the fields: frames, places of pictures, the draft. */
  #settle() {
    const { length, slide } = this.#lengths();
    const frames = this.#frames;
    slide.value = (frames - 1) / STRIDE;
    const seconds = duration(frames / this.#rate);
    slide.setAttribute("aria-valuetext", `${seconds}, ${frames} frames`);
    this.#form.querySelector("#frames").value =
      `${frames} frames: ${trimmed(frames / this.#rate, 2)} s at ${trimmed(this.#rate, 3)} a second`;
    length.setCustomValidity(length.valueAsNumber > 0 ? "" : "Say how long the clip is.");
    const own = this.#form.elements.size.value === OWN;
    this.#form.querySelector("#own-size").hidden = !own;
    for (const side of ["width", "height"]) this.#form.elements[side].disabled = !own;
    this.#pictures.fit(frames, this.#rate);
    sessionStorage.setItem(DRAFT, JSON.stringify(this.#settings()));
  }

  #settings() {
    const fields = this.#form.elements;
    const own = fields.size.value === OWN;
    return {
      prompt: fields.prompt.value.trim(),
      model: fields.model.value,
      size: own ? `${fields.width.value}x${fields.height.value}` : fields.size.value,
      num_frames: this.#frames,
      frame_rate: this.#rate,
      seed: fields.seed.value,
      gpu_id: fields.gpu_id.value,
      negative_prompt: this.#model.negative_prompt ? fields.negative_prompt.value.trim() : "",
      enhance: this.#model.enhance && fields.enhance.checked,
    };
  }

  /** The request: what is left empty is the service's to choose. */
  #request() {
    const form = new FormData();
    for (const [name, value] of Object.entries(this.#settings())) {
      if (value !== "" && value !== false) form.append(name, value);
    }
    if (this.#model.pictures) this.#pictures.write(form);
    return form;
  }
}
