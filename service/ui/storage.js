/** The browser's storages. If the browser lets a page keep nothing, or no more, things are kept in memory while the page is open. */
class SafeStorage {
  #name;
  #fallback = new Map();

  /** @param {"localStorage"|"sessionStorage"} name */
  constructor(name) {
    this.#name = name;
  }

  /**
   * @param {string} name
   * @returns {string|null}
   */
  get(name) {
    return this.#fallback.get(name) ?? this.#tried((storage) => storage.getItem(name)) ?? null;
  }

  /** @param {string} name @param {string} value */
  set(name, value) {
    if (this.#tried((storage) => (storage.setItem(name, value), true))) this.#fallback.delete(name);
    else this.#fallback.set(name, value);
  }

  /** @param {string} name */
  remove(name) {
    this.#fallback.delete(name);
    this.#tried((storage) => storage.removeItem(name));
  }

  /** @returns {string[]} The names of everything that is kept. */
  get names() {
    return [...new Set([...this.#fallback.keys(), ...(this.#tried(Object.keys) ?? [])])];
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
export const local = new SafeStorage("localStorage");

/** Kept while the tab is open. */
export const tab = new SafeStorage("sessionStorage");
