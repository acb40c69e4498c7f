/** How good is the model? Its measures beside those of other models, on customers that neither was trained on. */
import { h } from "../vendor/ui.js";
import { Card, Stats, stat } from "../components/card.js";
import { figure, number, percent } from "../format.js";
import { tags } from "../tags.js";

const { div, p, span, table, tbody, td, th, thead, tr } = tags;

/** What each measure says, and whether more is better. @type {[string, string, string, boolean][]} */
const MEASURES = [
  ["roc_auc", "ROC AUC", "How often one who leaves is ranked above one who stays", true],
  ["pr_auc", "PR AUC", "How clean the top of the list is", true],
  ["log_loss", "Log loss", "How wrong the probabilities are, sure mistakes counting most", false],
  ["brier", "Brier score", "The mean squared error of the probabilities", false],
  ["calibration_error", "Calibration error", "How far probabilities are from what happened", false],
];

const short = (/** @type {number} */ value) => value.toLocaleString(undefined, { minimumFractionDigits: 3, maximumFractionDigits: 3 });

/** @param {{ card: any }} props */
export function Measures({ card }) {
  const { metrics, baselines, folds, repeats } = card.evaluation;
  const others = Object.entries(baselines);
  /** @param {string} name @param {any} all @param {boolean} own */
  const row = (name, all, own) =>
    tr(
      { "aria-selected": own ? "true" : undefined },
      td({ class: own ? "strong" : "" }, name),
      ...MEASURES.map(([key]) => td({ class: own ? "figure strong" : "figure" }, short(all[key].mean), span({ class: "soft tiny" }, ` ± ${short(all[key].std)}`))),
    );
  return [
    h(
      Stats,
      {},
      stat("Right order", percent(metrics.roc_auc.mean), "of pairs: the one who left was ranked above the one who stayed"),
      stat("Off by", `${figure(metrics.calibration_error.mean * 100)} points`, "on average: of those at 30 %, about 30 % leave"),
      stat("Trained on", number(card.training_data.rows), `customers, of whom ${percent(card.training_data.churn_rate)} left`),
    ),
    h(Card, {
      title: "Beside other models",
      note: `Measured on customers that the model was not trained on: ${folds} folds, ${repeats} times. ± is the standard deviation.`,
      table: div(
        { class: "table-frame", tabindex: "0", role: "region", "aria-label": "Measures", style: { marginBlockStart: "1rem" } },
        table(
          { class: "table" },
          thead(tr(th({ scope: "col" }, "Model"), ...MEASURES.map(([, label, meaning, more]) => th({ scope: "col", class: "figure", title: meaning }, label, span({ "aria-hidden": "true" }, more ? " ↑" : " ↓"), span({ class: "unseen" }, more ? ", more is better" : ", less is better"))))),
          tbody(row("This model", metrics, true), ...others.map(([name, all]) => row(name.replace("…", "This model"), all, false))),
        ),
      ),
    }),
    p({ class: "soft small" }, ...MEASURES.flatMap(([, label, meaning], index) => [index ? " " : "", span({ class: "strong" }, label), `: ${meaning.toLowerCase()}.`])),
  ];
}
