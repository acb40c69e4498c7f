/** What do the first rows hold? Values that cannot be read, before the whole file is. */
import { h } from "../vendor/ui.js";
import { Card } from "../components/card.js";
import { Note } from "../components/feedback.js";
import { number, percent, plural } from "../format.js";
import { tags } from "../tags.js";

const { div, input, label, p, span, table, tbody, td, th, thead, tr } = tags;

/** @type {[string, string][]} */
const FAULTS = [["missing", "Missing"], ["not_a_number", "Not a number"], ["out_of_range", "Out of range"], ["unseen", "Unknown"]];

/** From this share of the rows on, a file is refused unless a person says that the values are right. */
const IMPLAUSIBLE_FROM = 0.5;

/** @param {{ quality: any, right: string[], setRight: (features: string[]) => void }} props `right`: features whose values a person has confirmed */
export function FileQuality({ quality, right, setRight }) {
  const { rows, features } = quality;
  if (!rows) return null;
  const troubled = features.filter((/** @type {any} */ one) => FAULTS.some(([fault]) => one[fault] > 0));
  if (!troubled.length) return h(Note, { kind: "good" }, p(`The first ${plural(rows, "row")} look good: every value can be read.`));
  const asks = troubled.some((/** @type {any} */ one) => isDoubtful(one, rows));
  return h(Card, {
    title: "Quality",
    note: `In the first ${plural(rows, "row")}. Rows whose needed values cannot be read are rejected; all others are scored.`,
    table: div(
      { class: "table-frame", tabIndex: 0, role: "region", "aria-label": "Quality", style: { marginBlockStart: "1rem" } },
      table(
        { class: "table" },
        thead(tr(th({ scope: "col" }, "Feature"), ...FAULTS.map(([, name]) => th({ scope: "col", class: "figure" }, name)), asks && th({ scope: "col" }, "Doubtful"))),
        tbody(
          ...troubled.map((/** @type {any} */ one) =>
            tr(
              { key: one.feature },
              td(one.label),
              ...FAULTS.map(([fault]) => td({ class: "figure" }, one[fault] ? [number(one[fault]), span({ class: "soft small" }, ` ${percent(one[fault] / rows)}`)] : span({ class: "soft" }, "–"))),
              asks && td(isDoubtful(one, rows) && label({ class: "check small" }, input({ type: "checkbox", checked: right.includes(one.feature), onChange: (/** @type {any} */ event) => setRight(event.target.checked ? [...right, one.feature] : right.filter((name) => name !== one.feature)) }), "The values are right")),
            ),
          ),
        ),
      ),
    ),
  });
}

/** Whether a file is refused because of a feature. @param {any} feature @param {number} rows */
const isDoubtful = (feature, rows) => feature.out_of_range + feature.unseen > rows * IMPLAUSIBLE_FROM;

/** The features because of which the file is refused unless a person says that their values are right. @param {any} quality @returns {any[]} */
export const doubtful = ({ rows, features }) => features.filter((/** @type {any} */ one) => isDoubtful(one, rows));
