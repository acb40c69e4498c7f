/** What has changed since an earlier file? Risk, value and features of two results side by side. */
import { h } from "../vendor/ui.js";
import { get } from "../api.js";
import { Bars } from "../charts/bars.js";
import { Histogram } from "../charts/histogram.js";
import { Card } from "../components/card.js";
import { Problem } from "../components/feedback.js";
import { useData } from "../components/loading.js";
import { figure, money, number, time } from "../format.js";
import { filter, location } from "../router.js";
import { tags } from "../tags.js";
import { HIGH_FROM, MEDIUM_FROM } from "./levels.js";

const { div, h3, label, option, p, select, span, table, tbody, td, th, thead, tr } = tags;

const SHOWN = 8;

/** Smaller changes of a mean effect are noise, in log-odds. */
const SMALLEST = 0.005;

/** @param {{ prediction: any }} props */
export function Comparison({ prediction }) {
  const chosen = location.value.query.get("with") ?? "";
  const list = useData((signal) => get("/v1/predictions", { status: "COMPLETED", model: prediction.model, until: prediction.requested_at, limit: 50 }, signal), [prediction.prediction_id]);
  const earlier = /** @type {any[]} */ (list.data?.items ?? []).filter((one) => one.summary);
  const before = earlier.find((one) => one.prediction_id === chosen);
  if (list.error) return h(Problem, { error: list.error, retry: list.reload });
  if (!earlier.length) return null;
  return h(
    Card,
    {
      title: "Compared with an earlier file",
      note: "What has changed, and which features moved the risk.",
      actions: label(
        {},
        span({ class: "unseen" }, "Earlier file"),
        select(
          { class: "input", style: { width: "min(20rem, 80vw)" }, value: chosen, onChange: (/** @type {any} */ event) => filter({ with: event.target.value }) },
          option({ value: "" }, "Choose a file…"),
          ...earlier.map((one) => option({ value: one.prediction_id }, `${one.label ?? one.upload.file_name ?? "Untitled file"}, ${time(one.requested_at)}`)),
        ),
      ),
    },
    before ? h(Difference, { before, now: prediction }) : p({ class: "soft" }, "Choose a file that was scored before this one with the same model."),
  );
}

/** @param {{ before: any, now: any }} props */
function Difference({ before, now }) {
  const labels = new Map(now.summary.drivers.map((/** @type {any} */ driver) => [driver.feature, driver.label]));
  const moved = movedBy(before.summary.drivers, now.summary.drivers).slice(0, SHOWN);
  const [old, current] = [before, now].map(({ summary, rows }) => ({ ...summary, customers: rows.scored - summary.already_left }));
  const rate = (/** @type {any} */ one) => (one.customers ? one.expected_churners / one.customers : 0);
  const high = (/** @type {any} */ one) => (one.customers ? one.risk_distribution.high / one.customers : 0);
  const sameMoney = old.value && current.value && old.value.currency === current.value.currency && old.value.period === current.value.period;
  /** @type {[string, (one: any) => number, (value: number) => string][]} */
  const measures = [
    ["Customers", (one) => one.customers, number],
    ["Expected to leave", (one) => one.expected_churners, (value) => number(Math.round(value))],
    ["Rate", rate, (value) => `${figure(value * 100)} %`],
    ["High risk", high, (value) => `${figure(value * 100)} %`],
  ];
  if (sameMoney) measures.push(["Value at risk", (one) => one.value.expected_loss, (value) => money(value, current.value.currency)]);
  return [
    div(
      { class: "table-frame", tabindex: "0", role: "region", "aria-label": "Figures of both files" },
      table(
        { class: "table" },
        thead(tr(th({ scope: "col" }, span({ class: "unseen" }, "Measure")), ...["Before", "Now", "Change"].map((name) => th({ scope: "col", class: "figure" }, name)))),
        tbody(...measures.map(([name, read, show]) => tr(td(name), td({ class: "figure soft" }, show(read(old))), td({ class: "figure strong" }, show(read(current))), td({ class: "figure" }, signed(read(current) - read(old), show))))),
      ),
    ),
    div(
      { class: "grid", style: { "--column": "24rem", "--gap": "1.5rem" } },
      old.histogram?.length && current.histogram?.length ? div({ class: "stack" }, h3("Risk"), h(Histogram, { counts: current.histogram, before: old.histogram, mediumFrom: MEDIUM_FROM, highFrom: HIGH_FROM }), p({ class: "soft small" }, "Bars: now. Line: before, as if of as many customers.")) : null,
      div(
        { class: "stack" },
        h3("What moved it"),
        moved.length
          ? h(Bars, {
              label: "Change of each feature's mean effect",
              unit: "Change of the mean effect (log-odds)",
              caption: "To the right: these customers are at more risk because of it than those before.",
              items: moved.map(({ feature, change }) => ({ label: labels.get(feature) ?? feature, value: change, shown: signed(change, figure), kind: /** @type {"raises" | "lowers"} */ (change > 0 ? "raises" : "lowers") })),
            })
          : p({ class: "soft" }, "No feature has moved the risk noticeably."),
      ),
    ),
  ];
}

/** By how much each feature's mean effect has changed, the greatest first. @param {any[]} before @param {any[]} now */
export function movedBy(before, now) {
  const old = new Map(before.map((driver) => [driver.feature, driver.mean_effect]));
  return now
    .map((driver) => ({ feature: driver.feature, change: driver.mean_effect - (old.get(driver.feature) ?? 0) }))
    .filter(({ change }) => Math.abs(change) >= SMALLEST)
    .sort((one, other) => Math.abs(other.change) - Math.abs(one.change));
}

/** @param {number} value @param {(value: number) => string} show */
const signed = (value, show) => `${value > 0 ? "+" : value < 0 ? "−" : "±"}${show(Math.abs(value))}`;
