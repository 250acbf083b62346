/** A session of the service: its id, its model and the number of its next step. Its state never leaves the service. */
import { noteEnded, noteOpened } from "./memory.js";
import { Unreachable, ask, events, isEnded, isPassing } from "./service.js";

const A_DAY_SECONDS = 86_400;

/** Idempotency keys of requests for sessions that are not answered yet: sent again, each opens one session. */
const keys = new Map();

export class Session {
  /** @param {{session_id: string, model: string, step: number}} view */
  constructor({ session_id, model, step }) {
    this.id = session_id;
    this.model = model;
    this.step = step;
  }

  /**
   * Open a session. If its answer is lost, opening one for the same model again finds it.
   * @param {string} model
   * @returns {Promise<Session>}
   */
  static async open(model) {
    try {
      return await Session.#opened("sessions", { model, ttl_seconds: A_DAY_SECONDS });
    } catch (error) {
      if (!error.message.startsWith("ttl_seconds")) throw error;
      return Session.#opened("sessions", { model }); // this service does not let sessions idle for a day
    }
  }

  static async #opened(path, body) {
    const request = path + JSON.stringify(body);
    if (!keys.has(request)) keys.set(request, crypto.getRandomValues(new Uint32Array(4)).join("-"));
    try {
      const view = await ask(path, body, { headers: { "Idempotency-Key": keys.get(request) } });
      keys.delete(request);
      noteOpened(view.session_id);
      return new Session(view);
    } catch (error) {
      if (!isPassing(error)) keys.delete(request);
      throw error;
    }
  }

  /** @returns {object} What to keep of it in the browser. */
  get view() {
    return { session_id: this.id, model: this.model, step: this.step };
  }

  /** @returns {Promise<object>} The session as the service has it. */
  look() {
    return ask(`sessions/${this.id}`);
  }

  /**
   * Take a step. It has its number, so it counts once even if it is sent twice.
   * @param {object} inputs
   * @returns {Promise<any>} Its outputs.
   */
  async take(inputs) {
    return this.#took(await ask(`sessions/${this.id}/steps`, { step: this.step, inputs }));
  }

  /**
   * Take a step on a stream.
   * @param {import("./stream.js").Stream} stream
   * @param {object} inputs
   * @returns {Promise<any>} Its outputs.
   */
  async takeOn(stream, inputs) {
    return this.#took(await stream.step({ session_id: this.id, step: this.step, inputs }));
  }

  /**
   * Take a step whose text arrives as it is written. Only the end of the stream acknowledges it.
   * @param {object} inputs
   * @param {(piece: string) => void} onPiece
   * @param {AbortSignal} signal
   * @returns {Promise<any>} Its outputs.
   */
  async write(inputs, onPiece, signal) {
    const body = { step: this.step, inputs, stream: true };
    for await (const [name, data] of events(`sessions/${this.id}/steps`, body, signal)) {
      if (name === "done") return this.#took(data);
      onPiece(data.text);
    }
    throw new Unreachable(); // the answer ended early; the step may be committed all the same
  }

  /** @param {string} name Name of the checkpoint. */
  async save(name) {
    this.#took(await ask(`sessions/${this.id}/checkpoints/${name}?step=${this.step}`, undefined, { method: "PUT" }));
  }

  /** @param {string} checkpoint */
  async rollBack(checkpoint) {
    this.#took(await ask(`sessions/${this.id}/rollback`, { checkpoint, step: this.step }));
  }

  /** @returns {Promise<Session>} A new session that continues from this one's state. */
  async fork() {
    return Session.#opened(`sessions/${this.id}/fork`, { step: this.step });
  }

  /** End this session, unless it is over already. */
  async end() {
    try {
      await ask(`sessions/${this.id}`, undefined, { method: "DELETE" });
    } catch (error) {
      if (!isEnded(error)) throw error;
    }
    noteEnded(this.id);
  }

  /** End this session without waiting. If that fails, it expires by itself. */
  leave() {
    this.end().catch(() => {});
  }

  #took({ step, outputs }) {
    this.step = step;
    return outputs;
  }
}
