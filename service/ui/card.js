/** One text: its session, what the session has read and written, and the checkpoint to return to. */
import { element } from "./element.js";
import { attempt, say, showProblem } from "./notice.js";
import { Problem, isPassing } from "./service.js";
import { Session } from "./session.js";

const CHECKPOINT = "here";

export class TextCard {
  #cards;
  #text = "";
  #uncommitted = "";
  #promptLength;
  #checkpoint = null;
  #pending = null;
  #writing = null;
  #parts = {};

  constructor(cards, session, text, promptLength = 0) {
    this.#cards = cards;
    this.session = session;
    this.#text = text;
    this.#promptLength = promptLength;
    this.element = this.#build();
  }

  static of(cards, { session, text, prompt, mark, asked }) {
    const card = new TextCard(cards, new Session(session), text, prompt);
    card.#checkpoint = mark;
    card.#pending = asked;
    return card;
  }

  get kept() {
    const { view: session } = this.session;
    return { session, text: this.#text, prompt: this.#promptLength, mark: this.#checkpoint, asked: this.#pending };
  }

  /** Read a prompt, and save a checkpoint after it. */
  async read(prompt) {
    if (prompt) await this.session.take({ text: prompt });
    this.#text = prompt;
    this.#promptLength = prompt.length;
    await this.#saveCheckpoint();
  }

  /** Continue the text. What arrives before the end is not committed, and is dropped if the end does not come. */
  async write() {
    if (this.#pending && !this.#pending.generate) await this.#settle();
    const inputs = this.#pending ?? { generate: this.#cards.sampling };
    this.#writing = new AbortController();
    this.#pending = inputs;
    this.#cards.save();
    this.show();
    try {
      const onPiece = (piece) => this.#append(piece);
      const { text, seed } = await this.session.write(inputs, onPiece, this.#writing.signal);
      this.#text += text;
      this.#pending = null;
      say(this.#parts.notice, `Drawn with seed ${seed}.`);
    } catch (error) {
      if (error.name === "AbortError") return await this.#stopped();
      if (!isPassing(error)) this.#pending = null;
      throw error;
    } finally {
      this.#writing = null;
      this.#uncommitted = "";
      this.#cards.save();
      this.show();
    }
  }

  /** Say what became of a stopped step: it is not committed, unless it had ended before. */
  async #stopped() {
    const wasTaken = await this.#settle();
    say(this.#parts.notice, wasTaken
      ? "It had ended before it could be stopped."
      : "Stopped before its end, so nothing of it was committed. Continue, and the same text comes again.");
  }

  /** Whether the service still has the session where this card left it. Shows a problem if not. */
  async resume() {
    try {
      const { step } = await this.session.look();
      if (this.#pending && step === this.session.step + 1) await this.#repeat();
      else if (step !== this.session.step) throw new Problem({ title: "Moved on", status: 409, detail: `This session has gone on elsewhere, to step ${step}.` });
      this.#pending = null;
      this.#cards.save();
      this.show();
      return true;
    } catch (error) {
      showProblem(this.#parts.notice, error);
      return false;
    }
  }

  show() {
    const { text, checkpoint, fork, back, go, stop, facts } = this.#parts;
    const cut = this.#checkpoint ?? this.#text.length;
    const inRange = (from, to) => this.#text.slice(from, to);
    text.replaceChildren(
      element("span", { class: "given" }, inRange(0, Math.min(this.#promptLength, cut))),
      ...(this.#checkpoint === null ? [] : [inRange(this.#promptLength, cut), element("span", { class: "checkpoint", title: "checkpoint" }, "⚑")]),
      inRange(Math.max(cut, this.#checkpoint === null ? this.#promptLength : 0), this.#text.length),
      element("ins", {}, this.#uncommitted),
    );
    text.scrollTop = text.scrollHeight;
    const isWriting = this.#writing !== null;
    for (const button of [checkpoint, go]) button.disabled = isWriting;
    fork.disabled = isWriting || this.#cards.isFull;
    back.disabled = isWriting || this.#checkpoint === null || this.#checkpoint === this.#text.length;
    const [seen, gone] = isWriting ? [stop, go] : [go, stop];
    seen.hidden = false;
    if (document.activeElement === gone) seen.focus({ preventScroll: true });
    gone.hidden = true;
    facts.replaceChildren(
      element("span", { title: this.session.id }, "session ", element("code", {}, this.session.id)),
      ` · ${this.session.model} · step `,
      element("b", { "data-role": "step" }, String(this.session.step)),
      ` · state ${this.#cards.models.stateSize(this.session.model).replace(" ", "\u00a0")}`,
    );
  }

  #append(piece) {
    this.#uncommitted += piece;
    this.#parts.text.lastChild.textContent = this.#uncommitted;
    this.#parts.text.scrollTop = this.#parts.text.scrollHeight;
  }

  async #saveCheckpoint() {
    await this.#settle();
    await this.#change({ checkpoint: CHECKPOINT });
  }

  async #goBack() {
    await this.#settle();
    await this.#change({ rollback: CHECKPOINT });
    say(this.#parts.notice, "Rolled back. That is a step too: the number never goes back.");
  }

  /** Save the checkpoint, or roll back to it. Pending until it is answered. */
  async #change(pending) {
    this.#pending = pending;
    this.#cards.save();
    try {
      if (pending.rollback) {
        await this.session.rollBack(pending.rollback);
        this.#text = this.#text.slice(0, this.#checkpoint);
      } else {
        await this.session.save(pending.checkpoint);
        this.#checkpoint = this.#text.length;
      }
      this.#pending = null;
    } catch (error) {
      if (!isPassing(error)) this.#pending = null;
      throw error;
    }
  }

  /** Learn what became of the pending step before another one. Returns whether the service had taken it. */
  async #settle() {
    if (!this.#pending) return false;
    const { step } = await this.session.look();
    const wasTaken = step !== this.session.step;
    if (wasTaken) await this.#repeat();
    this.#pending = null;
    return wasTaken;
  }

  /** Send the pending step again, which was taken: its answer is replayed. */
  async #repeat() {
    if (!this.#pending.generate) return this.#change(this.#pending);
    const { text, seed } = await this.session.take(this.#pending);
    this.#text += text;
    say(this.#parts.notice, `Drawn with seed ${seed}.`);
  }

  /** Write two continuations of one text, side by side. */
  async #fork() {
    await this.#settle();
    const session = await this.session.fork();
    const other = new TextCard(this.#cards, session, this.#text, this.#promptLength);
    this.#cards.add(other);
    await other.#saveCheckpoint();
    await this.#saveCheckpoint();
    await Promise.all([this, other].map((card) => card.write().catch((error) => showProblem(card.#parts.notice, error))));
  }

  async #close() {
    await this.session.end();
    this.#cards.remove(this);
  }

  #build() {
    const notice = element("p", { class: "notice", "aria-live": "polite", "data-role": "notice" });
    const button = (role, label, title, work) => {
      const made = element("button", { type: "button", "data-role": role, title, class: role === "go" ? "primary" : null }, label);
      made.addEventListener("click", () => this.#act(made, notice, work));
      return made;
    };
    this.#parts = {
      notice,
      text: element("pre", { class: "text", tabindex: "0", role: "group", "aria-label": "The text", "data-role": "text" }),
      facts: element("p", { class: "facts" }),
      go: button("go", "Continue", "Write on from here", () => this.write()),
      stop: element("button", { type: "button", "data-role": "stop", onclick: () => this.#writing?.abort() }, "Stop"),
      fork: button("fork", "Fork", "A second session from this state; both go on", () => this.#fork()),
      checkpoint: button("checkpoint", "Checkpoint here", "Save the state under a name", () => this.#saveCheckpoint()),
      back: button("back", "Back to checkpoint", "Return to the saved state", () => this.#goBack()),
      close: button("close", "End", "End the session", () => this.#close()),
    };
    const { text, facts, go, stop, fork, checkpoint, back, close } = this.#parts;
    return element("article", { class: "card" }, text, element("div", { class: "buttons" }, go, stop, fork, checkpoint, back, close), facts, notice);
  }

  async #act(button, notice, work) {
    await attempt(button, notice, work);
    this.#cards.save();
    this.show();
  }
}
