/**
 * Who is signed in. The token lives in `sessionStorage`: it ends with the tab, and never stands in a URL.
 */
import { effect, signal } from "./vendor/ui.js";

const KEY = "retainwise.token";

/** @type {import("@preact/signals").Signal<string | null>} */
export const token = signal(read());

/** Why the last session ended, as a code of the API; null while nobody was signed out. @type {import("@preact/signals").Signal<string | null>} */
export const ended = signal(null);

effect(() => {
  try {
    if (token.value) sessionStorage.setItem(KEY, token.value);
    else sessionStorage.removeItem(KEY);
  } catch {
    // Storage may be turned off: the session then ends with the page.
  }
});

function read() {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return null;
  }
}

/** @param {string} value */
export function beginSession(value) {
  ended.value = null;
  token.value = value;
}

/** @param {string | null} code */
export function endSession(code = null) {
  if (token.value) ended.value = code;
  token.value = null;
}
