/** Whom do I call first? Customers in order of what is at stake, with reasons and what to do. */
import { h, useEffect, useRef, useState } from "../vendor/ui.js";
import { ApiProblem, get, send } from "../api.js";
import { Risk } from "../components/badges.js";
import { Button } from "../components/button.js";
import { Empty, Note, Problem, Skeleton, toast } from "../components/feedback.js";
import { useData } from "../components/loading.js";
import { Pages } from "../components/pages.js";
import { Search } from "../components/search.js";
import { money, number } from "../format.js";
import { address, filter, location } from "../router.js";
import { tags } from "../tags.js";
import { Customer } from "./customer.js";
import { Reason } from "./reason.js";

const { bdi, button, div, option, p, select, span, table, tbody, td, th, thead, tr } = tags;

const LIMIT = 100;

/** @param {{ prediction: any, path: string }} props */
export function Worklist({ prediction, path }) {
  const query = location.value.query;
  const { value } = prediction.summary;
  const currency = value?.currency ?? null;
  const hasValue = Boolean(value);
  const filters = { order: query.get("order") ?? (hasValue ? "value" : "risk"), risk: query.get("risk") ?? "", reason: query.get("reason") ?? "", customer_id: query.get("customer") ?? "", cursor: query.get("cursor") ?? "" };
  const list = useData((signal) => get(`${path}/rows`, { ...filters, limit: LIMIT }, signal), [path, filters]);
  const open = query.get("row");
  const [at, setAt] = useState(0);
  const items = /** @type {any[]} */ (list.data?.items ?? []);
  const body = useKeys(items, at, setAt);

  return div(
    { class: "stack" },
    !hasValue && h(Note, { action: h(Button, { label: "Say which column it is", small: true, href: address(["new"], { upload: prediction.upload.upload_id }) }) }, p("No column says what customers pay, so they are in order of risk.")),
    div(
      { class: "row spread filters", style: { "--gap": "0.75rem" } },
      div(
        { class: "row" },
        hasValue && choice("Order", filters.order, [["value", "Value at risk"], ["risk", "Risk"], ["file", "File"]], (order) => filter({ order, cursor: null })),
        choice("Risk", filters.risk, [["", "All"], ["HIGH", "High"], ["MEDIUM", "Medium"], ["LOW", "Low"]], (risk) => filter({ risk, cursor: null })),
        select(
          { class: "input", style: { width: "10.5rem" }, "aria-label": "Reason", value: filters.reason, onChange: (/** @type {any} */ event) => filter({ reason: event.target.value, cursor: null }) },
          option({ value: "" }, "Any reason"),
          ...prediction.summary.drivers.map((/** @type {any} */ driver) => option({ value: driver.feature }, driver.label)),
        ),
      ),
      div({ class: "row" }, h(Search, { label: "Find a customer id", placeholder: "Customer id", value: filters.customer_id, search: (customer) => filter({ customer, cursor: null }) }), h(Button, { label: "Print", icon: "printer", iconOnly: true, onClick: () => print() }), h(Export, { path, filters, prediction })),
    ),
    list.error ? h(Problem, { error: list.error, retry: list.reload }) : null,
    list.loading && !list.data ? div({ class: "card" }, div({ class: "body" }, h(Skeleton, { lines: 10 }))) : null,
    list.data && !items.length && div({ class: "card" }, h(Empty, { icon: "users", title: "No customer matches", action: h(Button, { label: "Clear filters", onClick: () => filter({ risk: null, reason: null, customer: null, cursor: null }) }) }, filters.customer_id ? ["Nobody in this file has the id ", bdi(filters.customer_id.slice(0, 200)), "."] : "Try another risk level or another reason.")),
    items.length > 0 &&
      div(
        { class: "table-frame" },
        table(
          { class: "table stacked worklist" },
          tags.caption({ class: "unseen" }, "Customers to call, the first first"),
          thead(tr(th({ scope: "col" }, "Customer"), th({ scope: "col", class: "shrink" }, "Risk"), hasValue && th({ scope: "col", class: "figure" }, "Value at risk"), th({ scope: "col" }, "Why"), th({ scope: "col" }, "What to do"))),
          tbody({ ref: body }, ...items.map((row, index) => h(Row, { key: row.row_number, row, selected: index === at, hasValue, currency, select: () => setAt(index) }))),
        ),
      ),
    list.data && h(Pages, { cursor: filters.cursor, next: list.data.next_cursor, note: list.data.truncated && "The worklist holds the 100,000 customers with the highest risk. In order of the file, all are listed.", onNext: () => setAt(0) }),
    open && h(Customer, { key: open, prediction, path, row: open, close: () => filter({ row: null }) }),
  );
}

