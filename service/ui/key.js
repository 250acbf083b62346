/** The API key: in this tab only, and never in an address. What is kept with it is kept under its id, for it alone. */
import { ofTab } from "./storage.js";

const KEPT_AS = "unrolled.key";

/** @returns {string} The key, "" where none was given. */
export const key = () => ofTab.get(KEPT_AS) ?? "";

/** @returns {string} The public part of the key, by which the service knows it; "" where there is none. */
export const keyId = () => key().split("_")[1] ?? "";

/** @returns {Object<string, string>} The header that shows the key. */
export const authorization = () => (key() ? { Authorization: `Bearer ${key()}` } : {});

/** @returns {string[]} The subprotocols that show the key: a browser cannot set a WebSocket's headers. */
export const subprotocols = () => (key() ? ["unrolled", `bearer.${key()}`] : ["unrolled"]);

/**
 * Ask for a key whenever the service has refused for want of one.
 * @param {HTMLFormElement} form
 * @param {EventTarget} service Tells of refusals.
 * @param {() => void} onKey
 */
export function askForKey(form, service, onKey) {
  const field = form.elements.namedItem("key");
  service.addEventListener("unauthenticated", () => {
    form.hidden = false;
  });
  field.addEventListener("input", () => field.setCustomValidity(""));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const given = field.value.trim();
    if (!/^[\w.~-]+$/.test(given)) {
      field.setCustomValidity("A key begins with unr_ and has letters, digits, - and _ only.");
      field.reportValidity();
      return;
    }
    const isOther = key() && key() !== given;
    ofTab.put(KEPT_AS, given);
    if (isOther) return location.reload(); // nothing of the former key's stays on the page
    field.value = "";
    form.hidden = true;
    onKey();
  });
}

/**
 * Offer to leave: the key is forgotten, and all that this browser kept with it.
 * @param {HTMLElement} place
 * @param {() => void} forget
 */
export function offerToLeave(place, forget) {
  place.hidden = !key();
  place.querySelector("button").onclick = () => {
    forget();
    ofTab.drop(KEPT_AS);
    location.reload();
  };
}
