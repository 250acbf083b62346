/** Readings and the fan of what may follow them; the wider a band, the paler. */
import { LineChart } from "./chart.js";

const MAX_SHOWN = 400;

export class FanChart {
  #place;
  #chart = null;
  #numBands = -1;

  /** @param {HTMLElement} place */
  constructor(place) {
    this.#place = place;
  }

  /**
   * @param {number[]} readings The latest last.
   * @param {{mean: number[], quantiles: Object<string, number[]>}} forecast
   */
  draw(readings, { mean, quantiles }) {
    const history = readings.slice(-MAX_SHOWN);
    const lines = Object.entries(quantiles).sort(([one], [other]) => one - other).map(([, line]) => line);
    const numBands = Math.floor(lines.length / 2);
    if (numBands !== this.#numBands) this.#make(numBands);
    const data = [history, mean, ...pairs(lines).flat()];
    const x = Array.from({ length: history.length + mean.length }, (_, index) => index - history.length + 1);
    const joined = (line) => [...Array(history.length - 1).fill(null), history.at(-1), ...line];
    const padded = data.map((line, index) => (index ? joined(line) : [...line, ...Array(mean.length).fill(null)]));
    this.#chart.draw([x, ...padded], `${readings.length} readings and the ${mean.length} forecast after them`);
  }

  #make(numBands) {
    this.#chart?.remove();
    this.#numBands = numBands;
    const edges = Array.from({ length: numBands * 2 }, () => ({ stroke: undefined, width: 0 }));
    const bands = Array.from({ length: numBands }, (_, index) => ({ series: [4 + 2 * index, 3 + 2 * index], fill: ["--accent", 18] }));
    this.#chart = new LineChart(this.#place, {
      x: "steps from the latest reading",
      y: "reading",
      series: [{ stroke: "--ink", width: 1.5 }, { stroke: "--accent" }, ...edges],
      bands,
    });
  }
}

/** Pairs of lower and upper lines, the outermost first. The median has no partner and is left out: the mean is drawn instead. */
function pairs(lines) {
  return Array.from({ length: Math.floor(lines.length / 2) }, (_, index) => [lines[index], lines.at(-1 - index)]);
}
