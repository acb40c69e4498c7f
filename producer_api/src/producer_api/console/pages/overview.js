/** How bad is it, and why? The whole file in figures. */
import { h } from "../vendor/ui.js";
import { get } from "../api.js";
import { Bars } from "../charts/bars.js";
import { Gain } from "../charts/gain.js";
import { Histogram } from "../charts/histogram.js";
import { cumulated } from "../charts/scale.js";
import { Button } from "../components/button.js";
import { Card, Stats, stat } from "../components/card.js";
import { Problem, Skeleton } from "../components/feedback.js";
import { useData } from "../components/loading.js";
import { figure, money, number, percent, plural } from "../format.js";
import { address } from "../router.js";
import { tags } from "../tags.js";
import { Comparison } from "./comparison.js";
import { HIGH_FROM, MEDIUM_FROM } from "./levels.js";
import { Quality } from "./quality.js";
import { Segments } from "./segments.js";

const { div } = tags;

/** @typedef {Record<string, any>} Row a customer as the API lists it */

/** @param {{ prediction: any, path: string }} props */
export function Overview({ prediction, path }) {
  const { summary, rows } = prediction;
  const customers = rows.scored - summary.already_left;
  const { low, medium, high } = summary.risk_distribution;
  const { value } = summary;
  const share = (/** @type {number} */ count) => percent(customers ? count / customers : 0);
  const risky = useData((signal) => readRisky(path, signal), [path]);
  return [
    h(Quality, { summary, retryOf: prediction.retry_of, action: rows.rejected > 0 && h(Button, { label: `Mend ${plural(rows.rejected, "rejected row")}`, icon: "pencil", small: true, href: address(["predictions", prediction.prediction_id, "rejected"]) }) }),
    h(
      Stats,
      {},
      stat("Expected to leave", number(Math.round(summary.expected_churners)), `${share(summary.expected_churners)} of ${plural(customers, "customer")}`),
      value && stat("Value at risk", money(value.expected_loss, value.currency), `a ${value.period}, of ${money(value.total, value.currency)}`),
      stat("High risk", number(high), `${share(high)}, from ${percent(HIGH_FROM)}`, "high"),
      stat("Medium risk", number(medium), `${share(medium)}, from ${percent(MEDIUM_FROM)}`, "medium"),
      stat("Low risk", number(low), share(low), "low"),
    ),
    div(
      { class: "grid", style: { "--column": "26rem" } },
      h(Card, { title: "Customers by risk", note: "How many have which probability of leaving." }, summary.histogram?.length ? h(Histogram, { counts: summary.histogram, mediumFrom: MEDIUM_FROM, highFrom: HIGH_FROM }) : h(Levels, { low, medium, high })),
      h(
        Card,
        { title: "What drives the scores", note: "How much each feature moves them in this file, up or down." },
        h(Bars, { label: "Weight of each feature", unit: "Mean effect, up or down (log-odds)", items: summary.drivers.slice(0, 8).map((/** @type {any} */ driver) => ({ label: driver.label, value: driver.mean_absolute_effect, shown: figure(driver.mean_absolute_effect) })) }),
      ),
    ),
    risky.error ? h(Problem, { error: risky.error, retry: risky.reload }) : null,
    h(Segments, { prediction, rows: risky.data }),
    h(Card, { title: "How far do your calls reach?", note: "If you call in order of risk." }, risky.data ? h(Reach, { prediction, rows: risky.data, customers }) : h(Skeleton, { lines: 5 })),
    h(Comparison, { prediction }),
  ];
}

/** Where a result of an older release has no histogram. @param {{ low: number, medium: number, high: number }} props */
function Levels({ low, medium, high }) {
  const item = (/** @type {string} */ label, /** @type {number} */ value, /** @type {"raises" | "plain" | "lowers"} */ kind) => ({ label, value, shown: number(value), kind });
  return h(Bars, { label: "Customers by risk", unit: "Customers", items: [item("High", high, "raises"), item("Medium", medium, "plain"), item("Low", low, "lowers")] });
}

/** @param {{ prediction: any, rows: Row[], customers: number }} props */
function Reach({ prediction, rows, customers }) {
  const { expected_churners: expected, value } = prediction.summary;
  const shares = cumulated(rows.map((row) => row.churn_probability), expected);
  const values = value && cumulated(rows.map((row) => row.value_at_risk ?? 0), 1).map((sum) => money(sum, value.currency));
  return h(Gain, { shares, values, customers });
}

const PAGES = 4;

/** The first 2,000 customers by risk. @param {string} path @param {AbortSignal} signal @returns {Promise<Row[]>} */
async function readRisky(path, signal) {
  const found = [];
  let cursor = null;
  for (let page = 0; page < PAGES; page += 1) {
    const answer = /** @type {any} */ (await get(`${path}/rows`, { order: "risk", limit: 500, cursor }, signal));
    found.push(...answer.items);
    cursor = answer.next_cursor;
    if (!cursor) break;
  }
  return found;
}
