/** Notices at the place that they are about: refusals, and news of a session. */
import { element, part } from "./element.js";
import { Problem } from "./service.js";

/**
 * Show why something could not be done.
 * @param {HTMLElement} place
 * @param {Error} error
 */
export function showProblem(place, error) {
  const title = error.title ?? "This page has failed";
  const status = error instanceof Problem ? ` (${error.status})` : "";
  const text = [title + status, error.message].join(" ");
  if (place.classList.contains("problem") && place.textContent === text) return; // else screen readers would read it out again
  place.className = "notice problem";
  place.replaceChildren(element("strong", {}, title + status), " ", element("span", {}, error.message));
}

/**
 * Say something.
 * @param {HTMLElement} place
 * @param {string} [text] Clears the place if left out.
 */
export function say(place, text = "") {
  place.className = "notice";
  place.replaceChildren(text);
}

/**
 * Do something that may be refused, with its button disabled meanwhile.
 * @param {HTMLButtonElement} button
 * @param {HTMLElement} place For a refusal.
 * @param {() => Promise<void>} work
 * @param {HTMLElement} [answer] The previous answer, hidden if this attempt is refused.
 */
export async function attempt(button, place, work, answer) {
  if (button.disabled) return;
  const isFocused = document.activeElement === button; // a disabled button loses the focus
  button.disabled = true;
  button.setAttribute("aria-busy", "true");
  say(place);
  try {
    await work();
  } catch (error) {
    showProblem(place, error);
    if (answer) answer.hidden = true;
  } finally {
    button.disabled = false;
    button.removeAttribute("aria-busy");
    if (isFocused && document.activeElement === document.body) button.focus({ preventScroll: true });
  }
}

/**
 * Attempt something each time that a panel's form is submitted.
 * @param {HTMLElement} panel
 * @param {() => Promise<void>} work
 * @param {string} [answer] The data-role of the previous answer.
 */
export function onSubmit(panel, work, answer) {
  part(panel, "form").addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(part(panel, "go"), part(panel, "notice"), work, answer && part(panel, answer));
  });
}
