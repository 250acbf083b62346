/** Forecasts: lines for past readings, and a fan of quantiles for those to come. */
import { FanChart } from "./fan.js";
import { fieldsOf, part } from "./element.js";
import { SimulatedSensor } from "./sensor.js";
import { attempt, onSubmit, say, showProblem } from "./notice.js";
import { tableOf } from "./readings.js";
import { askQuestion } from "./service.js";

const MAX_FILE_BYTES = 8 * 2 ** 20;
const EXAMPLE_HOURS = 24 * 10;
const GUESSED = "Commas are taken for decimal ones. Two columns have names in a first line, or a semicolon between them.";

/** @param {HTMLElement} panel @param {import("./models.js").Models} models */
export function startForecast(panel, models) {
  const field = fieldsOf(panel);
  const chart = new FanChart(part(panel, "chart"));
  const facts = part(panel, "session");
  const column = () => chosen(tableOf(field("readings").value), field("column").value);
  const wanted = () => ({ horizon: Number(field("horizon").value), quantiles: numbers(field("quantiles").value) });

  const show = (name, values, forecast) => {
    part(panel, "figure").hidden = false;
    chart.draw(values, forecast);
    part(panel, "summary").textContent = summary(name, forecast);
  };

  const sensor = new SimulatedSensor({
    onForecast: ({ name, values }, forecast, session) => {
      show(name, values, forecast);
      facts.textContent = `session ${session.id} · step ${session.step} · state ${models.stateSize(session.model)} · ${values.length} readings read`;
    },
    onState: (isLive) => {
      part(panel, "live").textContent = isLive ? "Stop" : "One at a time";
      part(panel, "summary").setAttribute("aria-live", isLive ? "off" : "polite");
    },
    onProblem: (error) => {
      showProblem(part(panel, "notice"), error);
      part(panel, "figure").hidden = true;
    },
  });
  const offerColumns = () => {
    const { columns, flawed, isGuessed } = tableOf(field("readings").value);
    offer(field("column"), columns);
    say(part(panel, "notice"), isGuessed ? GUESSED : columns.length ? describeFlaws(flawed) : "");
  };

  const fill = (text) => {
    field("readings").value = text;
    offerColumns();
  };

  part(panel, "example").addEventListener("click", () => fill(example()));
  field("readings").addEventListener("input", offerColumns);
  field("file").addEventListener("change", async () => {
    const [file] = field("file").files;
    if (!file) return;
    if (file.size > MAX_FILE_BYTES) return showProblem(part(panel, "notice"), problem("The file is too large", "8 MiB at most."));
    fill(await file.text());
  });
  onSubmit(panel, async () => {
    sensor.stop();
    const { name, values } = column();
    const { forecast } = await askQuestion("forecast", { series: { [name]: values }, model: field("model").value, ...wanted() });
    show(name, values, forecast[name]);
    facts.textContent = "";
  }, "figure");
  part(panel, "live").addEventListener("click", (event) =>
    attempt(event.currentTarget, part(panel, "notice"), () => sensor.toggle(column(), field("model").value, wanted()), part(panel, "figure")));
  field("readings").value = example();
}

function offer(select, columns) {
  const before = select.value;
  select.replaceChildren(...columns.map(({ name }) => new Option(name, name)));
  select.value = columns.some(({ name }) => name === before) ? before : (columns.at(-1)?.name ?? "");
  select.closest("label").hidden = columns.length < 2;
}

function chosen({ columns, flawed }, name) {
  const column = columns.find((each) => each.name === name) ?? columns.at(-1);
  if (!column) throw problem("No readings", describeFlaws(flawed) || "Paste numbers, one a line, or a CSV file with a column of numbers.");
  return column;
}

const problem = (title, message) => Object.assign(new Error(message), { title });

/** Says which columns are left out, and why. */
const describeFlaws = (flawed) => flawed.map(({ name, line }) => `Line ${line} has no number for ${name}, which is left out.`).join(" ");

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
  const readings = Array.from({ length: EXAMPLE_HOURS }, (_, hour) => {
    weather = 0.97 * weather + noise();
    return (20 + 7 * Math.sin(((hour - 9) / 24) * 2 * Math.PI) + weather + 0.6 * noise()).toFixed(1);
  });
  return readings.join("\n");
}
