/** A session drawn as an unrolled network: a cell for each step, above what the step has read. */
import { element } from "./element.js";

export class Chain {
  #list;

  /** @param {HTMLElement} list An ordered list. */
  constructor(list) {
    this.#list = list;
  }

  /**
   * Show these steps, the latest last.
   * @param {{step: number, read: string, share: number|null}[]} cells `share` tints a cell, 0 to 1; null reads nothing.
   */
  show(cells) {
    this.#list.replaceChildren(...cells.map(cellOf));
    this.#list.scrollLeft = this.#list.scrollWidth;
  }
}

function cellOf({ step, read, share }) {
  const cell = element("li", { title: `Step ${step}: ${read}` }, element("i", {}), element("span", {}, seen(read)));
  cell.style.setProperty("--share", `${Math.round((share ?? 0) * 100)}%`);
  cell.classList.toggle("apart", share === null);
  return cell;
}

/** What was read, or its end if it is long. */
function seen(read) {
  const characters = [...read];
  const short = characters.length > 7 ? `…${characters.slice(-6).join("")}` : read;
  return short.replaceAll(" ", "␣").replaceAll("\n", "↵");
}
