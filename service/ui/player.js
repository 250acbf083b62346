/** Plays notes with the browser's own synthesis: a soft tone that fades like a plucked string. */
const AHEAD_SECONDS = 0.1;
const ATTACK_SECONDS = 0.012;
const RELEASE_SECONDS = 0.18;
const FADE_MS = 250;
const LOUDNESS = 0.16;

export class Player {
  #context = null;
  #out = null;
  #frame = 0;

  /** @type {(beat: number|null) => void} Called with the current position, and with null at the end. */
  onMove = () => {};

  /** @type {(isPlaying: boolean) => void} */
  onState = () => {};

  /** @param {{notes: object[], tempo: number}} piece Played, unless something plays already, which is stopped instead. */
  toggle(piece) {
    if (this.#out) this.stop();
    else this.#play(piece);
  }

  /** Stop playing. */
  stop() {
    if (!this.#out) return;
    const out = this.#out;
    out.gain.setTargetAtTime(0, this.#context.currentTime, 0.02);
    setTimeout(() => out.disconnect(), FADE_MS); // so that notes still to come are not computed
    this.#out = null;
    cancelAnimationFrame(this.#frame);
    this.onMove(null);
    this.onState(false);
  }

  async #play({ notes, tempo }) {
    this.#context ??= new AudioContext();
    const out = this.#bus();
    this.#out = out;
    this.onState(true);
    await this.#context.resume();
    if (out !== this.#out) return; // stopped meanwhile
    const beat = 60 / tempo;
    const start = this.#context.currentTime + AHEAD_SECONDS;
    for (const { pitch, start: at, duration } of notes) this.#sound(pitch, start + at * beat, duration * beat);
    const end = Math.max(0, ...notes.map((note) => note.start + note.duration));
    this.#follow(start, beat, end);
  }

  #bus() {
    const gain = this.#context.createGain();
    gain.connect(this.#context.createDynamicsCompressor()).connect(this.#context.destination);
    return gain;
  }

  #sound(pitch, at, seconds) {
    const envelope = this.#context.createGain();
    const end = at + seconds;
    envelope.gain.setValueAtTime(0, at);
    envelope.gain.linearRampToValueAtTime(LOUDNESS, at + ATTACK_SECONDS);
    envelope.gain.exponentialRampToValueAtTime(LOUDNESS / 3, Math.max(end, at + 2 * ATTACK_SECONDS));
    envelope.gain.exponentialRampToValueAtTime(0.0001, end + RELEASE_SECONDS);
    envelope.connect(this.#out);
    for (const [multiple, share] of [[1, 1], [2, 0.3], [3, 0.12]]) this.#partial(pitch, multiple, share, at, end, envelope);
  }

  #partial(pitch, multiple, share, at, end, into) {
    const level = this.#context.createGain();
    level.gain.value = share;
    const tone = this.#context.createOscillator();
    tone.frequency.value = 440 * 2 ** ((pitch - 69) / 12) * multiple;
    tone.connect(level).connect(into);
    tone.start(at);
    tone.stop(end + RELEASE_SECONDS);
  }

  #follow(start, beat, end) {
    const tick = () => {
      const now = (this.#context.currentTime - start) / beat;
      if (now > end + 0.5) return this.stop();
      this.onMove(Math.max(0, Math.min(now, end)));
      this.#frame = requestAnimationFrame(tick);
    };
    tick();
  }
}
