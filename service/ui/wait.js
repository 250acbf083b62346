/** How long an answer is waited for. While one is late, the page says so; a network may have dropped it without a sign. */
const LATE_MS = 2000;
const late = new Set();

export class Wait {
  #patience;
  #giveUp;
  #timers = [];

  /**
   * Begin to wait.
   * @param {number} patience In milliseconds.
   * @param {() => void} giveUp Called once nothing has come for that long.
   */
  constructor(patience, giveUp) {
    this.#patience = patience;
    this.#giveUp = giveUp;
    this.restart();
  }

  /** Wait for the next piece: one has come. */
  restart() {
    this.end();
    this.#timers = [setTimeout(() => this.#isLate(), LATE_MS), setTimeout(this.#giveUp, this.#patience)];
  }

  /** Wait no longer. */
  end() {
    for (const timer of this.#timers) clearTimeout(timer);
    if (late.delete(this)) show();
  }

  #isLate() {
    late.add(this);
    show();
  }
}

const show = () => {
  document.getElementById("waiting").textContent = late.size ? "Waiting for the service …" : "";
};
