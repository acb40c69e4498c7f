/** What do I mend? Rejected rows by cause, mended in place and sent again. */
import { h, useState } from "../vendor/ui.js";
import { get, post, send } from "../api.js";
import { Button } from "../components/button.js";
import { Empty, Note, Problem, Skeleton } from "../components/feedback.js";
import { useData } from "../components/loading.js";
import { number, plural } from "../format.js";
import { filter, go, location, address } from "../router.js";
import { tags } from "../tags.js";

const { button, code, div, input, p, span, table, tbody, td, th, thead, tr } = tags;

const LIMIT = 100;

/** What a code means to a person. */
const CAUSES = {
  missing_id: "No customer id",
  missing_value: "A required value is missing",
  not_a_number: "Not a number",
  out_of_range: "Out of range",
  wrong_cell_count: "Too many or too few cells",
};

/** @param {{ prediction: any, path: string }} props */
export function Rejected({ prediction, path }) {
  const query = location.value.query;
  const filters = { code: query.get("code") ?? "", column: query.get("column") ?? "", cursor: query.get("cursor") ?? "" };
  const list = useData((signal) => get(`${path}/rejected`, { ...filters, limit: LIMIT }, signal), [path, filters]);
  const [edits, setEdits] = useState(/** @type {Record<string, Record<string, string>>} */ ({}));
  if (!prediction.rows.rejected) return div({ class: "card" }, h(Empty, { icon: "circle-check", title: "All rows were scored" }, "Nothing in this file has to be mended."));
  const groups = /** @type {any[]} */ (list.data?.groups ?? []);
  const items = /** @type {any[]} */ (list.data?.items ?? []);
  const set = (/** @type {number} */ row, /** @type {string} */ column, /** @type {string} */ value) => setEdits({ ...edits, [row]: { ...edits[row], [column]: value } });
  return div(
    { class: "stack" },
    p({ class: "soft" }, `${plural(prediction.rows.rejected, "row")} of ${number(prediction.rows.total)} could not be scored. All others were.`),
    list.error ? h(Problem, { error: list.error, retry: list.reload }) : null,
    div(
      { class: "grid", style: { "--column": "18rem" } },
      ...groups.map((group) =>
        button(
          { type: "button", class: "card choice", "aria-pressed": filters.code === group.code && filters.column === (group.column ?? "") ? "true" : "false", onClick: () => filter(filters.code === group.code && filters.column === (group.column ?? "") ? { code: null, column: null, cursor: null } : { code: group.code, column: group.column, cursor: null }) },
          span({ class: "row spread" }, span({ class: "strong" }, CAUSES[/** @type {keyof typeof CAUSES} */ (group.code)] ?? group.code), span({ class: "badge warn" }, number(group.rows ?? group.count))),
          group.column && code({ class: "small soft" }, group.column),
          span({ class: "soft small" }, group.hint),
        ),
      ),
    ),
    list.loading && !list.data ? div({ class: "card" }, div({ class: "body" }, h(Skeleton, { lines: 6 }))) : null,
    items.length > 0 && h(Cells, { items, edits, set }),
    div(
      { class: "row spread" },
      filters.cursor ? h(Button, { label: "First page", icon: "chevron-left", small: true, onClick: () => filter({ cursor: null }) }) : span(),
      list.data?.next_cursor && h(Button, { label: "Next", icon: "chevron-right", small: true, onClick: () => filter({ cursor: list.data.next_cursor }) }),
    ),
    h(Resend, { prediction, path, edits }),
  );
}

/** @param {{ items: any[], edits: Record<string, Record<string, string>>, set: (row: number, column: string, value: string) => void }} props */
function Cells({ items, edits, set }) {
  return div(
    { class: "table-frame" },
    table(
      { class: "table" },
      thead(tr(th({ scope: "col", class: "shrink" }, "Row"), th({ scope: "col" }, "What is wrong"), th({ scope: "col" }, "Column"), th({ scope: "col" }, "Value"))),
      tbody(
        ...items.map((item) => {
          const column = item.column;
          const value = edits[item.row_number]?.[column] ?? item.values?.[column] ?? item.value ?? "";
          return tr(
            td({ class: "shrink number" }, number(item.row_number)),
            td(span({ class: "strong" }, CAUSES[/** @type {keyof typeof CAUSES} */ (item.code)] ?? item.code), div({ class: "soft small" }, item.hint)),
            td(column ? code(column) : "–"),
            td(column && item.values ? input({ class: "input", value, "aria-label": `Row ${item.row_number}, ${column}`, "data-edited": edits[item.row_number]?.[column] !== undefined ? "true" : undefined, onInput: (/** @type {any} */ event) => set(item.row_number, column, event.target.value) }) : code(item.value ?? "")),
          );
        }),
      ),
    ),
  );
}

/** @param {{ prediction: any, path: string, edits: Record<string, Record<string, string>> }} props */
function Resend({ prediction, path, edits }) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(/** @type {unknown} */ (null));
  const count = Object.keys(edits).length;
  const resend = async () => {
    setBusy(true);
    setError(null);
    try {
      const file = await mended(path, edits);
      const form = new FormData();
      form.append("file", file, `mended-${prediction.upload.file_name ?? "rows.csv"}`);
      const upload = await (await send("POST", "/v1/uploads", { body: form })).json();
      const begun = await post("/v1/predictions", { upload_id: upload.upload_id, model: prediction.model, mapping: prediction.mapping ?? {}, label: `${(prediction.label ?? prediction.upload.file_name ?? "Rows").slice(0, 90)}, mended` });
      go(address(["predictions", begun.prediction_id]));
    } catch (problem) {
      setError(problem);
      setBusy(false);
    }
  };
  return div(
    { class: "stack" },
    error !== null && h(Problem, { error }),
    h(Note, { icon: "pencil", action: h(Button, { label: count ? `Send ${plural(count, "mended row")}` : "Send mended rows", kind: "primary", small: true, busy, disabled: !count, onClick: resend }) }, p(count ? `${plural(count, "row")} mended. They are scored as a file of their own.` : "Mend values in the table and send the rows again, or download rejected.csv, mend it in a spreadsheet and upload it: the added columns are ignored.")),
  );
}

/** A CSV of the mended rows, with the file's own columns. @param {string} path @param {Record<string, Record<string, string>>} edits */
async function mended(path, edits) {
  const rows = [];
  let cursor = null;
  let columns = /** @type {string[]} */ ([]);
  do {
    const page = /** @type {any} */ (await get(`${path}/rejected`, { limit: 500, cursor }));
    columns = page.columns ?? columns;
    for (const item of page.items) if (edits[item.row_number]) rows.push({ ...item.values, ...edits[item.row_number] });
    cursor = page.next_cursor;
  } while (cursor && rows.length < Object.keys(edits).length);
  const cell = (/** @type {unknown} */ value) => (/[",\r\n]/.test(String(value ?? "")) ? `"${String(value).replaceAll('"', '""')}"` : String(value ?? ""));
  const text = [columns.map(cell).join(","), ...rows.map((row) => columns.map((column) => cell(row[column])).join(","))].join("\r\n");
  return new Blob([text, "\r\n"], { type: "text/csv" });
}
