/** `WS /stream`: a message for each step, answers as they come; over HTTP while there is no connection to be had. */
import { subprotocols } from "./key.js";
import { Problem, address, ask } from "./service.js";

const PAUSE_MS = 3000;
const PATIENCE_MS = 8000;

class Disconnected extends Error {}

/** One connection for all steps of this page, opened when it is needed. */
export class Stream {
  #connecting = null;
  #waiting = new Map();
  #numSent = 0;
  #notBefore = 0;
  #giveUp = () => {};

  /** @type {"WebSocket"|"HTTP"} How the latest step went. */
  way = "WebSocket";

  /**
   * Take a step. Where the connection broke, the same step is sent again by another way: it counts once.
   * @param {{session_id: string, step: number, inputs: object}} item
   * @returns {Promise<{step: number, outputs: any}>}
   */
  async step(item) {
    try {
      const answer = await this.#inTime(item);
      this.way = "WebSocket";
      return answer;
    } catch (error) {
      if (!(error instanceof Disconnected)) throw error;
      this.way = "HTTP";
      return ask(`sessions/${item.session_id}/steps`, { step: item.step, inputs: item.inputs });
    }
  }

  /** An answer, or a connection that is given up: one that a gateway has forgotten looks like one whose answer takes long. */
  async #inTime(item) {
    const late = setTimeout(() => this.#giveUp(), PATIENCE_MS);
    try {
      return await this.#send(await this.#connect(), item);
    } finally {
      clearTimeout(late);
    }
  }

  #connect() {
    if (Date.now() < this.#notBefore) throw new Disconnected();
    this.#connecting ??= new Promise((opened, failed) => {
      const url = address("stream");
      url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
      const socket = new WebSocket(url, subprotocols());
      this.#giveUp = () => {
        Object.assign(socket, { onopen: null, onmessage: null, onclose: null });
        socket.close(); // which may take as long as the answer: nobody waits for it
        this.#lose(failed);
      };
      socket.onopen = () => opened(socket);
      socket.onmessage = ({ data }) => this.#hear(JSON.parse(data));
      socket.onclose = () => this.#lose(failed);
    });
    return this.#connecting;
  }

  #send(socket, item) {
    const id = this.#numSent++;
    return new Promise((told, failed) => {
      this.#waiting.set(id, { told, failed });
      socket.send(JSON.stringify({ id, ...item }));
    });
  }

  #hear({ id, problem, ...answer }) {
    if (!this.#waiting.has(id)) return this.#giveUp(); // it could not read what it was sent; over HTTP it says why
    const { told, failed } = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (problem) failed(new Problem(problem));
    else told(answer);
  }

  #lose(failed) {
    this.#connecting = null;
    this.#notBefore = Date.now() + PAUSE_MS;
    failed(new Disconnected());
    for (const each of this.#waiting.values()) each.failed(new Disconnected());
    this.#waiting.clear();
  }
}
