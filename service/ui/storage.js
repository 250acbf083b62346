/** The browser's storages; where it lets a page keep nothing, or no more, things are kept as long as the page is there. */
class Shelf {
  #name;
  #instead = new Map();

  /** @param {"localStorage"|"sessionStorage"} name */
  constructor(name) {
    this.#name = name;
  }

  /**
   * @param {string} name
   * @returns {string|null}
   */
  get(name) {
    return this.#instead.get(name) ?? this.#tried((storage) => storage.getItem(name)) ?? null;
  }

  /** @param {string} name @param {string} value */
  put(name, value) {
    if (this.#tried((storage) => (storage.setItem(name, value), true))) this.#instead.delete(name);
    else this.#instead.set(name, value);
  }

  /** @param {string} name */
  drop(name) {
    this.#instead.delete(name);
    this.#tried((storage) => storage.removeItem(name));
  }

  /** @returns {string[]} The names of all that is kept. */
  get names() {
    return [...new Set([...this.#instead.keys(), ...(this.#tried(Object.keys) ?? [])])];
  }

  #tried(work) {
    try {
      return work(window[this.#name]); // the name itself may be forbidden
    } catch {
      return undefined;
    }
  }
}

/** Through reloads and restarts. */
export const local = new Shelf("localStorage");

/** As long as the tab is there. */
export const ofTab = new Shelf("sessionStorage");
