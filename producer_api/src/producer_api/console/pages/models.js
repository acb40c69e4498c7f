/** May I trust it? A model's card: what it was trained on, how good it is, and what it does with each feature. */
import { h, useState } from "../vendor/ui.js";
import { get } from "../api.js";
import { Bars } from "../charts/bars.js";
import { Shape } from "../charts/shape.js";
import { Note, Problem, Skeleton } from "../components/feedback.js";
import { icon } from "../components/icon.js";
import { useData } from "../components/loading.js";
import { PageHead } from "../components/shell.js";
import { figure, number } from "../format.js";
import { address } from "../router.js";
import { tags } from "../tags.js";

const { a, dd, div, dl, dt, h2, header, li, option, p, section, select, span, strong, table, tbody, td, th, thead, tr, ul } = tags;

/** @param {{ parts: string[] }} props */
export function Models({ parts }) {
  return parts.length ? h(Model, { reference: String(parts[0]), key: parts[0] }) : h(List, {});
}

function List() {
  const { data, error, reload } = useData((signal) => get("/v1/models", {}, signal), []);
  const models = /** @type {any[]} */ (data?.models ?? data?.items ?? []);
  return [
    h(PageHead, { title: "Models" }, "What scores your customers, and how far each can be trusted."),
    error ? h(Problem, { error, retry: reload }) : null,
    !data && !error ? div({ class: "card" }, div({ class: "body" }, h(Skeleton, { lines: 4 }))) : null,
    div({ class: "grid", style: { "--column": "22rem" } }, ...models.map((model) => a({ class: "card choice", href: address(["models", model.model]) }, span({ class: "row spread" }, strong(model.model), model.is_default && span({ class: "badge good" }, icon("check"), "Default")), span({ class: "soft" }, model.description), span({ class: "faint small" }, `${number(model.features.length)} features`)))),
  ];
}

/** @param {{ reference: string }} props */
function Model({ reference }) {
  const { data: card, error, reload } = useData((signal) => get(`/v1/models/${encodeURIComponent(reference)}`, {}, signal), [reference]);
  const back = a({ class: "small row", href: address(["models"]), style: { "--gap": "0.25rem" } }, icon("chevron-left"), "Models");
  if (!card) return [h(PageHead, { title: reference, back }), error ? h(Problem, { error, retry: reload }) : div({ class: "card" }, div({ class: "body" }, h(Skeleton, { lines: 8 })))];
  return [
    h(PageHead, { title: reference, back }, card.description),
    h(Metrics, { card }),
    h(Terms, { card }),
    h(Limits, { card }),
  ];
}

/** @param {{ card: any }} props */
function Metrics({ card }) {
  const metrics = card.metrics ?? {};
  const shown = Object.entries(metrics).filter(([, value]) => typeof value === "number" || typeof value?.mean === "number");
  const baselines = card.baselines ?? metrics.baselines ?? {};
  if (!shown.length) return null;
  const names = Object.keys(baselines);
  const value = (/** @type {any} */ metric) => (metric === undefined || metric === null ? "–" : typeof metric === "number" ? figure4(metric) : `${figure4(metric.mean)} ± ${figure4(metric.deviation ?? metric.standard_deviation ?? metric.std ?? 0)}`);
  return section(
    { class: "card" },
    header(div(h2("How good it is"), p("Measured on customers that it was not trained on."))),
    div({ class: "body", style: { paddingBlockEnd: 0 } }),
    div({ class: "table-frame" }, table({ class: "table" }, thead(tr(th({ scope: "col" }, "Measure"), th({ scope: "col", class: "figure" }, "This model"), ...names.map((name) => th({ scope: "col", class: "figure" }, name)))), tbody(...shown.map(([name, metric]) => tr(td(name.replaceAll("_", " ")), td({ class: "figure strong" }, value(metric)), ...names.map((one) => td({ class: "figure soft" }, value(baselines[one]?.[name])))))))),
  );
}

const figure4 = (/** @type {number} */ value) => value.toLocaleString(undefined, { maximumFractionDigits: 4 });

/** @param {{ card: any }} props */
function Terms({ card }) {
  const ordered = [...(card.terms ?? [])].sort((one, other) => other.importance - one.importance);
  const [chosen, setChosen] = useState(ordered[0]?.feature ?? "");
  const feature = card.features.find((/** @type {any} */ one) => one.name === chosen);
  const term = ordered.find((one) => one.feature === chosen);
  const label = (/** @type {string} */ name) => card.features.find((/** @type {any} */ one) => one.name === name)?.label ?? name;
  if (!term) return null;
  return div(
    { class: "grid", style: { "--column": "30rem" } },
    section({ class: "card" }, header(div(h2("What it looks at"), p("The mean weight of each feature in the training data."))), div({ class: "body" }, h(Bars, { label: "Weight of each feature", unit: "Mean absolute effect (log-odds)", items: ordered.map((one) => ({ label: label(one.feature), value: one.importance, shown: figure(one.importance) })) }))),
    section(
      { class: "card" },
      header(div(h2("What each value does"), p("Above zero a value raises the risk, below it lowers it.")), select({ class: "input", style: { width: "14rem" }, "aria-label": "Feature", value: chosen, onChange: (/** @type {any} */ event) => setChosen(event.target.value) }, ...ordered.map((one) => option({ value: one.feature }, label(one.feature))))),
      div({ class: "body" }, h(Shape, { term, label: feature?.label ?? chosen, unit: feature?.unit, from: feature?.statistics?.min, to: feature?.statistics?.max })),
    ),
  );
}

/** @param {{ card: any }} props */
function Limits({ card }) {
  const lists = Object.entries(card).filter(([name, value]) => ["limits", "caveats", "intended_use", "limitations"].includes(name) && value);
  const training = card.training_data ?? card.training;
  return [
    ...lists.map(([name, value]) => h(Note, { kind: name === "intended_use" ? undefined : "warn", title: name === "intended_use" ? "What it is for" : "What it is not for" }, Array.isArray(value) ? ul(...value.map((one) => li(one))) : p(String(value)))),
    training && section({ class: "card" }, header(h2("Training data")), div({ class: "body" }, dl({ class: "facts" }, ...Object.entries(training).filter(([, value]) => typeof value !== "object").flatMap(([name, value]) => [dt(name.replaceAll("_", " ")), dd(typeof value === "number" ? number(value) : String(value))])))),
  ];
}
