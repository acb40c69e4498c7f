/** Why this customer, and what would change it? Everything is computed from the card's terms, exactly. */
import { h, useMemo } from "../vendor/ui.js";
import { get } from "../api.js";
import { Waterfall } from "../charts/waterfall.js";
import { Risk } from "../components/badges.js";
import { Dialog } from "../components/dialog.js";
import { Note, Problem, Skeleton } from "../components/feedback.js";
import { icon } from "../components/icon.js";
import { useData } from "../components/loading.js";
import { figure, inSentence, money, number, percent } from "../format.js";
import { tags } from "../tags.js";
import { subject } from "./reason.js";
import { WhatIf } from "./what_if.js";

const { bdi, dd, div, dl, dt, h3, li, p, section, span, strong, ul } = tags;

/** How many features the waterfall has bars of its own for. */
const BARS = 9;
const RAISING = 4;
const LOWERING = 3;

/** @typedef {{ feature: string, label: string, value: number | string | null, effect: number, text: string, action: string | null }} Contribution */

/** @param {{ prediction: any, path: string, row: string, close: () => void }} props */
export function Customer({ prediction, path, row, close }) {
  const found = useData((signal) => get(`${path}/rows/${encodeURIComponent(row)}`, {}, signal), [path, row]);
  const model = useData((signal) => get(`/v1/models/${encodeURIComponent(prediction.model)}`, {}, signal), [prediction.model]);
  const customer = found.data;
  return h(
    Dialog,
    { drawer: true, title: customer ? bdi(customer.customer_id.slice(0, 200)) : "Customer", subtitle: `Row ${row} of the file`, close },
    found.error ? h(Problem, { error: found.error, retry: found.reload }) : null,
    !found.error && !customer ? h(Skeleton, { lines: 12 }) : null,
    customer && h(Figures, { customer, value: prediction.summary.value }),
    customer?.already_left && h(Note, { kind: "warn" }, p("The file says that this customer has left already.")),
    customer && (customer.contributions ? h(Why, { customer }) : h(Reasons, { customer })),
    customer?.contributions && model.data && [h(Explained, { customer, card: model.data }), h(WhatIf, { customer, card: model.data }), h(Values, { customer, card: model.data })],
    customer?.contributions && model.error ? h(Problem, { error: model.error, retry: model.reload }) : null,
  );
}

/** @param {{ customer: any, value: any }} props */
function Figures({ customer, value }) {
  const shown = (/** @type {string} */ name, /** @type {any} */ content) => div({ class: "stack", style: { "--gap": "0.25rem" } }, dt({ class: "soft small" }, name), dd(content));
  return dl(
    { class: "row spread", style: { "--gap": "1rem 1.5rem" } },
    shown("Churn probability", h(Risk, { probability: customer.churn_probability, level: customer.risk_level })),
    customer.value_at_risk !== null && value && shown("Value at risk", [strong({ class: "number" }, money(customer.value_at_risk, value.currency)), span({ class: "soft" }, ` of ${money(customer.customer_value, value.currency)} a ${value.period}`)]),
    customer.inputs_known !== null && customer.inputs_known < 0.995 && shown("Known of what matters", strong(percent(customer.inputs_known))),
  );
}

/** What raises the risk, with what could be done about it, and what keeps the customer. @param {{ customer: any }} props */
function Why({ customer }) {
  const contributions = /** @type {Contribution[]} */ (customer.contributions);
  const raising = contributions.filter(({ effect }) => effect > 0).slice(0, RAISING);
  const lowering = contributions.filter(({ effect }) => effect < 0).slice(0, LOWERING);
  const unknown = contributions.filter(({ effect, value }) => effect === 0 && value === null);
  return section(
    { class: "stack" },
    raising.length > 0 && [h3("What raises the risk"), ul({ class: "reason-list" }, ...raising.map((one) => h(Line, { one })))],
    lowering.length > 0 && [h3("What keeps this customer"), ul({ class: "reason-list" }, ...lowering.map((one) => h(Line, { one })))],
    unknown.length > 0 && p({ class: "soft small" }, `Not in the file, so counted as average: ${unknown.map(({ label }) => inSentence(label)).join(", ")}.`),
  );
}

/** @param {{ one: Contribution }} props */
function Line({ one }) {
  const kind = one.effect > 0 ? "raises" : "lowers";
  return li({ class: kind }, icon(kind === "raises" ? "arrow-up" : "arrow-down"), div({ class: "grow" }, p({ class: "strong" }, bdi(subject(one.text)), span({ class: "unseen" }, ` ${kind} the risk`)), kind === "raises" && one.action && p({ class: "soft small" }, one.action)));
}

/** For a result of an older release, which has the reasons alone. @param {{ customer: any }} props */
function Reasons({ customer }) {
  return section({ class: "stack" }, h3("Why"), ul({ class: "reason-list" }, ...customer.reasons.map((/** @type {Contribution} */ one) => h(Line, { one }))), p({ class: "soft small" }, "This result is of an older release: score the file again to see the whole explanation."));
}

/** @param {{ customer: any, card: any }} props */
function Explained({ customer, card }) {
  const drawn = useMemo(() => {
    const all = customer.contributions.map((/** @type {Contribution} */ { feature, label, value, effect }) => ({ feature, label, effect, value: written(card, feature, value) }));
    const rest = all.slice(BARS);
    if (rest.length < 2) return all;
    return [...all.slice(0, BARS), { feature: "", label: "All others", value: `${number(rest.length)} features`, effect: rest.reduce((/** @type {number} */ sum, /** @type {Contribution} */ { effect }) => sum + effect, 0) }];
  }, [customer, card]);
  return section({ class: "stack" }, h3("How the score comes about"), h(Waterfall, { intercept: customer.intercept, contributions: drawn }));
}

/** @param {{ customer: any, card: any }} props */
function Values({ customer, card }) {
  return section({ class: "stack" }, h3("All values"), dl({ class: "facts" }, ...card.features.flatMap((/** @type {any} */ feature) => [dt(feature.label), dd(bdi(written(card, feature.name, customer.values[feature.name])))])));
}

/** A value with its unit. Money has none: its currency is the file's. @param {any} card @param {string} name @param {number | string | null} value */
function written(card, name, value) {
  if (value === null) return "not known";
  const unit = card.features.find((/** @type {any} */ feature) => feature.name === name)?.unit;
  if (typeof value === "string") return value;
  if (!unit || unit === "currency") return figure(value);
  return `${figure(value)} ${value === 1 ? unit.replace(/s$/, "") : unit}`;
}
