/** Why this customer, and what would change it? Everything is computed from the card's terms, exactly. */
import { h, useMemo, useState } from "../vendor/ui.js";
import { get } from "../api.js";
import { Waterfall } from "../charts/waterfall.js";
import { Risk } from "../components/badges.js";
import { Button } from "../components/button.js";
import { Dialog } from "../components/dialog.js";
import { Note, Problem, Skeleton } from "../components/feedback.js";
import { useData } from "../components/loading.js";
import { explain } from "../explain.js";
import { figure, money, probability as readable } from "../format.js";
import { tags } from "../tags.js";

const { dd, div, dl, dt, h3, input, label, li, option, p, section, select, span, strong, ul } = tags;

const SHOWN = 9;

/** @param {{ prediction: any, path: string, row: string, currency: string | null, close: () => void }} props */
export function Customer({ prediction, path, row, currency, close }) {
  const found = useData((signal) => get(`${path}/rows/${encodeURIComponent(row)}`, {}, signal), [path, row]);
  const model = useData((signal) => get(`/v1/models/${encodeURIComponent(prediction.model)}`, {}, signal), [prediction.model]);
  const customer = found.data;
  const error = found.error ?? model.error;
  return h(
    Dialog,
    { drawer: true, title: customer?.customer_id ?? "Customer", subtitle: customer ? `Row ${row} of the file` : "", close },
    error ? h(Problem, { error, retry: () => (found.reload(), model.reload()) }) : null,
    !error && (!customer || !model.data) ? h(Skeleton, { lines: 12 }) : null,
    customer && model.data && h(Explained, { customer, card: model.data, currency }),
  );
}

/** @param {{ customer: any, card: any, currency: string | null }} props */
function Explained({ customer, card, currency }) {
  const features = useMemo(() => new Map(card.features.map((/** @type {any} */ feature) => [feature.name, feature])), [card]);
  const named = (/** @type {string} */ name) => features.get(name)?.label ?? name;
  const shown = (/** @type {string} */ name, /** @type {any} */ value) => (value === null || value === undefined || value === "" ? "not known" : typeof value === "number" ? `${figure(value)}${features.get(name)?.unit ? ` ${features.get(name).unit}` : ""}` : String(value));
  const { contributions, intercept } = useMemo(() => explain(card, customer.values), [card, customer]);
  const ordered = contributions.toSorted((one, other) => Math.abs(other.effect) - Math.abs(one.effect)).map(({ feature, effect }) => ({ feature, effect, label: named(feature), value: shown(feature, customer.values[feature]) }));
  const rest = ordered.slice(SHOWN);
  const drawn = rest.length > 1 ? [...ordered.slice(0, SHOWN), { feature: "rest", label: "All others", value: `${rest.length} features`, effect: rest.reduce((sum, { effect }) => sum + effect, 0) }] : ordered;
  return [
    section(
      { class: "row spread", style: { "--gap": "1.5rem" } },
      div({ class: "stack", style: { "--gap": "0.25rem" } }, span({ class: "soft small" }, "Churn probability"), h(Risk, { probability: customer.churn_probability, level: customer.risk_level })),
      customer.value_at_risk !== null && customer.value_at_risk !== undefined && div({ class: "stack", style: { "--gap": "0.25rem" } }, span({ class: "soft small" }, "Value at risk"), strong({ class: "number" }, `${money(customer.value_at_risk, currency)} of ${money(customer.customer_value, currency)}`)),
      customer.inputs_known < 0.9 && div({ class: "stack", style: { "--gap": "0.25rem" } }, span({ class: "soft small" }, "Known of what matters"), strong(`${Math.round(customer.inputs_known * 100)} %`)),
    ),
    customer.already_left && h(Note, { kind: "warn" }, p("The file says that this customer has left already.")),
    section({ class: "stack" }, h3("Why"), ul({ class: "stack", style: { "--gap": "0.375rem" } }, ...(customer.sentences ?? customer.reasons ?? []).slice(0, 5).map((/** @type {any} */ one) => h(Sentence, { one })))),
    section({ class: "stack" }, h3("How the score comes about"), h(Waterfall, { intercept, contributions: drawn })),
    h(WhatIf, { customer, card, named }),
    section({ class: "stack" }, h3("All values"), dl({ class: "facts" }, ...card.features.flatMap((/** @type {any} */ feature) => [dt(feature.label), dd(shown(feature.name, customer.values[feature.name]))]))),
  ];
}

/** @param {{ one: any }} props */
function Sentence({ one }) {
  const text = typeof one === "string" ? one : one.text;
  const kind = typeof one === "string" ? "plain" : one.effect >= 0 ? "raises" : "lowers";
  return li({ class: "stack", style: { "--gap": "0.125rem" } }, span({ class: `chip ${kind}`, style: { width: "fit-content" } }, text), one.action && one.effect > 0 && span({ class: "soft small", style: { paddingInlineStart: "0.625rem" } }, one.action));
}

/** @param {{ customer: any, card: any, named: (feature: string) => string }} props */
function WhatIf({ customer, card, named }) {
  const [changes, setChanges] = useState(/** @type {Record<string, any>} */ ({}));
  const changeable = card.features.filter((/** @type {any} */ feature) => feature.changeable);
  const before = explain(card, customer.values).probability;
  const after = explain(card, { ...customer.values, ...changes }).probability;
  const changed = Object.keys(changes);
  if (!changeable.length) return null;
  const set = (/** @type {string} */ name, /** @type {any} */ value) => {
    const next = { ...changes, [name]: value };
    if (value === customer.values[name]) delete next[name];
    setChanges(next);
  };
  const what = changed.map((name) => `${named(name).toLowerCase()} ${changes[name] ?? "not known"}`).join(" and ");
  return section(
    { class: "stack" },
    h3("What if?"),
    div({ class: "grid", style: { "--column": "14rem", "--gap": "0.75rem" } }, ...changeable.map((/** @type {any} */ feature) => h(Change, { key: feature.name, feature, value: feature.name in changes ? changes[feature.name] : customer.values[feature.name], set: (value) => set(feature.name, value) }))),
    div(
      { class: "note", role: "status" },
      changed.length ? p("Customers like this one with ", strong(what), " score ", strong(readable(after)), `, instead of ${readable(before)}. It is what the model has seen in others, not a promise for this one.`) : p({ class: "soft" }, "Change a value to see how customers like this one score with it."),
      changed.length > 0 && h(Button, { label: "Reset", small: true, kind: "quiet", onClick: () => setChanges({}) }),
    ),
  );
}

/** @param {{ feature: any, value: any, set: (value: any) => void }} props */
function Change({ feature, value, set }) {
  if (feature.kind === "numeric") {
    return label({ class: "field" }, span({ class: "label" }, feature.unit ? `${feature.label} (${feature.unit})` : feature.label), input({ class: "input number", type: "number", step: "any", value: value ?? "", onInput: (/** @type {any} */ event) => set(event.target.value === "" ? null : Number(event.target.value)) }));
  }
  return label({ class: "field" }, span({ class: "label" }, feature.label), select({ class: "input", value: value ?? "", onChange: (/** @type {any} */ event) => set(event.target.value || null) }, option({ value: "" }, "Not known"), ...feature.categories.map((/** @type {string} */ name) => option({ value: name }, name)), value && !feature.categories.includes(value) && option({ value }, value)));
}
