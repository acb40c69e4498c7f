/** Values the model does not know, mapped to those it does. */
import { h } from "../vendor/ui.js";
import { Card } from "../components/card.js";
import { plural } from "../format.js";
import { tags } from "../tags.js";

const { bdi, code, div, h3, label, option, select, span } = tags;

/** @param {{ columns: any[], card: any, values: import("./review.js").Values, setValues: (values: import("./review.js").Values) => void }} props */
export function UnknownValues({ columns, card, values, setValues }) {
  const shown = columns.filter((column) => column.feature && (column.unseen_values?.named.length || values[column.feature]));
  if (!shown.length) return null;
  const categories = (/** @type {string} */ name) => card.features.find((/** @type {any} */ feature) => feature.name === name)?.categories ?? [];
  const set = (/** @type {string} */ feature, /** @type {string} */ value, /** @type {string} */ known) => {
    const { [value]: _, ...others } = values[feature] ?? {};
    const of = known ? { ...others, [value]: known } : others;
    const { [feature]: __, ...rest } = values;
    setValues(Object.keys(of).length ? { ...rest, [feature]: of } : rest);
  };
  return h(Card, { title: "Values the model does not know", note: "Say what each means, or leave it: an unknown value counts as average." }, ...shown.map((column) => h(Column, { key: column.position, column, known: categories(column.feature), chosen: values[column.feature] ?? {}, set: (value, known) => set(column.feature, value, known) })));
}

/** @param {{ column: any, known: string[], chosen: Record<string, string>, set: (value: string, known: string) => void }} props */
function Column({ column, known, chosen, set }) {
  const unseen = /** @type {any[]} */ (column.unseen_values?.named ?? []);
  const settled = Object.keys(chosen).filter((value) => !unseen.some((one) => one.value === value));
  const rest = (column.unseen_values?.distinct ?? 0) - unseen.length;
  return div(
    { class: "stack", style: { "--gap": "0.5rem" } },
    h3(bdi({ class: "clamp" }, column.header)),
    ...[...unseen, ...settled.map((value) => ({ value, rows: null, closest: [] }))].map((one) =>
      label(
        { class: "unknown-value" },
        span({ class: "wrap" }, code(bdi(one.value)), one.rows !== null && span({ class: "soft small" }, ` in ${plural(one.rows, "row")}`)),
        span({ class: "soft small" }, "means"),
        select(
          { class: "input", value: chosen[one.value] ?? "", onChange: (/** @type {any} */ event) => set(one.value, event.target.value) },
          option({ value: "" }, "Not known"),
          ...[...one.closest, ...known.filter((name) => !one.closest.includes(name))].map((name) => option({ value: name }, name)),
        ),
      ),
    ),
    rest > 0 && span({ class: "soft small" }, `And ${plural(rest, "value")} that may be personal and so are not shown.`),
  );
}
