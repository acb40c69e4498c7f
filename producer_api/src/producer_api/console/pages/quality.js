/** How far can the scores be trusted, given the data? In sentences, with the figures behind them. */
import { h } from "../vendor/ui.js";
import { Note } from "../components/feedback.js";
import { figure, percent } from "../format.js";
import { tags } from "../tags.js";

const { details, div, li, p, summary: heading, table, tbody, td, th, thead, tr, ul } = tags;

/** @type {Record<string, ["good" | "warn" | "bad", string]>} */
const GRADES = {
  good: ["good", "The data is good: the scores can be trusted."],
  fair: ["warn", "The data is fair: most scores can be trusted."],
  poor: ["bad", "The data is poor: take these scores as a rough guide."],
};

/** Above it, a shift against the training data is commonly called large. */
const LARGE_SHIFT = 0.25;

/** @param {{ summary: any, retryOf: string | null, action?: any }} props */
export function Quality({ summary, retryOf, action }) {
  const { grade, sentences, features } = summary.quality;
  const [kind, title] = GRADES[grade] ?? ["warn", `Data quality: ${grade}`];
  const labels = new Map(summary.drivers.map((/** @type {any} */ driver) => [driver.feature, driver.label]));
  const odd = features.filter((/** @type {any} */ one) => one.missing_rate + one.unseen_rate + one.out_of_range_rate > 0 || one.psi > LARGE_SHIFT);
  const share = (/** @type {number} */ rate) => td({ class: "figure" }, rate ? percent(rate) : "–");
  return h(
    Note,
    { kind, title, action },
    sentences.length > 0 && ul({ class: "stack", style: { "--gap": "0.25rem" } }, ...sentences.map((/** @type {string} */ sentence) => li({ class: "wrap" }, tags.bdi(sentence)))),
    retryOf && p({ class: "small soft" }, "This is a second run of a file that was scored before."),
    odd.length > 0 &&
      details(
        { class: "small no-print" },
        heading("By feature"),
        div(
          { class: "table-frame", tabindex: "0", role: "region", "aria-label": "Data quality by feature", style: { marginBlockStart: "0.5rem" } },
          table(
            { class: "table" },
            thead(tr(th({ scope: "col" }, "Feature"), ...["Missing", "Unknown", "Out of range", "Shift"].map((name) => th({ scope: "col", class: "figure" }, name)))),
            tbody(...odd.map((/** @type {any} */ one) => tr(td(labels.get(one.feature) ?? one.feature), share(one.missing_rate), share(one.unseen_rate), share(one.out_of_range_rate), td({ class: "figure" }, one.psi === null ? "–" : figure(one.psi), one.psi > LARGE_SHIFT && " (large)")))),
          ),
        ),
      ),
  );
}
