/** What do I mend? Rejected rows by cause, mended in place and sent again. */
import { h, useState } from "../vendor/ui.js";
import { get } from "../api.js";
import { Button } from "../components/button.js";
import { Dialog } from "../components/dialog.js";
import { Empty, Problem, Skeleton } from "../components/feedback.js";
import { useData } from "../components/loading.js";
import { Pages } from "../components/pages.js";
import { number, plural } from "../format.js";
import { filter, location } from "../router.js";
import { tags } from "../tags.js";
import { Resend } from "./resend.js";

const { bdi, button, code, div, input, label, p, span, table, tbody, td, th, thead, tr } = tags;

/** As many as the API gives in one page. */
const LIMIT = 100;

/** What a code means to a person. @type {Record<string, string>} */
const CAUSES = {
  missing_id: "No customer id",
  missing_value: "A required value is missing",
  not_a_number: "Not a number",
  out_of_range: "Impossible value",
  wrong_cell_count: "Too many or too few cells",
};

/**
 * @typedef {{ row_number: number, code: string, column: string | null, value: string | null, hint: string, values: Record<string, string> }} RejectedRow
 * @typedef {Record<number, Record<string, string>>} Edits by row number and column
 */

/** @param {{ prediction: any, path: string }} props */
export function Rejected({ prediction, path }) {
  const query = location.value.query;
  const filters = { code: query.get("code") ?? "", column: query.get("column") ?? "", cursor: query.get("cursor") ?? "" };
  const list = useData((signal) => get(`${path}/rejected`, { ...filters, limit: LIMIT }, signal), [path, filters]);
  const [edits, setEdits] = useState(/** @type {Edits} */ ({}));
  const [whole, setWhole] = useState(/** @type {RejectedRow | null} */ (null));
  if (!prediction.rows.rejected) return div({ class: "card" }, h(Empty, { icon: "circle-check", title: "All rows were scored" }, "Nothing in this file has to be mended."));
  const items = /** @type {RejectedRow[]} */ (list.data?.items ?? []);
  const set = (/** @type {RejectedRow} */ item, /** @type {Record<string, string>} */ cells) => {
    const changed = Object.fromEntries(Object.entries({ ...edits[item.row_number], ...cells }).filter(([column, value]) => value !== item.values[column]));
    const { [item.row_number]: _, ...others } = edits;
    setEdits(Object.keys(changed).length ? { ...others, [item.row_number]: changed } : others);
  };
  return [
    p({ class: "soft" }, `${plural(prediction.rows.rejected, "row")} of ${number(prediction.rows.total)} could not be scored. All others were.`),
    list.error ? h(Problem, { error: list.error, retry: list.reload }) : null,
    list.data && h(Groups, { groups: list.data.groups, code: filters.code, column: filters.column }),
    list.loading && !list.data ? div({ class: "card" }, div({ class: "body" }, h(Skeleton, { lines: 6 }))) : null,
    items.length > 0 && h(Rows, { items, edits, set, open: setWhole }),
    list.data && h(Pages, { cursor: filters.cursor, next: list.data.next_cursor }),
    h(Resend, { prediction, path, edits }),
    whole && h(WholeRow, { item: whole, columns: list.data?.columns ?? Object.keys(whole.values), edited: edits[whole.row_number] ?? {}, save: (cells) => (set(whole, cells), setWhole(null)), close: () => setWhole(null) }),
  ];
}

/** @param {{ groups: any[], code: string, column: string }} props */
function Groups({ groups, code: chosenCode, column: chosenColumn }) {
  return div(
    { class: "grid", style: { "--column": "16rem", "--gap": "0.75rem" } },
    ...groups.map((group) => {
      const chosen = chosenCode === group.code && chosenColumn === (group.column ?? "");
      return button(
        { type: "button", class: "card choice", "aria-pressed": chosen ? "true" : "false", onClick: () => filter(chosen ? { code: null, column: null, cursor: null } : { code: group.code, column: group.column, cursor: null }) },
        span({ class: "row spread tight" }, span({ class: "strong" }, CAUSES[group.code] ?? group.code), span({ class: "badge warn" }, number(group.rows))),
        group.column && code({ class: "small soft wrap clamp" }, bdi(group.column)),
        span({ class: "soft small" }, group.hint),
      );
    }),
  );
}

/** @param {{ items: RejectedRow[], edits: Edits, set: (item: RejectedRow, cells: Record<string, string>) => void, open: (item: RejectedRow) => void }} props */
function Rows({ items, edits, set, open }) {
  return div(
    { class: "table-frame", tabindex: "0", role: "region", "aria-label": "Rejected rows" },
    table(
      { class: "table stacked" },
      thead(tr(th({ scope: "col", class: "figure" }, "Row"), th({ scope: "col" }, "What is wrong"), th({ scope: "col" }, "Column"), th({ scope: "col" }, "Value"), th({ scope: "col" }, span({ class: "unseen" }, "Whole row")))),
      tbody(
        ...items.map((item) => {
          const column = item.column !== null && item.column in item.values ? item.column : null;
          const edited = column !== null ? edits[item.row_number]?.[column] : undefined;
          return tr(
            { key: item.row_number },
            td({ class: "figure shrink", "data-label": "Row" }, number(item.row_number)),
            td({ style: { minWidth: "14rem" } }, span({ class: "strong" }, CAUSES[item.code] ?? item.code), div({ class: "soft small" }, item.hint)),
            td({ "data-label": "Column", style: { minWidth: "8rem" } }, item.column === null ? "–" : code({ class: "wrap clamp" }, bdi(item.column))),
            td(
              { style: { minWidth: "11rem" } },
              column !== null
                ? input({ class: "input", dir: "auto", value: edited ?? item.values[column], placeholder: "empty", "aria-label": `Row ${item.row_number}, ${column.slice(0, 100)}`, "data-edited": edited !== undefined ? "true" : undefined, onInput: (/** @type {any} */ event) => set(item, { [column]: event.target.value }) })
                : code(bdi(item.value ?? "–")),
            ),
            td({ class: "shrink" }, h(Button, { label: "Edit the whole row", icon: "pencil", iconOnly: true, small: true, kind: "quiet", onClick: () => open(item) })),
          );
        }),
      ),
    ),
  );
}

/** @param {{ item: RejectedRow, columns: string[], edited: Record<string, string>, save: (cells: Record<string, string>) => void, close: () => void }} props */
function WholeRow({ item, columns, edited, save, close }) {
  const [cells, setCells] = useState({ ...item.values, ...edited });
  return h(
    Dialog,
    { title: `Row ${number(item.row_number)}`, subtitle: item.hint, wide: true, close, foot: [h(Button, { label: "Keep as it was", onClick: close }), h(Button, { label: "Mend the row", kind: "primary", onClick: () => save(cells) })] },
    div(
      { class: "grid", style: { "--column": "14rem", "--gap": "0.75rem" } },
      ...columns.map((column) =>
        label({ class: "field" }, span({ class: "label truncate", title: column.slice(0, 200) }, bdi(column || "(no name)")), input({ class: "input", dir: "auto", value: cells[column] ?? "", "aria-invalid": column === item.column ? "true" : undefined, onInput: (/** @type {any} */ event) => setCells({ ...cells, [column]: event.target.value }) })),
      ),
    ),
  );
}
