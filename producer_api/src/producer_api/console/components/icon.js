import { h } from "../vendor/ui.js";
import { SHAPES } from "../vendor/icons.js";

/** A Lucide icon. It is decoration: what it means stands in text beside it or in its button's label. @param {{ name: string, class?: string }} props */
export function Icon({ name, class: extra = "" }) {
  return h(
    "svg",
    { class: `icon ${extra}`, viewBox: "0 0 24 24", "aria-hidden": "true" },
    (SHAPES[name] ?? []).map(([tag, attributes]) => h(tag, attributes)),
  );
}

/** @param {string} name @param {string} [extra] */
export const icon = (name, extra) => h(Icon, { name, class: extra });
