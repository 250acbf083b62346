/** What this browser keeps: which sessions are its own, and what they have read. Their state is the service's. */
import { local } from "./storage.js";

const PREFIX = "unrolled.";
const MAX_OPENED = 500;

/**
 * @param {string} name
 * @returns {any} What was kept, null where there is nothing.
 */
export function recall(name) {
  try {
    return JSON.parse(local.get(PREFIX + name));
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
  if (value === null) local.drop(PREFIX + name);
  else local.put(PREFIX + name, JSON.stringify(value));
}

/** @returns {Set<string>} Ids of the sessions that this browser has opened. */
export const opened = () => new Set(recall("opened") ?? []);

/** @param {string} id */
export const noteOpened = (id) => keep("opened", [...opened(), id].slice(-MAX_OPENED));

/** @param {string} id */
export const noteEnded = (id) => keep("opened", [...opened()].filter((other) => other !== id));
