/** A simulated sensor: a session that reads one value a step, and forecasts after each. */
import { Session } from "./session.js";

const PAUSE_MS = 400;
const SHARE_BEFORE = 0.6;

export class SimulatedSensor {
  #opening = null;
  #session = null;
  #callbacks;

  /**
   * @param {{onForecast: Function, onState: (isLive: boolean) => void, onProblem: (error: Error) => void}} callbacks
   *   `onForecast` gets the name and values that were read, the forecast, and the session.
   */
  constructor(callbacks) {
    this.#callbacks = callbacks;
  }

  /**
   * Read the first part of a column in one step, then the others one by one; or stop.
   * @param {{name: string, values: number[]}} column
   * @param {string} model
   * @param {{horizon: number, quantiles: number[]}} wanted
   */
  async toggle(column, model, wanted) {
    if (this.#session) return this.stop();
    const opening = Session.open(model);
    this.#opening = opening;
    let session;
    try {
      session = await opening;
    } catch (error) {
      if (opening === this.#opening) throw error;
      return;
    }
    if (opening !== this.#opening) return session.leave(); // stopped meanwhile
    this.#session = session;
    this.#callbacks.onState(true);
    this.#follow(session, column, wanted);
  }

  /** Stop reporting. The session ends only once the step under way is answered, which would otherwise be refused. */
  stop() {
    this.#opening = null;
    this.#session = null;
    this.#callbacks.onState(false);
  }

  async #follow(session, column, wanted) {
    try {
      await this.#report(session, column, wanted);
    } catch (error) {
      if (session === this.#session) {
        this.stop();
        this.#callbacks.onProblem(error);
      }
    }
    session.leave();
  }

  async #report(session, { name, values }, wanted) {
    let length = Math.max(1, Math.floor(values.length * SHARE_BEFORE));
    let news = values.slice(0, length);
    for (;;) {
      const { forecast } = await session.take({ values: { [name]: news }, ...wanted });
      if (session !== this.#session) return;
      this.#callbacks.onForecast({ name, values: values.slice(0, length) }, forecast[name], session);
      if (length === values.length) return this.stop();
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      if (session !== this.#session) return;
      news = [values[length++]];
    }
  }
}
