/** The judgement of a text: a gauge, its course, and the session behind it. */
import { Chain } from "./chain.js";
import { LineChart } from "./chart.js";
import { part } from "./element.js";

const REST_MS = 700;

export class Judgement {
  #panel;
  #stateSize;
  #chain;
  #chart;
  #announceTimer = 0;

  /** @param {HTMLElement} panel @param {() => string} stateSize */
  constructor(panel, stateSize) {
    this.#panel = panel;
    this.#stateSize = stateSize;
    this.#chain = new Chain(part(panel, "chain"));
    this.#chart = new LineChart(part(panel, "chart"), {
      x: "characters read",
      y: "positive, %",
      range: [0, 100],
      series: [{ stroke: "--accent", points: { size: 5 } }],
    });
  }

  /**
   * @param {[number, number|null][]} points Characters read, and the probability of "positive" after them.
   * @param {object[]} cells Of the chain.
   * @param {import("./session.js").Session|null} session
   * @param {string} transport How the latest step was sent.
   */
  show(points, cells, session, transport) {
    const share = points.at(-1)?.[1] ?? null;
    this.#showGauge(share);
    this.#chain.show(cells);
    const known = points.filter(([, each]) => each !== null);
    const data = [known.map(([length]) => length), known.map(([, each]) => each * 100)];
    this.#chart.draw(data, `Judgement after each piece; now ${describe(share)}`);
    const facts = { session: session?.id ?? "none yet", step: session?.step ?? 0, state: this.#stateSize(), transport };
    for (const [role, fact] of Object.entries(facts)) part(this.#panel, role).textContent = String(fact);
  }

  #showGauge(share) {
    const gauge = part(this.#panel, "gauge");
    gauge.style.setProperty("--share", `${(share ?? 0.5) * 100}%`);
    gauge.classList.toggle("empty", share === null);
    this.#showVerdict(describe(share));
  }

  /** Show it at once, and let screen readers say it once typing pauses. */
  #showVerdict(judgement) {
    part(this.#panel, "judgement").textContent = judgement;
    clearTimeout(this.#announceTimer);
    this.#announceTimer = setTimeout(() => {
      part(this.#panel, "announcement").textContent = judgement;
    }, REST_MS);
  }
}

function describe(share) {
  if (share === null) return "nothing read yet";
  return share >= 0.5 ? `positive, ${percent(share)}` : `negative, ${percent(1 - share)}`;
}

const percent = (share) => `${Math.round(share * 100)} %`;
