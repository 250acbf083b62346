/** Sentiment as you type: a box that a session reads while it changes, and an example that types itself. */
import { part } from "./element.js";
import { Reading } from "./reading.js";

const KEY_MS = 45;
const EXAMPLE =
  "At first this looked like a dull, lifeless mess. But then the story finds its heart, the actors are wonderful, " +
  "and I left the cinema happy.";

/** @param {HTMLElement} panel @param {import("./models.js").Models} models */
export function startSentiment(panel, models) {
  const reading = new Reading(panel, models);
  const box = part(panel, "text");
  let typist = 0;
  const stopTyping = () => clearInterval(typist);

  box.addEventListener("input", (event) => {
    stopTyping();
    if (!event.isComposing) reading.follow();
  });
  box.addEventListener("compositionend", () => reading.follow());
  part(panel, "example").addEventListener("click", () => {
    stopTyping();
    box.value = "";
    reading.follow();
    let length = 0;
    typist = setInterval(() => {
      box.value = EXAMPLE.slice(0, ++length);
      reading.follow();
      if (length === EXAMPLE.length) stopTyping();
    }, KEY_MS);
  });
  part(panel, "again").addEventListener("click", () => {
    stopTyping();
    reading.startAnew();
  });
  return { resume: () => reading.resume() };
}
