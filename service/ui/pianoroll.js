/** A piano roll: pitch upwards, time to the right, and a line at the current position. */
import { drawing } from "./element.js";

const ROW = 7;
const BEAT = 30;
const LEFT = 34;
const FOOT = 20;
const BLACK = new Set([1, 3, 6, 8, 10]);

/**
 * @param {{notes: {pitch: number, start: number, duration: number}[], frames: number[][], frames_per_beat: number}} piece
 *   Notes with their times in quarter notes.
 * @returns {{svg: SVGElement, moveTo: (beat: number|null) => void}}
 */
export function pianoRoll({ notes, frames, frames_per_beat: perBeat }) {
  const pitches = notes.map(({ pitch }) => pitch);
  const [low, high] = pitches.length ? [Math.min(...pitches) - 2, Math.max(...pitches) + 2] : [58, 74];
  const beats = frames.length / perBeat;
  const height = (high - low + 1) * ROW;
  const width = LEFT + beats * BEAT;
  const y = (pitch) => (high - pitch) * ROW;
  const x = (beat) => LEFT + beat * BEAT;

  const head = drawing("line", { class: "head", x1: LEFT, x2: LEFT, y1: 0, y2: height, visibility: "hidden" });
  const svg = drawing(
    "svg",
    { class: "roll", role: "img", "aria-label": `Piano roll: ${notes.length} notes in ${beats} quarter notes`, width, height: height + FOOT, viewBox: `0 0 ${width} ${height + FOOT}` },
    ...range(low, high).filter((pitch) => BLACK.has(pitch % 12)).map((pitch) => drawing("rect", { class: "black", x: LEFT, y: y(pitch), width: width - LEFT, height: ROW })),
    ...range(low, high).filter((pitch) => pitch % 12 === 0).map((pitch) => drawing("text", { x: 0, y: y(pitch) + ROW }, `C${pitch / 12 - 1}`)),
    ...range(0, beats).map((beat) => drawing("line", { class: beat % 4 ? "beat" : "beat bar", x1: x(beat), x2: x(beat), y1: 0, y2: height })),
    ...range(0, beats - 1).filter((beat) => beat % 4 === 0).map((beat) => drawing("text", { x: x(beat) + 3, y: height + 14 }, beat / 4 + 1)),
    ...notes.map(({ pitch, start, duration }) =>
      drawing("rect", { class: "note", x: x(start) + 1, y: y(pitch), width: Math.max(2, duration * BEAT - 2), height: ROW - 1, rx: 2 }, drawing("title", {}, `${nameOf(pitch)}, ${duration} quarter notes`))),
    head,
  );

  const moveTo = (beat) => {
    head.setAttribute("visibility", beat === null ? "hidden" : "visible");
    if (beat === null) return;
    head.setAttribute("x1", x(beat));
    head.setAttribute("x2", x(beat));
    const scroller = svg.parentElement;
    if (scroller && x(beat) > scroller.scrollLeft + scroller.clientWidth - 40) scroller.scrollLeft = x(beat) - 60;
  };
  return { svg, moveTo };
}

const range = (from, to) => Array.from({ length: Math.max(0, Math.floor(to - from) + 1) }, (_, index) => from + index);
const NAMES = ["C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"];
const nameOf = (pitch) => `${NAMES[pitch % 12]}${Math.floor(pitch / 12) - 1}`;
