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
