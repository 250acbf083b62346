/** The API key, kept for this tab only and never in an address. Whatever else is kept goes under the key's id, for this key alone. */
import { tab } from "./storage.js";

const KEPT_AS = "unrolled.key";

/** @returns {string} The key, "" if none was given. */
export const key = () => tab.get(KEPT_AS) ?? "";

/** @returns {string} The public part of the key, which identifies it to the service; "" if there is none. */
export const keyId = () => key().split("_")[1] ?? "";

/** @returns {Object<string, string>} The header with the key. */
export const authorization = () => (key() ? { Authorization: `Bearer ${key()}` } : {});

/** @returns {string[]} The subprotocols with the key: a browser cannot set a WebSocket's headers. */
export const subprotocols = () => (key() ? ["unrolled", `bearer.${key()}`] : ["unrolled"]);

/**
 * Ask for a key whenever the service has refused a request without a valid one.
 * @param {HTMLFormElement} form
 * @param {EventTarget} service Reports refusals.
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
    tab.set(KEPT_AS, given);
    if (isOther) return location.reload(); // so that nothing of the previous key stays on the page
    field.value = "";
    form.hidden = true;
    onKey();
  });
}

/**
 * Offer to sign out: forget the key, and everything that this browser has kept with it.
 * @param {HTMLElement} place
 * @param {() => void} forget
 */
export function offerToLeave(place, forget) {
  place.hidden = !key();
  place.querySelector("button").onclick = () => {
    forget();
    tab.remove(KEPT_AS);
    location.reload();
  };
}
