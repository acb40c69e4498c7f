/** What would change the score? Computed from the card's terms, as the model itself does. */
import { h, useState } from "../vendor/ui.js";
import { Button } from "../components/button.js";
import { explain } from "../explain.js";
import { inSentence, probability as readable } from "../format.js";
import { tags } from "../tags.js";

const { bdi, div, h3, input, label, option, p, section, select, span, strong } = tags;

/** @typedef {number | string | null} Value */

/** @param {{ customer: any, card: any }} props */
export function WhatIf({ customer, card }) {
  const [changes, setChanges] = useState(/** @type {Record<string, Value>} */ ({}));
  const changeable = card.features.filter((/** @type {any} */ feature) => feature.changeable);
  if (!changeable.length) return null;
  const before = explain(card, customer.values).probability;
  const after = explain(card, { ...customer.values, ...changes }).probability;
  const changed = changeable.filter((/** @type {any} */ feature) => feature.name in changes);
  const set = (/** @type {string} */ name, /** @type {Value} */ value) => {
    const { [name]: _, ...others } = changes;
    setChanges(value === customer.values[name] ? others : { ...others, [name]: value });
  };
  return section(
    { class: "stack" },
    h3("What if?"),
    div(
      { class: "what-if", role: "status" },
      changed.length
        ? [
            div({ class: "row spread" }, p("Customers like this one with ", ...changed.flatMap((/** @type {any} */ feature, /** @type {number} */ index) => [index ? " and " : "", strong(bdi(wording(feature, changes[feature.name] ?? null)))]), " score ", strong({ class: "number" }, readable(after)), ` instead of ${readable(before)}.`), h(Button, { label: "Reset", icon: "rotate-cw", small: true, kind: "quiet", onClick: () => setChanges({}) })),
            p({ class: "soft small" }, "It is what the model has seen in others, not a promise for this one."),
          ]
        : p({ class: "soft" }, "Change a value to see how customers like this one score with it."),
    ),
    div({ class: "grid", style: { "--column": "14rem", "--gap": "0.75rem" } }, ...changeable.map((/** @type {any} */ feature) => h(Change, { key: feature.name, feature, value: feature.name in changes ? /** @type {Value} */ (changes[feature.name]) : customer.values[feature.name], set: (value) => set(feature.name, value) }))),
  );
}

/** "contract One year", "monthly charge 70". @param {any} feature @param {Value} value */
const wording = (feature, value) => `${inSentence(feature.label)} ${value === null ? "not known" : value}`;

/** @param {{ feature: any, value: Value, set: (value: Value) => void }} props */
function Change({ feature, value, set }) {
  const unit = feature.unit && feature.unit !== "currency" ? ` (${feature.unit})` : "";
  const name = span({ class: "label" }, `${feature.label}${unit}`);
  if (feature.kind === "numeric") {
    const change = (/** @type {any} */ event) => set(event.target.value === "" ? null : Number(event.target.value));
    return label({ class: "field" }, name, input({ class: "input number", type: "number", step: "any", min: feature.valid_min, max: feature.valid_max, value: value ?? "", onInput: change }));
  }
  const isUnknown = typeof value === "string" && !feature.categories.includes(value);
  return label(
    { class: "field" },
    name,
    select(
      { class: "input", value: value ?? "", onChange: (/** @type {any} */ event) => set(event.target.value || null) },
      option({ value: "" }, "Not known"),
      ...feature.categories.map((/** @type {string} */ category) => option({ value: category }, category)),
      isUnknown && option({ value }, String(value).slice(0, 100)),
    ),
  );
}
