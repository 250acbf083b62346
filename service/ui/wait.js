/** How long an answer is waited for. While one is late, the page says so; a network may have dropped it without a sign. */
const LATE_MS = 2000;
/** Longer than a retry takes to be late, so that one outage is told of once. */
const CLEAR_MS = 3500;
const late = new Set();
let clearing = 0;

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
    if (late.delete(this) && !late.size) clearing = setTimeout(() => show(""), CLEAR_MS);
  }

  #isLate() {
    late.add(this);
    clearTimeout(clearing);
    show("Waiting for the service …");
  }
}

function show(text) {
  const place = document.getElementById("waiting");
  if (place.textContent !== text) place.textContent = text; // else screen readers would read it out again
}
