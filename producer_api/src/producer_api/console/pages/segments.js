/** Where is the risk? The customers at risk by what raises it. */
import { h } from "../vendor/ui.js";
import { Card } from "../components/card.js";
import { Skeleton } from "../components/feedback.js";
import { money, number, percent, plural } from "../format.js";
import { address } from "../router.js";
import { tags } from "../tags.js";
import { MEDIUM_FROM } from "./levels.js";
import { subject } from "./reason.js";

const { a, div, span, table, tbody, td, th, thead, tr } = tags;

const SHOWN = 8;

/** @typedef {{ name: string, feature: string, customers: number, leavers: number, value: number }} Segment */

/** @param {{ prediction: any, rows: import("./overview.js").Row[] | null }} props */
export function Segments({ prediction, rows }) {
  const { summary, prediction_id: id } = prediction;
  const risky = (rows ?? []).filter((row) => row.churn_probability >= MEDIUM_FROM);
  const segments = bySegment(risky).slice(0, SHOWN);
  const most = Math.max(1, ...segments.map(({ customers }) => customers));
  const all = summary.risk_distribution.medium + summary.risk_distribution.high;
  const whom = risky.length < all ? `the ${plural(risky.length, "customer")} with the highest risk` : `the ${plural(risky.length, "customer")} at medium or high risk`;
  if (rows && !segments.length) return null;
  return h(Card, {
    title: "Where the risk is",
    note: rows ? `Of ${whom}, by the reasons for it. A customer can be in several.` : "By the reasons for it.",
    children: rows ? null : h(Skeleton, { lines: 6 }),
    table:
      rows &&
      div(
        { class: "table-frame", tabindex: "0", role: "region", "aria-label": "Where the risk is", style: { marginBlockStart: "1rem" } },
        table(
          { class: "table" },
          thead(tr(th({ scope: "col" }, "Reason"), th({ scope: "col" }, "Customers"), th({ scope: "col", class: "figure" }, "Mean risk"), th({ scope: "col", class: "figure" }, "Expected to leave"), summary.value && th({ scope: "col", class: "figure" }, "Value at risk"))),
          tbody(
            ...segments.map(({ name, feature, customers, leavers, value }) =>
              tr(
                td({ class: "strong", style: { minWidth: "10rem" } }, a({ class: "wrap", href: address(["predictions", id, "worklist"], { reason: feature }) }, tags.bdi(name))),
                td({ style: { minWidth: "9rem" } }, span({ class: "row tight" }, span({ class: "number", style: { minWidth: "2.75rem", textAlign: "end" } }, number(customers)), span({ class: "bar grow", "aria-hidden": "true" }, span({ style: { width: `${(customers / most) * 100}%` } })))),
                td({ class: "figure" }, percent(leavers / customers)),
                td({ class: "figure" }, number(Math.round(leavers))),
                summary.value && td({ class: "figure strong" }, money(value, summary.value.currency)),
              ),
            ),
          ),
        ),
      ),
  });
}

/** The reasons that raise the risk, those of most value at risk first; numbers count as their feature. @param {import("./overview.js").Row[]} rows */
export function bySegment(rows) {
  const found = /** @type {Map<string, Segment>} */ (new Map());
  for (const row of rows) {
    for (const reason of row.reasons) {
      if (reason.effect <= 0) continue;
      const name = isNumber(reason.value) ? reason.label : subject(reason.text);
      const segment = found.get(name) ?? { name, feature: reason.feature, customers: 0, leavers: 0, value: 0 };
      segment.customers += 1;
      segment.leavers += row.churn_probability;
      segment.value += row.value_at_risk ?? 0;
      found.set(name, segment);
    }
  }
  return [...found.values()].sort((one, other) => other.value - one.value || other.leavers - one.leavers);
}

/** @param {string | null} value */
const isNumber = (value) => value !== null && value.trim() !== "" && Number.isFinite(Number(value));
