/** How long the answer to a step, or to anything else that takes milliseconds, is waited for before it is given up. */
const PATIENCE_MS = 8000;
const MAX_PATIENCE_MS = 75_000;
const UPLOAD_BYTES_PER_MS = 16;

/** Milliseconds by path, where the latest request was given up. */
const doubled = new Map();

/**
 * @param {string} path
 * @returns {number} Milliseconds, without those of the upload.
 */
export const patienceWith = (path) => doubled.get(path) ?? PATIENCE_MS;

/**
 * @param {string} [content] Of a request.
 * @returns {number} Milliseconds that a slow network may take to carry it.
 */
export const forUpload = (content = "") => content.length / UPLOAD_BYTES_PER_MS;

/** A request was given up: wait twice as long when it is sent again. */
export const doublePatience = (path) => doubled.set(path, Math.min(2 * patienceWith(path), MAX_PATIENCE_MS));

/** A request was answered. */
export const resetPatience = (path) => doubled.delete(path);
