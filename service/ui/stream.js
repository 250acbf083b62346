/** `WS /stream`: a message for each step, answers as they come. Falls back to HTTP while there is no connection. */
import { subprotocols } from "./key.js";
import { doublePatience, forUpload, patienceWith, resetPatience } from "./patience.js";
import { Problem, address, ask } from "./service.js";
import { Wait } from "./wait.js";

const PAUSE_MS = 3000;

class Disconnected extends Error {}

/** One connection for all steps of this page, opened when it is needed. */
export class Stream {
  #connecting = null;
  #waiting = new Map();
  #numSent = 0;
  #notBefore = 0;
  #giveUp = () => {};

  /** @type {"WebSocket"|"HTTP"} How the latest step was sent. */
  transport = "WebSocket";

  /**
   * Take a step. If the connection breaks, the same step is sent again over HTTP: it counts once.
   * @param {{session_id: string, step: number, inputs: object}} item
   * @returns {Promise<{step: number, outputs: any}>}
   */
  async step(item) {
    const path = `sessions/${item.session_id}/steps`;
    try {
      const answer = await this.#inTime(item, path);
      this.transport = "WebSocket";
      return answer;
    } catch (error) {
      if (!(error instanceof Disconnected)) throw error;
      this.transport = "HTTP";
      return ask(path, { step: item.step, inputs: item.inputs });
    }
  }

  /** Send a step, and give up the connection if the answer is late: a gateway may have dropped it without a sign. */
  async #inTime(item, path) {
    const wait = new Wait(patienceWith(path) + forUpload(JSON.stringify(item)), () => {
      doublePatience(path);
      this.#giveUp();
    });
    try {
      const answer = await this.#send(await this.#connect(), item);
      resetPatience(path);
      return answer;
    } finally {
      wait.end();
    }
  }

  #connect() {
    if (Date.now() < this.#notBefore) throw new Disconnected();
    this.#connecting ??= new Promise((resolve, reject) => {
      const url = address("stream");
      url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
      const socket = new WebSocket(url, subprotocols());
      this.#giveUp = () => {
        Object.assign(socket, { onopen: null, onmessage: null, onclose: null });
        socket.close(); // closing may take as long as the answer, so nobody waits for it
        this.#onDisconnect(reject);
      };
      socket.onopen = () => resolve(socket);
      socket.onmessage = ({ data }) => this.#onMessage(JSON.parse(data));
      socket.onclose = () => this.#onDisconnect(reject);
    });
    return this.#connecting;
  }

  #send(socket, item) {
    const id = this.#numSent++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      socket.send(JSON.stringify({ id, ...item }));
    });
  }

  #onMessage({ id, problem, ...answer }) {
    if (!this.#waiting.has(id)) return this.#giveUp(); // an answer without an id: the service could not read the message, and says why over HTTP
    const { resolve, reject } = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (problem) reject(new Problem(problem));
    else resolve(answer);
  }

  #onDisconnect(reject) {
    this.#connecting = null;
    this.#notBefore = Date.now() + PAUSE_MS;
    reject(new Disconnected());
    for (const each of this.#waiting.values()) each.reject(new Disconnected());
    this.#waiting.clear();
  }
}
