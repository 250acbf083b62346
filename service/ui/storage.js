/** The browser's storages. If the browser lets a page keep nothing, or no more, things are kept in memory while the page is open. */
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

  /** @returns {string[]} The names of everything that is kept. */
  get names() {
    return [...new Set([...this.#instead.keys(), ...(this.#tried(Object.keys) ?? [])])];
  }

  #tried(work) {
    try {
      return work(window[this.#name]); // access to the property itself may throw
    } catch {
      return undefined;
    }
  }
}

/** Kept through reloads and restarts. */
export const local = new Shelf("localStorage");

/** Kept while the tab is open. */
export const ofTab = new Shelf("sessionStorage");
