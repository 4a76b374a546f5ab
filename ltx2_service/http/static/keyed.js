// A list on the page that follows a list of values: elements stay where their value stays, so that
// a player goes on and the keyboard keeps its place.

export class Keyed {
  #root;
  #template;
  #items = new Map();

  /** `setUp(element, id)` is called once for each element, `gone(element)` once it is removed. */
  constructor(root, template, setUp, gone = () => {}) {
    this.#root = root;
    this.#template = template;
    this.setUp = setUp;
    this.gone = gone;
  }

  /** Shows the values in their order; `update(element, value)` fills each. */
  show(values, update) {
    const kept = new Set(values.map((value) => value.id));
    for (const [id, element] of this.#items) if (!kept.has(id)) this.#remove(id, element);
    values.forEach((value, at) => {
      const element = this.#items.get(value.id) ?? this.#add(value.id);
      update(element, value);
      const there = this.#root.children[at];
      if (there !== element) this.#root.insertBefore(element, there ?? null);
    });
  }

  get(id) {
    return this.#items.get(id);
  }

  #add(id) {
    const element = this.#template.content.firstElementChild.cloneNode(true);
    this.#items.set(id, element);
    this.setUp(element, id);
    return element;
  }

  #remove(id, element) {
    if (element.contains(document.activeElement)) {
      const next = element.nextElementSibling ?? element.previousElementSibling;
      (next?.querySelector("button:not([hidden])") ?? this.#root.closest("[tabindex]"))?.focus();
    }
    element.remove();
    this.#items.delete(id);
    this.gone(element);
  }
}

/** Writes text only where it changes: a reader that follows the element is not told twice. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
