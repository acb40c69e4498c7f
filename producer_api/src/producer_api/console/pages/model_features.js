/** What does the model look at, and what does each value do? */
import { h, useState } from "../vendor/ui.js";
import { Bars } from "../charts/bars.js";
import { Shape } from "../charts/shape.js";
import { Card } from "../components/card.js";
import { figure, percent } from "../format.js";
import { tags } from "../tags.js";

const { dd, div, dl, dt, option, p, select } = tags;

/** @param {{ card: any }} props */
export function Features({ card }) {
  const terms = [...card.terms].sort((one, other) => other.importance - one.importance);
  const [chosen, setChosen] = useState(terms[0]?.feature ?? "");
  const features = new Map(card.features.map((/** @type {any} */ feature) => [feature.name, feature]));
  const feature = features.get(chosen);
  const term = terms.find((one) => one.feature === chosen);
  return div(
    { class: "grid", style: { "--column": "26rem", alignItems: "start" } },
    h(Card, { title: "What it looks at", note: "How much each feature moves a score, on average." }, h(Bars, { label: "Weight of each feature", unit: "Mean effect, up or down (log-odds)", items: terms.map((one) => ({ label: features.get(one.feature).label, value: one.importance, shown: figure(one.importance) })) })),
    h(
      Card,
      {
        title: "What each value does",
        note: "Above zero it raises the risk, below it lowers it.",
        actions: select({ class: "input", style: { width: "13rem" }, "aria-label": "Feature", value: chosen, onChange: (/** @type {any} */ event) => setChosen(event.target.value) }, ...terms.map((one) => option({ value: one.feature }, features.get(one.feature).label))),
      },
      h(Shape, { term, label: feature.label, unit: feature.unit === "currency" ? undefined : feature.unit, from: feature.statistics.min, to: feature.statistics.max }),
      h(About, { feature, action: card.actions[chosen] }),
    ),
  );
}

/** @param {{ feature: any, action: string | undefined }} props */
function About({ feature, action }) {
  const values = feature.kind === "numeric" ? `${figure(feature.statistics.min)} to ${figure(feature.statistics.max)} in the training data` : feature.categories.map((/** @type {string} */ name, /** @type {number} */ index) => `${name} (${percent(feature.statistics.shares[index])})`).join(", ");
  const facts = [
    ["Values", values],
    ["Needed", feature.required ? "Yes: a file without it is refused" : "No: where it is missing, it counts as average"],
    ["Can change", feature.changeable ? "Yes, for the same customer" : "No"],
  ];
  return [dl({ class: "facts small" }, ...facts.flatMap(([name, value]) => [dt(name), dd(value)])), action && p({ class: "small" }, tags.strong("Where it raises the risk: "), action)];
}
