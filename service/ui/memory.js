/**
 * What this browser keeps: which sessions are its own, and what they have read. Their state stays in the service.
 *
 * Each API key has its own memory, which is hidden from other keys.
 */
import { keyId } from "./key.js";
import { local } from "./storage.js";

const prefix = () => (keyId() ? `unrolled.${keyId()}.` : "unrolled.");
const MAX_OPENED = 500;

/**
 * @param {string} name
 * @returns {any} What was kept, null if nothing was.
 */
export function recall(name) {
  try {
    return JSON.parse(local.get(prefix() + name));
  } catch {
    return null;
  }
}

/**
 * Keep something through reloads; null forgets it.
 * @param {string} name
 * @param {any} value
 */
export function keep(name, value) {
  if (value === null) local.remove(prefix() + name);
  else local.set(prefix() + name, JSON.stringify(value));
}

/** Forget everything that was kept with this key. */
export function forgetAll() {
  for (const name of local.names.filter((each) => each.startsWith(prefix()))) local.remove(name);
}

/** @returns {Set<string>} Ids of the sessions that this browser has opened. */
export const opened = () => new Set(recall("opened") ?? []);

/** @param {string} id */
export const noteOpened = (id) => keep("opened", [...opened(), id].slice(-MAX_OPENED));

/** @param {string} id */
export const noteEnded = (id) => keep("opened", [...opened()].filter((other) => other !== id));
