import { tags } from "../tags.js";
import { icon } from "./icon.js";

const { a, button, span } = tags;

/**
 * @typedef {object} ButtonProps
 * @property {string} label always there for screen readers
 * @property {string} [icon]
 * @property {boolean} [iconOnly]
 * @property {"primary" | "danger" | "quiet" | "primary danger"} [kind]
 * @property {boolean} [small]
 * @property {boolean} [busy] shows that the work is under way; the button cannot be pressed meanwhile
 * @property {boolean} [disabled]
 * @property {string} [href] a link that looks like a button
 * @property {(event: any) => void} [onClick]
 * @property {Record<string, unknown>} [more] further attributes
 */

/** @param {ButtonProps} props */
export function Button({ label, icon: name, iconOnly, kind, small, busy, disabled, href, onClick, more = {} }) {
  const shape = ["button", kind, small && "small", iconOnly && "icon-only"].filter(Boolean).join(" ");
  const content = [
    busy ? icon("loader-circle", "spin") : name && icon(name),
    iconOnly ? null : span(label),
  ];
  const common = { class: shape, "aria-label": iconOnly ? label : undefined, title: iconOnly ? label : undefined, onClick, ...more };
  if (href) return a({ ...common, href }, ...content);
  return button({ type: "button", ...common, disabled: disabled || busy, "aria-busy": busy ? "true" : undefined }, ...content);
}
