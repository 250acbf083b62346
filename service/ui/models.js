/** The served models, and the size of their states. */
import { ask } from "./service.js";

const BYTES = { float64: 8, int64: 8, float32: 4, int32: 4, float16: 2, int8: 1, uint8: 1, bool: 1 };

export class Models {
  #byName = new Map();

  /** Ask what is served. */
  async load() {
    const { models } = await ask("models");
    this.#byName = new Map(models.map((model) => [model.name, model]));
  }

  /**
   * @param {string} name
   * @returns {object|undefined} A model, as `GET /models` has it.
   */
  get(name) {
    return this.#byName.get(name);
  }

  /**
   * The size of one session's state, however much it has read.
   * @param {string} name
   * @returns {string}
   */
  stateSize(name) {
    const tensors = this.get(name)?.state ?? [];
    const sizes = tensors.map(({ dtype, shape }) =>
      shape.reduce((product, axis) => product * (axis === "N" ? 1 : axis), BYTES[dtype] ?? 4),
    );
    return readable(sizes.reduce((sum, size) => sum + size, 0));
  }

  /**
   * The characters that a model knows, for people; "" if it knows words or no text.
   * @param {string} name
   * @returns {string}
   */
  characters(name) {
    return rangesOf(this.get(name)?.task.characters ?? []);
  }

  /**
   * Grey out what is not served: options of selects, and tabs none of whose models are served.
   * @param {ParentNode} page
   */
  greyOut(page) {
    for (const choice of page.querySelectorAll("[data-model]")) choice.disabled = !this.get(choice.dataset.model);
    for (const select of page.querySelectorAll("select:has([data-model])")) chooseEnabled(select);
    for (const tab of page.querySelectorAll("[data-any]")) {
      const names = tab.dataset.any.split(" ");
      const isAbsent = !names.some((name) => this.get(name));
      tab.classList.toggle("absent", isAbsent);
      tab.title = isAbsent ? `not served here: ${names.join(", ")}` : "";
      const panel = document.getElementById(tab.getAttribute("aria-controls"));
      panel.inert = isAbsent;
      panel.classList.toggle("absent", isAbsent);
    }
  }
}

function chooseEnabled(select) {
  if (!select.selectedOptions[0]?.disabled) return;
  const enabled = [...select.options].find((option) => !option.disabled);
  if (enabled) select.value = enabled.value;
}

const readable = (bytes) => (bytes < 1024 ? `${bytes} bytes` : `${(bytes / 1024).toFixed(1)} KB`);

/** Characters in order, with "A–Z" for many that follow each other. */
function rangesOf(characters) {
  const points = characters.map((each) => each.codePointAt(0)).sort((one, other) => one - other);
  const runs = [];
  for (const point of points) {
    if (runs.at(-1)?.at(-1) === point - 1) runs.at(-1).push(point);
    else runs.push([point]);
  }
  return runs.flatMap((run) => (run.length > 3 ? `${seen(run[0])}–${seen(run.at(-1))}` : run.map(seen))).join(" ");
}

const seen = (point) => ({ 10: "line break,", 32: "space," })[point] ?? String.fromCodePoint(point);