/** @param {string} name @param {string} value @param {string[][]} options @param {(value: string) => void} set */
function choice(name, value, options, set) {
  return div({ class: "segments", role: "group", "aria-label": name }, ...options.map(([key = "", label]) => button({ type: "button", "aria-pressed": key === value ? "true" : "false", onClick: () => set(key) }, label)));
}

/** @param {{ row: any, selected: boolean, hasValue: boolean, currency: string | null, select: () => void }} props */
function Row({ row, selected, hasValue, currency, select }) {
  const against = row.reasons.find((/** @type {any} */ reason) => reason.effect > 0 && reason.action);
  return tr(
    { "data-row": true, "aria-selected": selected ? "true" : undefined, onClick: (/** @type {any} */ event) => (select(), !event.target.closest("button") && filter({ row: row.row_number })) },
    td({ class: "name" }, button({ type: "button", class: "strong truncate", title: row.customer_id.slice(0, 200), onClick: () => filter({ row: row.row_number }) }, bdi(row.customer_id.slice(0, 200))), span({ class: "tiny soft" }, `row ${number(row.row_number)}`, row.already_left && " · has left already")),
    td({ class: "shrink" }, h(Risk, { probability: row.churn_probability, level: row.risk_level })),
    hasValue && td({ class: "figure", "data-label": "Value at risk" }, span({ class: "strong" }, row.value_at_risk === null ? "–" : money(row.value_at_risk, currency)), row.customer_value !== null && span({ class: "tiny soft", style: { display: "block" } }, `of ${money(row.customer_value, currency)}`)),
    td({ class: "reasons" }, div({ class: "row", style: { "--gap": "0.25rem" } }, ...row.reasons.map((/** @type {any} */ reason) => h(Reason, { reason, title: `Only customers with this reason: ${reason.label}`, onClick: () => filter({ reason: reason.feature, cursor: null }) })))),
    td({ class: "soft small action" }, against?.action ?? "–"),
  );
}

/** @param {{ path: string, filters: any, prediction: any }} props */
function Export({ path, filters, prediction }) {
  const [busy, setBusy] = useState(false);
  const save = async () => {
    setBusy(true);
    try {
      const answer = await send("GET", `${path}/export`, { query: { order: filters.order, risk: filters.risk }, headers: { Accept: "text/csv" } });
      const url = URL.createObjectURL(await answer.blob());
      const link = Object.assign(document.createElement("a"), { href: url, download: `worklist-${prediction.prediction_id}.csv` });
      link.click();
      URL.revokeObjectURL(url);
    } catch (error) {
      toast(error instanceof ApiProblem ? `${error.title} ${error.detail}` : String(error), "bad");
    }
    setBusy(false);
  };
  return h(Button, { label: "Export for a CRM", icon: "download", busy, onClick: save });
}

/**
 * `j` and `k` go from row to row; Enter then opens the customer, as the row's first button does.
 * @param {any[]} items @param {number} at @param {(at: number) => void} setAt
 */
function useKeys(items, at, setAt) {
  const body = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    const press = (/** @type {KeyboardEvent} */ event) => {
      const target = /** @type {HTMLElement} */ (event.target);
      if (event.metaKey || event.ctrlKey || event.altKey || target.closest("textarea, select, dialog")) return;
      const isOnRow = body.current?.contains(target);
      const next = event.key === "j" ? (isOnRow ? at + 1 : at) : event.key === "k" ? at - 1 : null;
      if (next === null || !items[next]) return;
      setAt(next);
      /** @type {HTMLElement | null | undefined} */ (body.current?.children[next]?.querySelector("button"))?.focus();
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, [items, at]);
  return body;
}
