/** Music: composed by the service, drawn as a piano roll, played by the browser, saved as MIDI. */
import { element, fieldsOf, part } from "./element.js";
import { attempt, onSubmit, say } from "./notice.js";
import { pianoRoll } from "./pianoroll.js";
import { Player } from "./player.js";
import { askQuestion } from "./service.js";

const FIRST_NOTES = {
  chorales: "C3 G3 E4 C5",
  folk: "D4",
};

/** @param {HTMLElement} panel */
export function startMusic(panel) {
  const field = fieldsOf(panel);
  const player = new Player();
  let piece = null;

  const compose = async (notes) => {
    player.stop();
    const seed = field("seed").value;
    piece = await askQuestion("compose", {
      ...(notes.length && { notes }),
      bars: Number(field("bars").value),
      tempo: Number(field("tempo").value),
      temperature: Number(field("temperature").value),
      model: field("model").value,
      ...(seed && { seed }),
    });
    show(panel, piece, player);
  };

  field("model").addEventListener("change", () => {
    if (Object.values(FIRST_NOTES).includes(field("notes").value)) field("notes").value = FIRST_NOTES[field("model").value];
  });
  onSubmit(panel, () => compose(chordsOf(field("notes").value)), "piece");
  part(panel, "on").addEventListener("click", (event) =>
    attempt(event.currentTarget, part(panel, "notice"), () => compose(piece.frames)));
  part(panel, "play").addEventListener("click", () => player.toggle(piece));
}

function show(panel, piece, player) {
  player.stop(); // the previous piece, which may have been started again meanwhile
  const { svg, moveTo } = pianoRoll(piece);
  part(panel, "roll").replaceChildren(element("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Piano roll" }, svg));
  part(panel, "piece").hidden = false;
  player.onMove = moveTo;
  player.onState = (isPlaying) => {
    part(panel, "play").textContent = isPlaying ? "Stop" : "Play";
  };
  offerFile(part(panel, "midi"), piece);
  const seconds = Math.round((lengthOf(piece) * 60) / piece.tempo);
  say(part(panel, "summary"), `${piece.notes.length} notes, ${seconds} seconds at ${piece.tempo} quarter notes a minute; seed ${piece.seed}.`);
}

function offerFile(link, { midi, bundle, seed }) {
  URL.revokeObjectURL(link.href);
  const bytes = Uint8Array.from(atob(midi), (character) => character.charCodeAt(0));
  link.href = URL.createObjectURL(new Blob([bytes], { type: "audio/midi" }));
  link.download = `${bundle.split(":")[0]}-${seed}.mid`;
}

const lengthOf = ({ frames, frames_per_beat }) => frames.length / frames_per_beat;

/** "C3 G3 E4, F3 A3": blanks separate the notes of a chord, commas separate chords. */
function chordsOf(text) {
  const chords = text.split(/[,;|\n]+/).map((chord) => chord.trim().split(/\s+/).filter(Boolean).map(note));
  return chords.filter((chord) => chord.length);
}

const note = (name) => (/^\d+$/.test(name) ? Number(name) : name[0].toUpperCase() + name.slice(1));
