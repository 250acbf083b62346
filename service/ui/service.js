/** Calls the service over HTTP. A refusal is thrown as a Problem, no answer as an Unreachable. */
import { authorization } from "./key.js";
import { doublePatience, forUpload, patienceWith, resetPatience } from "./patience.js";
import { Wait } from "./wait.js";

/** The service itself gives a question up after 60 seconds, unless it is set otherwise. */
const QUESTION_PATIENCE_MS = 75_000;
const PIECE_PATIENCE_MS = 20_000;

const BASE = new URL("../", document.baseURI);

/** Dispatches the event "unauthenticated" when a key is needed. */
export const refusals = new EventTarget();

/** A refusal of the service, application/problem+json. */
export class Problem extends Error {
  /** @param {{title: string, detail: string, status: number}} document */
  constructor({ title, detail, status }) {
    super(detail.replace(/^inputs\.(?=\w+: )/, "")); // users know a form's field by its name alone
    this.title = title;
    this.status = status;
  }
}

/** Statuses of a busy service, or of a gateway to one that is starting. Whether a step was taken is not known. */
const PASSING = new Set([429, 502, 503, 504]);

/**
 * Whether the same request may succeed later.
 * @param {Error} error
 * @returns {boolean}
 */
export const isPassing = (error) => error instanceof Unreachable || (error instanceof Problem && PASSING.has(error.status));

/** Statuses of a session that is over or never existed. */
const ENDED = new Set([404, 410]);

/**
 * Whether the session is over or never existed.
 * @param {Error} error
 * @returns {boolean}
 */
export const isEnded = (error) => error instanceof Problem && ENDED.has(error.status);

/** The service does not answer. */
export class Unreachable extends Error {
  constructor() {
    super("Is it running? Try again: no session takes a step twice.");
    this.title = "The service does not answer";
  }
}

/**
 * The address of a resource.
 * @param {string} path Below the service's root, without a slash before it.
 * @returns {URL}
 */
export const address = (path) => new URL(path, BASE);

/**
 * Ask for JSON.
 * @param {string} path
 * @param {object} [body] Posted if given.
 * @param {{method?: string, headers?: object, patience?: number}} [options] `patience` in milliseconds, without the upload.
 * @returns {Promise<any>} The answer, null if it is empty.
 */
export async function ask(path, body, { method, headers, patience = patienceWith(path) } = {}) {
  const content = body && encode(body);
  const deadline = new Deadline(patience + forUpload(content));
  try {
    const response = await respond(path, content, { method, headers, signal: deadline.signal });
    const text = await arrived(response.text());
    resetPatience(path);
    return text ? decode(text) : null;
  } catch (error) {
    if (deadline.signal.aborted) doublePatience(path);
    throw error;
  } finally {
    deadline.end();
  }
}

/**
 * Ask a question, whose answer takes time to compute.
 * @param {string} path
 * @param {object} body
 * @returns {Promise<any>} The answer.
 */
export const askQuestion = (path, body) => ask(path, body, { patience: QUESTION_PATIENCE_MS });

/**
 * Yield events as they arrive.
 * @param {string} path
 * @param {object} body
 * @param {AbortSignal} signal
 * @returns {AsyncGenerator<[string, any]>} Names and data; an "error" is thrown as a Problem.
 */
export async function* events(path, body, signal) {
  const deadline = new Deadline(PIECE_PATIENCE_MS);
  try {
    const response = await respond(path, encode(body), { signal: AbortSignal.any([signal, deadline.signal]), stop: signal });
    let unread = "";
    for await (const piece of pieces(response.body.pipeThrough(new TextDecoderStream()), signal)) {
      deadline.restart();
      const parts = (unread + piece).split("\n\n");
      unread = parts.pop();
      for (const part of parts) yield read(part);
    }
  } finally {
    deadline.end();
  }
}

/** A wait for an answer whose request is aborted if nothing comes. */
class Deadline extends Wait {
  constructor(patience) {
    const controller = new AbortController();
    super(patience, () => controller.abort());
    this.signal = controller.signal;
  }
}

/** Seeds have 63 bits, but numbers here only 53, so seeds are strings on this page and numbers in JSON. */
const encode = (body) => JSON.stringify(body).replace(/"seed":"0*(\d+)"/g, '"seed":$1');
const decode = (text) => JSON.parse(text.replace(/"seed":(\d+)/g, '"seed":"$1"'));

async function respond(path, body, { method = body ? "POST" : "GET", headers, signal, stop }) {
  const all = { ...authorization(), ...(body && { "Content-Type": "application/json" }), ...headers };
  const response = await arrived(fetch(address(path), { method, headers: all, body, signal }), stop);
  if (!response.ok) throw await refusal(response);
  return response;
}

/** What is awaited, or Unreachable if it does not come, unless the caller stopped it. Not every browser throws the reason of an abort. */
async function arrived(awaited, stop) {
  try {
    return await awaited;
  } catch {
    throw stop?.aborted ? stop.reason : new Unreachable();
  }
}

async function refusal(response) {
  if (response.status === 401) refusals.dispatchEvent(new Event("unauthenticated"));
  const answer = await response.json().catch(() => ({}));
  return new Problem({ title: response.statusText, detail: "Nothing more was said.", status: response.status, ...answer });
}

async function* pieces(stream, stop) {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await arrived(reader.read(), stop);
      if (done) return;
      yield value;
    }
  } finally {
    reader.releaseLock();
  }
}

function read(part) {
  const fields = Object.fromEntries(part.split("\n").map((line) => line.split(/: (.*)/s)));
  const data = decode(fields.data);
  if (fields.event === "error") throw new Problem(data);
  return [fields.event, data];
}
