/** What is each column read as? Proposals that are not sure wait for a person's word. */
import { h } from "../vendor/ui.js";
import { Button } from "../components/button.js";
import { Card } from "../components/card.js";
import { icon } from "../components/icon.js";
import { percent, plural } from "../format.js";
import { tags } from "../tags.js";

const { bdi, div, option, select, span, table, tbody, td, th, thead, tr } = tags;

/** The columns that a person has to confirm first. @param {any} inspection @returns {any[]} */
export const unconfirmed = (inspection) => inspection.columns.filter((/** @type {any} */ column) => column.needs_confirmation);

/**
 * @param {{ inspection: any, card: any, mapping: import("./review.js").Mapping, read: (feature: string, header: string) => void,
 *   confirm: (columns: any[]) => void }} props
 */
export function Columns({ inspection, card, mapping, read, confirm }) {
  const waiting = unconfirmed(inspection);
  const targets = [["customer_id", "Customer id"], ...card.features.map((/** @type {any} */ feature) => [feature.name, feature.required ? `${feature.label} (needed)` : feature.label]), ...(card.outcome ? [[card.outcome.name, `${card.outcome.label} (has left already)`]] : [])];
  return h(Card, {
    title: "Columns",
    note: "Each column of your file, and what the model reads it as. Values are masked.",
    actions: waiting.length > 1 && h(Button, { label: `All ${plural(waiting.length, "proposal")} are right`, icon: "check", small: true, onClick: () => confirm(waiting) }),
    table: div(
      { class: "table-frame columns", tabIndex: 0, role: "region", "aria-label": "Columns" },
      table(
        { class: "table stacked" },
        thead(tr(th({ scope: "col" }, "Your column"), th({ scope: "col" }, "Values"), th({ scope: "col" }, "Read as"), th({ scope: "col", class: "shrink" }, "Confidence"))),
        tbody(...inspection.columns.map((/** @type {any} */ column) => h(Column, { key: column.position, column, targets, chosen: Object.values(mapping).includes(column.header), read, confirm }))),
      ),
    ),
  });
}

/**
 * @param {{ column: any, targets: string[][], chosen: boolean, read: (feature: string, header: string) => void,
 *   confirm: (columns: any[]) => void }} props
 */
function Column({ column, targets, chosen, read, confirm }) {
  const name = column.header || `Column ${column.position}`;
  // What is read by itself can be another feature, but not unused: the API has no word for that.
  const canBeUnused = !column.feature || chosen;
  return tr(
    { class: column.feature ? "" : "unused" },
    td({ class: "header" }, span({ class: "strong clamp", title: column.header.slice(0, 500) }, bdi(name))),
    td({ class: "samples" }, span({ class: "mono small soft clamp" }, ...column.samples.flatMap((/** @type {string} */ sample, /** @type {number} */ index) => [index ? " · " : "", bdi(sample)]), column.samples.length ? "" : "empty")),
    td(
      column.is_ignored
        ? span({ class: "soft small" }, "Added by us, ignored")
        : select(
            { class: "input", "aria-label": `Read ${name.slice(0, 100)} as`, value: column.feature ?? "", disabled: !column.header, onChange: (/** @type {any} */ event) => read(event.target.value, column.header) },
            canBeUnused && option({ value: "" }, "Not used"),
            ...targets.map(([value, label]) => option({ value }, label)),
          ),
      (column.conversion || column.is_gate) && div({ class: "tiny soft" }, column.conversion ?? "says only whether the customer has it"),
    ),
    td({ class: "shrink" }, h(Confidence, { column, confirm: () => confirm([column]) })),
  );
}

/** @param {{ column: any, confirm: () => void }} props */
function Confidence({ column, confirm }) {
  if (!column.feature) return null;
  if (column.needs_confirmation) return h(Button, { label: `${percent(column.confidence)}: it is right`, icon: "check", small: true, onClick: confirm });
  if (column.method === "explicit") return span({ class: "badge busy" }, icon("check"), "Your choice");
  return span({ class: "badge good" }, icon("check"), percent(column.confidence));
}
