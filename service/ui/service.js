/** The service, asked over HTTP. Every refusal is a Problem, every silence an Unreachable. */
import { authorization } from "./key.js";

const BASE = new URL("../", document.baseURI);

/** Tells, by the event "unauthenticated", that a key is needed. */
export const refusals = new EventTarget();

/** A refusal, as the service tells it: application/problem+json. */
export class Problem extends Error {
  /** @param {{title: string, detail: string, status: number}} told */
  constructor(told) {
    super(told.detail.replace(/^inputs\.(?=\w+: )/, "")); // a form's field is known by its name alone
    this.title = told.title;
    this.status = told.status;
    this.code = (told.type ?? "").split(":").pop();
  }
}

/** What a service that is busy or a gateway before one that starts says; whether the step was taken is not known. */
const PASSING = new Set([429, 502, 503, 504]);

/**
 * Whether the same may be asked again, and answered.
 * @param {Error} error
 * @returns {boolean}
 */
export const isPassing = (error) => error instanceof Unreachable || (error instanceof Problem && PASSING.has(error.status));

/** That a session is over, or was never there. */
const ENDED = new Set([404, 410]);

/**
 * Whether there is no such session, or none any more.
 * @param {Error} error
 * @returns {boolean}
 */
export const isEnded = (error) => error instanceof Problem && ENDED.has(error.status);

/** Nobody answers. */
export class Unreachable extends Error {
  constructor() {
    super("Is it running? Try again: a step that was sent counts once, however often it is sent.");
    this.title = "The service does not answer";
  }
}

/**
 * The address of something that is served.
 * @param {string} path Below the service's root, without a slash before it.
 * @returns {URL}
 */
export const address = (path) => new URL(path, BASE);

/**
 * Ask for JSON.
 * @param {string} path
 * @param {object} [body] Posted, where there is one.
 * @param {{method?: string, signal?: AbortSignal}} [options]
 * @returns {Promise<any>} What was answered, null where there is nothing to say.
 */
export async function ask(path, body, options) {
  const text = await (await respond(path, body, options)).text();
  return text ? decode(text) : null;
}

/**
 * Ask for events as they come.
 * @param {string} path
 * @param {object} body
 * @param {AbortSignal} signal
 * @returns {AsyncGenerator<[string, any]>} Names and data; an "error" is thrown as a Problem.
 */
export async function* events(path, body, signal) {
  const response = await respond(path, body, { signal });
  let unread = "";
  for await (const piece of pieces(response.body.pipeThrough(new TextDecoderStream()))) {
    const parts = (unread + piece).split("\n\n");
    unread = parts.pop();
    for (const part of parts) yield read(part);
  }
}

/** Seeds have 63 bits, a number in a browser 53: they are texts here, and numbers on their way. */
const encode = (body) => JSON.stringify(body).replace(/"seed":"0*(\d+)"/g, '"seed":$1');
const decode = (text) => JSON.parse(text.replace(/"seed":(\d+)/g, '"seed":"$1"'));

async function respond(path, body, { method = body ? "POST" : "GET", signal } = {}) {
  const headers = { ...authorization(), ...(body && { "Content-Type": "application/json" }) };
  const response = await fetched(address(path), { method, headers, body: body && encode(body), signal });
  if (!response.ok) throw await refusal(response);
  return response;
}

async function fetched(url, request) {
  try {
    return await fetch(url, request);
  } catch (error) {
    throw request.signal?.aborted ? error : new Unreachable();
  }
}

async function refusal(response) {
  if (response.status === 401) refusals.dispatchEvent(new Event("unauthenticated"));
  const told = await response.json().catch(() => ({}));
  return new Problem({ title: response.statusText, detail: "Nothing more was said.", status: response.status, ...told });
}

async function* pieces(stream) {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((error) => {
        throw error.name === "AbortError" ? error : new Unreachable();
      });
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
