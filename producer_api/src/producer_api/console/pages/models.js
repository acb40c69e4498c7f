/** May I trust it? What scores the customers, how good it is, and what it does with each feature. */
import { h } from "../vendor/ui.js";
import { get } from "../api.js";
import { Problem, Skeleton } from "../components/feedback.js";
import { icon } from "../components/icon.js";
import { useData } from "../components/loading.js";
import { PageHead } from "../components/shell.js";
import { plural } from "../format.js";
import { address } from "../router.js";
import { tags } from "../tags.js";
import { Features } from "./model_features.js";
import { Measures } from "./model_measures.js";
import { Origin } from "./model_origin.js";

const { a, div, span, strong } = tags;

/** @param {{ parts: string[] }} props */
export function Models({ parts }) {
  return parts.length ? h(Model, { reference: String(parts[0]), key: parts[0] }) : h(List, {});
}

function List() {
  const { data, error, reload } = useData((signal) => get("/v1/models", {}, signal), []);
  return [
    h(PageHead, { title: "Models" }, "What scores your customers, and how far each can be trusted."),
    error ? h(Problem, { error, retry: reload }) : null,
    !data && !error ? div({ class: "card" }, div({ class: "body" }, h(Skeleton, { lines: 4 }))) : null,
    data &&
      div(
        { class: "grid", style: { "--column": "22rem" } },
        ...data.models.map((/** @type {any} */ model) =>
          a(
            { class: "card choice", href: address(["models", model.model]) },
            span({ class: "row spread" }, strong(model.model), model.is_default && span({ class: "badge good" }, icon("check"), "Default")),
            span({ class: "soft" }, model.description),
            span({ class: "soft small" }, `${plural(model.features.length, "feature")}, ${model.features.filter((/** @type {any} */ feature) => feature.required).length} of them required`),
          ),
        ),
      ),
  ];
}

/** @param {{ reference: string }} props */
function Model({ reference }) {
  const { data: card, error, reload } = useData((signal) => get(`/v1/models/${encodeURIComponent(reference)}`, {}, signal), [reference]);
  const back = a({ class: "small row back", href: address(["models"]) }, icon("chevron-left"), "Models");
  if (!card) return [h(PageHead, { title: reference, back }), error ? h(Problem, { error, retry: reload }) : div({ class: "card" }, div({ class: "body" }, h(Skeleton, { lines: 8 })))];
  return [
    h(PageHead, { title: reference, back, actions: card.is_default && span({ class: "badge good" }, icon("check"), "Default") }, `${card.description}.`),
    h(Measures, { card }),
    h(Features, { card }),
    h(Origin, { card }),
  ];
}
