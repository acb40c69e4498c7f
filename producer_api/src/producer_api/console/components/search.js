/** A search field: `/` goes there, and a search begins when typing pauses. */
import { useEffect, useRef } from "../vendor/ui.js";
import { tags } from "../tags.js";
import { icon } from "./icon.js";

const { div, input, kbd } = tags;

const PAUSE_MS = 300;

/** @param {{ label: string, placeholder: string, value: string, search: (text: string) => void }} props */
export function Search({ label, placeholder, value, search }) {
  const field = useRef(/** @type {HTMLInputElement | null} */ (null));
  const timer = useRef(0);
  useEffect(() => {
    // The filter may be changed elsewhere; what is being typed stays.
    if (field.current && field.current !== document.activeElement) field.current.value = value;
  }, [value]);
  const change = (/** @type {any} */ event) => {
    clearTimeout(timer.current);
    timer.current = window.setTimeout(() => search(event.target.value.trim()), PAUSE_MS);
  };
  return div({ class: "search" }, icon("search"), input({ ref: field, class: "input", type: "search", dir: "auto", "aria-label": label, placeholder, defaultValue: value, onInput: change }), kbd({ "aria-hidden": "true" }, "/"));
}
