/** Generated texts: sheets on a desk, each with its own session. */
import { fieldsOf, part } from "./element.js";
import { keep, recall } from "./memory.js";
import { onSubmit, say } from "./notice.js";
import { Session } from "./session.js";
import { Sheet } from "./sheet.js";

const KEPT_AS = "generation";
const MAX_SHEETS = 4;

/** @param {HTMLElement} panel @param {import("./models.js").Models} models */
export function startGeneration(panel, models) {
  const desk = new Desk(panel, models);
  onSubmit(panel, () => desk.begin());
  return { resume: () => desk.resume() };
}

/** All sheets, and the sampling settings of their texts. */
class Desk {
  #panel;
  #field;
  #place;
  sheets = [];

  constructor(panel, models) {
    this.#panel = panel;
    this.#field = fieldsOf(panel);
    this.#place = part(panel, "sheets");
    this.models = models;
  }

  /** @returns {object} The form's sampling settings. */
  get sampling() {
    const value = (name) => this.#field(name).value;
    return {
      max_tokens: Number(value("max_tokens")),
      temperature: Number(value("temperature")),
      top_p: Number(value("top_p")),
      ...(value("seed") && { seed: value("seed") }),
    };
  }

  /** Begin a new text on a new session, and end the old ones. */
  async begin() {
    const sheet = new Sheet(this, await Session.open(this.#field("model").value), "");
    try {
      await sheet.read(this.#field("prompt").value);
    } catch (error) {
      sheet.session.end().catch(() => {}); // it expires by itself
      throw error;
    }
    const old = this.sheets;
    this.sheets = [];
    this.add(sheet);
    for (const each of old) each.session.end().catch(() => {}); // they expire by themselves
    await sheet.write();
  }

  add(sheet) {
    this.sheets.push(sheet);
    this.save();
    this.#show();
  }

  remove(sheet) {
    this.sheets = this.sheets.filter((other) => other !== sheet);
    this.save();
    this.#show();
  }

  get isFull() {
    return this.sheets.length >= MAX_SHEETS;
  }

  save() {
    keep(KEPT_AS, this.sheets.length ? this.sheets.map((sheet) => sheet.kept) : null);
  }

  /** Restore the sheets that this browser has kept. */
  async resume() {
    const kept = recall(KEPT_AS) ?? [];
    this.sheets = kept.map((each) => Sheet.of(this, each));
    this.#show();
    const back = await Promise.all(this.sheets.map((sheet) => sheet.resume()));
    if (back.some(Boolean)) say(part(this.#panel, "notice"), "Welcome back: these sessions go on where they were.");
  }

  #show() {
    this.#place.replaceChildren(...this.sheets.map((sheet) => sheet.place));
    for (const sheet of this.sheets) sheet.show();
  }
}
