/** Generated texts: cards, each with its own session. */
import { TextCard } from "./card.js";
import { fieldsOf, part } from "./element.js";
import { keep, recall } from "./memory.js";
import { onSubmit, say } from "./notice.js";
import { Session } from "./session.js";

const KEPT_AS = "generation";
const MAX_CARDS = 4;

/** @param {HTMLElement} panel @param {import("./models.js").Models} models */
export function startGeneration(panel, models) {
  const cards = new TextCards(panel, models);
  const model = fieldsOf(panel)("model");
  const showCharacters = () => {
    const known = models.characters(model.value);
    part(panel, "characters").textContent = known && `The model knows these characters only: ${known}`;
  };
  model.addEventListener("change", showCharacters);
  onSubmit(panel, () => cards.begin());
  return {
    resume() {
      showCharacters();
      return cards.resume();
    },
  };
}

/** All cards, and the sampling settings of their texts. */
class TextCards {
  #panel;
  #field;
  #place;
  cards = [];

  constructor(panel, models) {
    this.#panel = panel;
    this.#field = fieldsOf(panel);
    this.#place = part(panel, "cards");
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
    const card = new TextCard(this, await Session.open(this.#field("model").value), "");
    try {
      await card.read(this.#field("prompt").value);
    } catch (error) {
      card.session.leave();
      throw error;
    }
    const old = this.cards;
    this.cards = [];
    this.add(card);
    for (const each of old) each.session.leave();
    await card.write();
  }

  add(card) {
    this.cards.push(card);
    this.save();
    this.#show();
  }

  remove(card) {
    this.cards = this.cards.filter((other) => other !== card);
    this.save();
    this.#show();
  }

  get isFull() {
    return this.cards.length >= MAX_CARDS;
  }

  save() {
    keep(KEPT_AS, this.cards.length ? this.cards.map((card) => card.kept) : null);
  }

  /** Restore the cards that this browser has kept. */
  async resume() {
    const kept = recall(KEPT_AS) ?? [];
    this.cards = kept.map((each) => TextCard.of(this, each));
    this.#show();
    const back = await Promise.all(this.cards.map((card) => card.resume()));
    if (back.some(Boolean)) say(part(this.#panel, "notice"), "Welcome back: these sessions go on where they were.");
  }

  #show() {
    this.#place.replaceChildren(...this.cards.map((card) => card.element));
    for (const card of this.cards) card.show();
  }
}
