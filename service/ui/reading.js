/**
 * A text that a session reads while it is written: each keystroke is a step, and only what is new is sent.
 *
 * A network cannot unread. When characters are deleted, the session is rolled back to its start, a checkpoint, and
 * reads the rest again. Any cut of a text gives the same bits, so it is then as if it had never read anything else.
 */
import { part } from "./element.js";
import { Judgement } from "./judgement.js";
import { keep, recall } from "./memory.js";
import { say, showProblem } from "./notice.js";
import { Problem, isPassing } from "./service.js";
import { Session } from "./session.js";
import { Stream } from "./stream.js";

const MODEL = "sentiment";
const START = "start";
const RETRY_MS = 1000;
const MAX_CELLS = 120;
const SESSION_LOST = new Set([404, 409, 410, 412]);

export class Reading {
  #box;
  #notice;
  #judgement;
  #stream = new Stream();
  #opening = null;
  #session = null;
  #state = initialState();
  #isBusy = false;
  #refused = null;
  #retry = 0;

  /** @param {HTMLElement} panel @param {import("./models.js").Models} models */
  constructor(panel, models) {
    this.#box = part(panel, "text");
    this.#notice = part(panel, "notice");
    this.#judgement = new Judgement(panel, () => models.stateSize(MODEL));
  }

  /** Resume this browser's session, if there is one. */
  async resume() {
    const kept = recall(MODEL);
    this.#refused = null;
    if (!kept) {
      this.#show();
      return this.follow();
    }
    this.#session = new Session(kept.session);
    this.#state = { ...initialState(), ...kept };
    this.#box.value = kept.wanted;
    this.#show();
    try {
      const { step } = await this.#session.look();
      const isOwn = step === this.#session.step || (kept.asked && step === this.#session.step + 1);
      if (!isOwn) this.#abandon(`This session has gone on elsewhere, to step ${step}.`);
      else say(this.#notice, `Welcome back: the same session goes on at step ${step}.`);
    } catch (error) {
      if (isSessionLost(error)) this.#abandon(`${error.title}: ${error.message}.`);
      else if (!isPassing(error)) return showProblem(this.#notice, error);
    }
    this.follow();
  }

  /** End the session, and begin another that has read nothing. */
  startAnew() {
    const old = this.#session;
    this.#box.value = "";
    this.#forget();
    say(this.#notice);
    this.#show();
    old?.leave();
  }

  /** Let the session read until it has read everything in the box. */
  async follow() {
    if (this.#isBusy) return;
    this.#isBusy = true;
    clearTimeout(this.#retry);
    while (this.#isBehind) {
      const session = this.#session;
      try {
        await this.#next();
      } catch (error) {
        if (session !== this.#session) continue; // another session has replaced it
        if (this.#fail(error)) break;
      }
    }
    this.#isBusy = false;
  }

  /** The text in the box, without halves of characters, which a script may leave there. */
  get #text() {
    return this.#box.value.toWellFormed();
  }

  get #isBehind() {
    const { read, asked: pending } = this.#state;
    return this.#text !== this.#refused && (pending !== null || this.#text !== read);
  }

  /** Whether to stop for now: a refused text is not sent again, and an unanswered one only after a pause. */
  #fail(error) {
    if (isPassing(error)) {
      showProblem(this.#notice, error);
      this.#retry = setTimeout(() => this.follow(), RETRY_MS);
      return true;
    }
    this.#opening = null;
    const { wanted } = this.#state;
    const isOver = isSessionLost(error);
    const hasRead = this.#session?.step > 1; // else a new session would end the same way
    if (isOver) this.#abandon(`${error.title}: ${error.message}.`);
    if (isOver && hasRead) return false;
    this.#refused = wanted;
    this.#state.asked = null;
    showProblem(this.#notice, error);
    return !this.#isBehind;
  }

  async #next() {
    const wanted = this.#text;
    this.#state.wanted = wanted;
    if (!this.#session) return this.#open();
    if (this.#state.asked) return this.#take(this.#state.asked); // its answer was lost; sent again, it counts once
    const isLonger = wanted.startsWith(this.#state.read);
    return this.#take(isLonger ? { text: wanted.slice(this.#state.read.length) } : { rollback: START });
  }

  async #open() {
    const session = (this.#opening ??= await Session.open(MODEL)); // until its checkpoint is saved
    await session.save(START);
    this.#opening = null;
    this.#session = session;
    this.#state.cells = [{ step: 0, read: "⚑", share: null }];
    this.#remember();
  }

  async #take(pending) {
    const session = this.#session;
    const { step } = session;
    this.#state.asked = pending;
    this.#remember();
    const outputs = pending.rollback ? await session.rollBack(pending.rollback) : await session.takeOn(this.#stream, pending);
    if (session !== this.#session) return; // another session was begun meanwhile
    if (pending.rollback) {
      this.#note(step, "↩", null);
      this.#state.read = "";
    } else {
      this.#judge(step, pending.text, outputs.probabilities.positive ?? null);
    }
    this.#state.asked = null;
    this.#refused = null;
    if (this.#notice.classList.contains("problem")) say(this.#notice);
    this.#remember();
    this.#show();
  }

  #judge(step, text, share) {
    const state = this.#state;
    state.read += text;
    const still = common(state.read, state.judged);
    const before = state.points.filter(([length]) => length <= still && length < state.read.length);
    state.points = [...before, [state.read.length, share]];
    state.judged = state.read;
    this.#note(step, text, share);
  }

  #note(step, read, share) {
    this.#state.cells = [...this.#state.cells, { step, read, share }].slice(-MAX_CELLS);
  }

  #abandon(why) {
    this.#forget();
    say(this.#notice, `${why} A new session reads the text from its beginning.`);
  }

  #forget() {
    this.#opening = null;
    this.#session = null;
    this.#state = initialState();
    this.#refused = null;
    keep(MODEL, null);
  }

  #remember() {
    keep(MODEL, { ...this.#state, session: this.#session.view });
  }

  #show() {
    const { read, points, cells } = this.#state;
    this.#judgement.show(read ? points : [], cells, this.#session, this.#stream.transport);
  }
}

const isSessionLost = (error) => error instanceof Problem && SESSION_LOST.has(error.status);

/** `points` are the judgements of the text `judged`, by characters read; `asked` is the pending step. Browsers have kept these names. */
const initialState = () => ({ read: "", wanted: "", judged: "", points: [], cells: [], asked: null });

/** The length of the common prefix of two texts. */
function common(one, other) {
  let length = 0;
  while (length < one.length && one[length] === other[length]) length++;
  return length;
}
