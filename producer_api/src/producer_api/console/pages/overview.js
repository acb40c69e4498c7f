/** How bad is it, and why? The whole file in figures. */
import { h } from "../vendor/ui.js";
import { get } from "../api.js";
import { Bars } from "../charts/bars.js";
import { Gain } from "../charts/gain.js";
import { Histogram } from "../charts/histogram.js";
import { gain } from "../charts/scale.js";
import { Button } from "../components/button.js";
import { Note, Skeleton } from "../components/feedback.js";
import { useData } from "../components/loading.js";
import { figure, money, number, percent, plural } from "../format.js";
import { address } from "../router.js";
import { tags } from "../tags.js";

const { dd, div, dl, dt, h2, header, li, p, section, strong, ul } = tags;

const MEDIUM_FROM = 0.3;
const HIGH_FROM = 0.6;

/** @param {{ prediction: any, path: string }} props */
export function Overview({ prediction, path }) {
  const { summary, rows } = prediction;
  const scored = rows.scored - summary.already_left;
  const { low, medium, high } = summary.risk_distribution;
  const value = summary.value ?? null;
  const currency = prediction.options?.currency ?? value?.currency ?? null;
  return [
    h(Grade, { summary, prediction }),
    div(
      { class: "card stats" },
      stat("Expected to leave", number(Math.round(summary.expected_churners)), `${percent(scored ? summary.expected_churners / scored : 0)} of ${plural(scored, "customer")}`),
      value ? stat("Value at risk", money(value.at_risk, currency), `a month, of ${money(value.total, currency)}`) : null,
      stat("High risk", number(high), `${percent(scored ? high / scored : 0)}, 60 % or more likely to leave`),
      stat("Medium risk", number(medium), percent(scored ? medium / scored : 0)),
      stat("Low risk", number(low), percent(scored ? low / scored : 0)),
    ),
    div(
      { class: "row" },
      h(Button, { label: "Whom to call first", icon: "list-checks", kind: "primary", href: address(["predictions", prediction.prediction_id, "worklist"]) }),
      rows.rejected > 0 && h(Button, { label: `Mend ${plural(rows.rejected, "rejected row")}`, icon: "pencil", href: address(["predictions", prediction.prediction_id, "rejected"]) }),
    ),
    div(
      { class: "grid", style: { "--column": "30rem" } },
      h(Distribution, { prediction, path }),
      card("What drives the risk", "The features with the most weight in this file. To the right: they raise the risk on the whole.", h(Bars, {
        label: "Drivers of churn",
        unit: "Mean effect (log-odds)",
        items: summary.drivers.slice(0, 8).map((/** @type {any} */ driver) => ({ label: driver.label, value: driver.mean_effect, shown: figure(driver.mean_effect), kind: driver.mean_effect >= 0 ? "raises" : "lowers" })),
      })),
    ),
    h(Reach, { prediction, path }),
  ];
}

/** @param {string} name @param {any} value @param {any} [note] */
const stat = (name, value, note) => dl({ class: "stat" }, dt(name), dd(value, note && tags.div({ class: "note", style: { background: "none", padding: "0.25rem 0 0" } }, note)));

/** @param {string} title @param {any} note @param {any} content */
const card = (title, note, content) => section({ class: "card" }, header(div(h2(title), note && p(note))), div({ class: "body" }, content));

/** @param {{ summary: any, prediction: any }} props */
function Grade({ summary, prediction }) {
  const { grade, sentences } = summary.quality;
  const kinds = /** @type {Record<string, "good" | "warn" | "bad">} */ ({ good: "good", fair: "warn", poor: "bad" });
  const titles = /** @type {Record<string, string>} */ ({ good: "The data is good: the scores can be trusted.", fair: "The data is fair: most scores can be trusted.", poor: "The data is poor: take these scores as a rough guide." });
  const left = summary.already_left ? [`${plural(summary.already_left, "customer")} ${summary.already_left === 1 ? "has" : "have"} left already and ${summary.already_left === 1 ? "is" : "are"} not counted below.`] : [];
  const all = [...sentences, ...left];
  return h(Note, { kind: kinds[grade] ?? "warn", title: titles[grade] ?? `Data quality: ${grade}` }, all.length > 0 && ul({ class: "stack", style: { "--gap": "0.25rem" } }, ...all.map((sentence) => li(sentence))), prediction.retry_of && p({ class: "small soft" }, "This is a second run of a file that was scored before."));
}

/** @param {{ prediction: any, path: string }} props */
function Distribution({ prediction, path }) {
  const counts = prediction.summary.histogram;
  const { low, medium, high } = prediction.summary.risk_distribution;
  if (counts) return card("Customers by risk", null, h(Histogram, { counts, mediumFrom: MEDIUM_FROM, highFrom: HIGH_FROM }));
  const items = [["High, from 60 %", high, "raises"], ["Medium, from 30 %", medium, "plain"], ["Low", low, "lowers"]];
  return card("Customers by risk", null, h(Bars, { label: "Customers by risk", unit: "Customers", items: items.map(([label, value, kind]) => ({ label: String(label), value: Number(value), shown: number(Number(value)), kind: /** @type {any} */ (kind) })) }));
}

/** What share of the expected leavers so many calls reach. @param {{ prediction: any, path: string }} props */
function Reach({ prediction, path }) {
  const { data } = useData((signal) => readProbabilities(path, signal), [path]);
  const scored = prediction.rows.scored - prediction.summary.already_left;
  return card(
    "How far do your calls reach?",
    "If you call in order of risk.",
    data ? h(Gain, { shares: gain(data, prediction.summary.expected_churners), customers: scored }) : h(Skeleton, { lines: 5 }),
  );
}

const PAGES = 4;

/** The probabilities of the first 2,000 customers by risk. @param {string} path @param {AbortSignal} signal */
async function readProbabilities(path, signal) {
  const found = [];
  let cursor = null;
  for (let page = 0; page < PAGES; page += 1) {
    const answer = await get(`${path}/rows`, { order: "risk", limit: 500, cursor }, signal);
    found.push(...answer.items.map((/** @type {any} */ row) => row.churn_probability));
    cursor = answer.next_cursor;
    if (!cursor) break;
  }
  return /** @type {number[]} */ (found);
}
