/**
 * Pages and filters in the URL's fragment: `#/predictions/7f3…/worklist?risk=HIGH`.
 *
 * A fragment is not sent to the server, so no filter appears in its logs.
 */
import { computed, signal } from "./vendor/ui.js";

/** @typedef {{ path: string, parts: string[], query: URLSearchParams }} Location */

const hash = signal(globalThis.location?.hash ?? "");

/** Where the reader is. */
export const location = computed(() => parse(hash.value));

/** @param {string} fragment @returns {Location} */
export function parse(fragment) {
  const [path, query] = fragment.replace(/^#/, "").split(/\?(.*)/s);
  const parts = (path ?? "").split("/").filter(Boolean).map(decode);
  return { path: `/${parts.join("/")}`, parts, query: new URLSearchParams(query ?? "") };
}

/** @param {string} part */
function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/**
 * The address of a page.
 * @param {(string | number)[]} parts
 * @param {Record<string, string | number | null | undefined>} [query] empty values are left out
 */
export function address(parts, query = {}) {
  const kept = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const search = new URLSearchParams(kept.map(([name, value]) => [name, String(value)])).toString();
  return `#/${parts.map((part) => encodeURIComponent(part)).join("/")}${search ? `?${search}` : ""}`;
}

/** Go to a page; Back returns. @param {string} target */
export function go(target) {
  globalThis.location.hash = target.slice(1);
}

/** Change filters in place: Back does not step through each of them. @param {Record<string, string | number | null | undefined>} changes */
export function filter(changes) {
  const { parts, query } = location.peek();
  const target = address(parts, { ...Object.fromEntries(query), ...changes });
  history.replaceState(null, "", target);
  hash.value = target;
}

globalThis.addEventListener?.("hashchange", () => {
  hash.value = globalThis.location.hash;
});
