/** One text: its session, what the session has read and written, and the checkpoint to return to. */
import { element } from "./element.js";
import { attempt, say, showProblem } from "./notice.js";
import { Problem, isEnded, isPassing } from "./service.js";
import { Session } from "./session.js";

const MARK = "here";

export class Sheet {
  #desk;
  #text = "";
  #unsure = "";
  #prompt;
  #mark = null;
  #asked = null;
  #writing = null;
  #parts = {};

  constructor(desk, session, text, prompt = 0) {
    this.#desk = desk;
    this.session = session;
    this.#text = text;
    this.#prompt = prompt;
    this.place = this.#built();
  }

  static of(desk, { session, text, prompt, mark, asked }) {
    const sheet = new Sheet(desk, new Session(session), text, prompt);
    sheet.#mark = mark;
    sheet.#asked = asked;
    return sheet;
  }

  get kept() {
    const { view: session } = this.session;
    return { session, text: this.#text, prompt: this.#prompt, mark: this.#mark, asked: this.#asked };
  }

  /** Read a prompt, and save a checkpoint after it. */
  async read(prompt) {
    if (prompt) await this.session.take({ text: prompt });
    this.#text = prompt;
    this.#prompt = prompt.length;
    await this.#saveMark();
  }

  /** Continue the text. What arrives before the end is not committed, and is dropped if the end does not come. */
  async write(inputs = this.#asked ?? { generate: this.#desk.sampling }) {
    this.#writing = new AbortController();
    this.#asked = inputs;
    this.#desk.save();
    this.show();
    try {
      const onPiece = (piece) => this.#grow(piece);
      const { text, seed } = await this.session.write(inputs, onPiece, this.#writing.signal);
      this.#text += text;
      this.#asked = null;
      say(this.#parts.notice, `Drawn with seed ${seed}.`);
    } catch (error) {
      if (!isPassing(error)) this.#asked = null;
      if (error.name !== "AbortError") throw error;
      await this.#stopped(inputs);
    } finally {
      this.#writing = null;
      this.#unsure = "";
      this.#desk.save();
      this.show();
    }
  }

  /** Say what became of a stopped step: it is not committed, unless it had ended before. */
  async #stopped(inputs) {
    const { step } = await this.session.look();
    if (step === this.session.step) {
      say(this.#parts.notice, "Stopped before its end, so nothing of it was committed. Continue, and the same text comes again.");
      return;
    }
    this.#text += (await this.session.take(inputs)).text;
    say(this.#parts.notice, "It had ended before it could be stopped.");
  }

  /** Whether the service still has the session where this sheet left it. Shows a problem if not. */
  async resume() {
    try {
      const { step } = await this.session.look();
      if (this.#asked && step === this.session.step + 1) await this.write(this.#asked); // its answer is replayed, not written twice
      else if (step !== this.session.step) throw new Problem({ title: "Moved on", status: 409, detail: `This session has gone on elsewhere, to step ${step}.` });
      this.#asked = null;
      return true;
    } catch (error) {
      showProblem(this.#parts.notice, error);
      return false;
    }
  }

  show() {
    const { text, mark, fork, back, go, stop, facts } = this.#parts;
    const cut = this.#mark ?? this.#text.length;
    const inRange = (from, to) => this.#text.slice(from, to);
    text.replaceChildren(
      element("span", { class: "given" }, inRange(0, Math.min(this.#prompt, cut))),
      ...(this.#mark === null ? [] : [inRange(this.#prompt, cut), element("span", { class: "mark", title: "checkpoint" }, "⚑")]),
      inRange(Math.max(cut, this.#mark === null ? this.#prompt : 0), this.#text.length),
      element("ins", {}, this.#unsure),
    );
    text.scrollTop = text.scrollHeight;
    const isWriting = this.#writing !== null;
    for (const button of [mark, go]) button.disabled = isWriting;
    fork.disabled = isWriting || this.#desk.isFull;
    back.disabled = isWriting || this.#mark === null || this.#mark === this.#text.length;
    const [seen, gone] = isWriting ? [stop, go] : [go, stop];
    seen.hidden = false;
    if (document.activeElement === gone) seen.focus({ preventScroll: true });
    gone.hidden = true;
    facts.replaceChildren(
      element("span", { title: this.session.id }, "session ", element("code", {}, this.session.id)),
      ` · ${this.session.model} · step `,
      element("b", { "data-role": "step" }, String(this.session.step)),
      ` · state ${this.#desk.models.stateSize(this.session.model).replace(" ", "\u00a0")}`,
    );
  }

  #grow(piece) {
    this.#unsure += piece;
    this.#parts.text.lastChild.textContent = this.#unsure;
    this.#parts.text.scrollTop = this.#parts.text.scrollHeight;
  }

  async #saveMark() {
    await this.session.save(MARK);
    this.#mark = this.#text.length;
  }

  async #goBack() {
    await this.session.rollBack(MARK);
    this.#text = this.#text.slice(0, this.#mark);
    say(this.#parts.notice, "Rolled back. That is a step too: the number never goes back.");
  }

  /** Write two continuations of one text, side by side. */
  async #fork() {
    const session = await this.session.fork();
    const other = new Sheet(this.#desk, session, this.#text, this.#prompt);
    this.#desk.add(other);
    await other.#saveMark();
    await this.#saveMark();
    await Promise.all([this, other].map((sheet) => sheet.write().catch((error) => showProblem(sheet.#parts.notice, error))));
  }

  async #close() {
    await this.session.end().catch((error) => {
      if (!isEnded(error)) throw error;
    });
    this.#desk.remove(this);
  }

  #built() {
    const notice = element("p", { class: "notice", "aria-live": "polite", "data-role": "notice" });
    const button = (role, label, title, work) => {
      const made = element("button", { type: "button", "data-role": role, title, class: role === "go" ? "primary" : null }, label);
      made.addEventListener("click", () => this.#act(made, notice, work));
      return made;
    };
    this.#parts = {
      notice,
      text: element("pre", { class: "text", tabindex: "0", "aria-label": "The text", "data-role": "text" }),
      facts: element("p", { class: "facts" }),
      go: button("go", "Continue", "Write on from here", () => this.write()),
      stop: element("button", { type: "button", "data-role": "stop", onclick: () => this.#writing?.abort() }, "Stop"),
      fork: button("fork", "Fork", "A second session from this state; both go on", () => this.#fork()),
      mark: button("mark", "Checkpoint here", "Save the state under a name", () => this.#saveMark()),
      back: button("back", "Back to checkpoint", "Return to the saved state", () => this.#goBack()),
      close: button("close", "End", "End the session", () => this.#close()),
    };
    const { text, facts, go, stop, fork, mark, back, close } = this.#parts;
    return element("article", { class: "sheet" }, text, element("div", { class: "buttons" }, go, stop, fork, mark, back, close), facts, notice);
  }

  async #act(button, notice, work) {
    await attempt(button, notice, work);
    this.#desk.save();
    this.show();
  }
}
