/** Line charts with titles and units, in the page's colours, as wide as there is room. */
import uPlot from "./vendor/uplot.js";

const HEIGHT = 240;
const charts = new Set();

/** @param {string} name @returns {string} A colour of the stylesheet. */
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => charts.forEach((chart) => chart.repaint()));

export class LineChart {
  #place;
  #options;
  #data = null;
  #plot = null;
  #watch;

  /**
   * @param {HTMLElement} place
   * @param {{x: string, y: string, range?: [number, number], series: object[], bands?: object[]}} options
   *   Titles of the axes with their units, the range of y if it is fixed, uPlot's series (colours by their names in
   *   the stylesheet) and bands.
   */
  constructor(place, options) {
    this.#place = place;
    this.#options = options;
    charts.add(this);
    this.#watch = new ResizeObserver(() => this.#fit());
    this.#watch.observe(place);
  }

  /**
   * Draw.
   * @param {(number|null)[][]} data x, then each series.
   * @param {string} summary The same in words, for people who cannot see it.
   */
  draw(data, summary) {
    this.#data = data;
    this.#place.setAttribute("role", "img");
    this.#place.setAttribute("aria-label", summary);
    if (this.#plot) this.#plot.setData(data);
    else this.#fit();
  }

  /** Draw again, in the current colours. */
  repaint() {
    this.#plot?.destroy();
    this.#plot = null;
    this.#fit();
  }

  /** Remove this chart. */
  remove() {
    this.#watch.disconnect();
    this.#plot?.destroy();
    charts.delete(this);
  }

  #fit() {
    const width = this.#place.clientWidth;
    if (!width || !this.#data) return;
    if (this.#plot) this.#plot.setSize({ width, height: HEIGHT });
    else this.#plot = new uPlot(this.#described(width), this.#data, this.#place);
  }

  #described(width) {
    const { x, y, range, series, bands } = this.#options;
    const font = `12px ${getComputedStyle(document.body).fontFamily}`;
    const grid = { stroke: colour("--line"), width: 1 };
    const axis = { stroke: colour("--muted"), grid, ticks: { show: false }, font, labelFont: font };
    return {
      width,
      height: HEIGHT,
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
      scales: { x: { time: false }, y: range ? { range } : {} },
      axes: [
        { ...axis, label: x, labelSize: 18, size: 28 },
        { ...axis, label: y, labelSize: 18, size: 42 },
      ],
      series: [{}, ...series.map((one) => painted(one))],
      bands: bands?.map((band) => ({ ...band, fill: translucent(band.fill) })),
    };
  }
}

function painted({ stroke, ...rest }) {
  return { width: 2, points: { show: false }, ...rest, stroke: stroke && colour(stroke) };
}

/** A colour of the stylesheet, #rrggbb, with its opacity in percent appended as two hexadecimal digits. */
function translucent([name, percent]) {
  return colour(name) + Math.round(percent * 2.55).toString(16).padStart(2, "0");
}
