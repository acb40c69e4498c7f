/** Where does the model come from, and what is it not for? */
import { h } from "../vendor/ui.js";
import { Card } from "../components/card.js";
import { bytes, number, percent } from "../format.js";
import { tags } from "../tags.js";

const { code, dd, div, dl, dt, li, p, strong, ul } = tags;

/** @param {{ card: any }} props */
export function Origin({ card }) {
  const { training_data: training, model_file: file, excluded_columns: excluded, trade } = card;
  const facts = [
    ["Customers", `${number(training.rows)}, of whom ${percent(training.churn_rate)} left (${training.label})`],
    ["Data, SHA-256", code({ class: "wrap small" }, training.sha256)],
    ["Model, SHA-256", code({ class: "wrap small" }, file.sha256)],
    ["Model's size", bytes(file.size_bytes)],
    ["Seed", String(card.seed)],
    ["Made with", Object.entries(card.versions).map(([name, version]) => `${name} ${version}`).join(", ")],
  ];
  return div(
    { class: "grid", style: { "--column": "26rem", alignItems: "start" } },
    h(
      Card,
      { title: "What it is for" },
      trade && p(`Customers of one trade: ${trade}. For other customers a model has to be trained on them first.`),
      p("It finds who is like those that left. It does not say what would keep them: a change it shows is what was seen in others."),
      excluded.length > 0 && [p({ class: "strong" }, "What it does not read"), ul({ class: "stack small", style: { "--gap": "0.25rem" } }, ...excluded.map((/** @type {any} */ one) => li(strong(one.name), `: ${one.reason}`)))],
    ),
    h(Card, { title: "Where it comes from" }, dl({ class: "facts" }, ...facts.flatMap(([name, value]) => [dt(name), dd(value)]))),
  );
}
