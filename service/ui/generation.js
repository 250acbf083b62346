/** Generated texts: sheets on a desk, each with its own session. */
import { part } from "./element.js";
import { keep, recall } from "./memory.js";
import { attempt, say } from "./notice.js";
import { Session } from "./session.js";
import { Sheet } from "./sheet.js";

const KEPT_AS = "generation";
const MAX_SHEETS = 4;

/** @param {HTMLElement} panel @param {import("./models.js").Models} models */
export function startGeneration(panel, models) {
  const desk = new Desk(panel, models);
  const form = part(panel, "form");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(part(panel, "write"), part(panel, "notice"), () => desk.begin());
  });
  return { resume: () => desk.resume() };
}

/** All sheets, and the sampling settings of their texts. */
class Desk {
  #panel;
  #form;
  #place;
  sheets = [];

  constructor(panel, models) {
    this.#panel = panel;
    this.#form = part(panel, "form");
    this.#place = part(panel, "sheets");
    this.models = models;
  }

  /** @returns {object} The form's sampling settings. */
  get sampling() {
    const field = (name) => this.#form.elements.namedItem(name).value;
    return {
      max_tokens: Number(field("max_tokens")),
      temperature: Number(field("temperature")),
      top_p: Number(field("top_p")),
      ...(field("seed") && { seed: field("seed") }),
    };
  }

  /** Begin a new text on a new session, and end the old ones. */
  async begin() {
    const field = (name) => this.#form.elements.namedItem(name).value;
    const sheet = new Sheet(this, await Session.open(field("model")), "");
    try {
      await sheet.read(field("prompt"));
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
