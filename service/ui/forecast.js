/** Readings, their past and what may come: lines and a fan of quantiles. */
import { LineChart } from "./chart.js";
import { part } from "./element.js";
import { attempt } from "./notice.js";
import { ask } from "./service.js";
import { columnsOf } from "./readings.js";

const EXAMPLE_HOURS = 24 * 10;
const MAX_SHOWN = 400;

/** @param {HTMLElement} panel */
export function startForecast(panel) {
  const form = part(panel, "form");
  const field = (name) => form.elements.namedItem(name);
  const chart = new Fan(part(panel, "chart"));
  const offerColumns = () => offer(field("column"), columnsOf(field("readings").value));

  part(panel, "example").addEventListener("click", () => {
    field("readings").value = example().join("\n");
    offerColumns();
  });
  field("readings").addEventListener("input", offerColumns);
  field("file").addEventListener("change", async () => {
    const [file] = field("file").files;
    if (!file) return;
    field("readings").value = await file.text();
    offerColumns();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(part(panel, "go"), part(panel, "notice"), async () => {
      const { name, values } = chosen(columnsOf(field("readings").value), field("column").value);
      const quantiles = numbers(field("quantiles").value);
      const question = { series: { [name]: values }, horizon: Number(field("horizon").value), quantiles, model: field("model").value };
      const { forecast } = await ask("forecast", question);
      part(panel, "figure").hidden = false;
      chart.draw(values.slice(-MAX_SHOWN), forecast[name]);
      part(panel, "summary").textContent = summary(name, forecast[name]);
    });
  });
  field("readings").value = example().join("\n");
}

/** History and what follows it; the wider a band, the paler. */
class Fan {
  #place;
  #chart = null;
  #numBands = -1;

  constructor(place) {
    this.#place = place;
  }

  draw(history, { mean, quantiles }) {
    const lines = Object.entries(quantiles).sort(([one], [other]) => one - other).map(([, line]) => line);
    const numBands = Math.floor(lines.length / 2);
    if (numBands !== this.#numBands) this.#make(numBands);
    const data = [history, mean, ...pairs(lines).flat()];
    const x = Array.from({ length: history.length + mean.length }, (_, index) => index - history.length + 1);
    const joined = (line) => [...Array(history.length - 1).fill(null), history.at(-1), ...line];
    const padded = data.map((line, index) => (index ? joined(line) : [...line, ...Array(mean.length).fill(null)]));
    this.#chart.draw([x, ...padded], `${history.length} readings and the ${mean.length} forecast after them`);
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

/** Lower and upper lines, the outermost first; a median stands alone and is left to the mean. */
function pairs(lines) {
  return Array.from({ length: Math.floor(lines.length / 2) }, (_, index) => [lines[index], lines.at(-1 - index)]);
}

function offer(select, columns) {
  const before = select.value;
  select.replaceChildren(...columns.map(({ name }) => new Option(name, name)));
  select.value = columns.some(({ name }) => name === before) ? before : (columns.at(-1)?.name ?? "");
  select.closest("label").hidden = columns.length < 2;
}

function chosen(columns, name) {
  const column = columns.find((each) => each.name === name) ?? columns.at(-1);
  if (!column) throw Object.assign(new Error("Paste numbers, one a line, or a CSV file with a column of numbers."), { title: "No readings" });
  return column;
}

function summary(name, { mean, quantiles }) {
  const levels = Object.keys(quantiles).sort((one, other) => one - other);
  const at = (index) => mean.at(index).toFixed(2);
  const between = levels.length > 1
    ? `, between ${quantiles[levels[0]].at(-1).toFixed(2)} and ${quantiles[levels.at(-1)].at(-1).toFixed(2)} (quantiles ${levels[0]} and ${levels.at(-1)})`
    : "";
  return `${name}: next reading ${at(0)}; ${mean.length} steps ahead ${at(-1)}${between}.`;
}

const numbers = (text) => text.split(/[\s,;]+/).filter(Boolean).map(Number);

/** Hours of a porch's temperature: days, a slow change of weather, and noise that is the same each time. */
function example() {
  let seed = 1;
  const noise = () => (seed = (seed * 16807) % 2147483647) / 2147483647 - 0.5;
  let weather = 0;
  return Array.from({ length: EXAMPLE_HOURS }, (_, hour) => {
    weather = 0.97 * weather + noise();
    return (20 + 7 * Math.sin(((hour - 9) / 24) * 2 * Math.PI) + weather + 0.6 * noise()).toFixed(1);
  });
}
