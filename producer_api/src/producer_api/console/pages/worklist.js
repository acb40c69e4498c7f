/** Whom do I call first? Customers in order of what is at stake, with reasons and what to do. */
import { h, useEffect, useRef, useState } from "../vendor/ui.js";
import { ApiProblem, get, send } from "../api.js";
import { Risk } from "../components/badges.js";
import { Button } from "../components/button.js";
import { Empty, Note, Problem, Skeleton, toast } from "../components/feedback.js";
import { icon } from "../components/icon.js";
import { useData } from "../components/loading.js";
import { money } from "../format.js";
import { filter, location } from "../router.js";
import { tags } from "../tags.js";
import { Customer } from "./customer.js";

const { button, div, input, p, span, table, tbody, td, th, thead, tr } = tags;

const LIMIT = 100;

/** @param {{ prediction: any, path: string }} props */
export function Worklist({ prediction, path }) {
  const query = location.value.query;
  const currency = prediction.options?.currency ?? prediction.summary.value?.currency ?? null;
  const hasValue = Boolean(prediction.summary.value);
  const filters = { order: query.get("order") ?? (hasValue ? "value" : "risk"), risk: query.get("risk") ?? "", reason: query.get("reason") ?? "", customer_id: query.get("customer") ?? "", cursor: query.get("cursor") ?? "" };
  const list = useData((signal) => get(`${path}/rows`, { ...filters, limit: LIMIT }, signal), [path, filters]);
  const open = query.get("row");
  const [at, setAt] = useState(0);
  const items = /** @type {any[]} */ (list.data?.items ?? []);
  useKeys(items, at, setAt, (row) => filter({ row: row.row_number }));

  return div(
    { class: "stack" },
    !hasValue && h(Note, {}, p("No column says what customers pay, so they are in order of risk. Map one to “What the customer pays” to see the value at risk.")),
    div(
      { class: "row spread filters", style: { "--gap": "0.75rem" } },
      div(
        { class: "row" },
        hasValue && choice("Order", filters.order, [["value", "Value at risk"], ["risk", "Risk"], ["file", "File"]], (order) => filter({ order, cursor: null })),
        choice("Risk", filters.risk, [["", "All"], ["HIGH", "High"], ["MEDIUM", "Medium"], ["LOW", "Low"]], (risk) => filter({ risk, cursor: null })),
        filters.reason && button({ type: "button", class: "chip plain", "aria-pressed": "true", onClick: () => filter({ reason: null, cursor: null }) }, `Reason: ${featureLabel(prediction, filters.reason)}`, icon("x")),
      ),
      div({ class: "row" }, h(Find, { value: filters.customer_id }), h(Button, { label: "Print", icon: "printer", iconOnly: true, onClick: () => print() }), h(Export, { path, filters, prediction })),
    ),
    list.error ? h(Problem, { error: list.error, retry: list.reload }) : null,
    list.loading && !list.data ? div({ class: "card" }, div({ class: "body" }, h(Skeleton, { lines: 10 }))) : null,
    list.data && !items.length && div({ class: "card" }, h(Empty, { icon: "users", title: "No customer matches", action: h(Button, { label: "Clear filters", onClick: () => filter({ risk: null, reason: null, customer: null, cursor: null }) }) }, filters.customer_id ? `Nobody in this file has the id “${filters.customer_id}”.` : "Try another risk level or another reason.")),
    items.length > 0 &&
      div(
        { class: "table-frame" },
        table(
          { class: "table worklist" },
          thead(tr(th({ scope: "col" }, "Customer"), th({ scope: "col", class: "shrink" }, "Risk"), hasValue && th({ scope: "col", class: "figure" }, "Value at risk"), th({ scope: "col" }, "Why"), th({ scope: "col" }, "What to do"))),
          tbody(...items.map((row, index) => h(Row, { key: row.row_number, row, selected: index === at, hasValue, currency, select: () => setAt(index) }))),
        ),
      ),
    list.data &&
      div(
        { class: "row spread no-print" },
        filters.cursor ? h(Button, { label: "First page", icon: "chevron-left", small: true, onClick: () => filter({ cursor: null }) }) : span({ class: "faint small" }, list.data.truncated ? "The worklist holds the 100,000 customers with the highest risk. The whole file is in the download." : ""),
        list.data.next_cursor && h(Button, { label: "Next", icon: "chevron-right", small: true, onClick: () => (filter({ cursor: list.data.next_cursor }), setAt(0), scrollTo({ top: 0 })) }),
      ),
    open && h(Customer, { key: open, prediction, path, row: open, currency, close: () => filter({ row: null }) }),
  );
}

/** @param {any} prediction @param {string} feature */
export const featureLabel = (prediction, feature) => prediction.summary.drivers.find((/** @type {any} */ driver) => driver.feature === feature)?.label ?? feature;

/** @param {string} name @param {string} value @param {string[][]} options @param {(value: string) => void} set */
function choice(name, value, options, set) {
  return div({ class: "segments", role: "group", "aria-label": name }, ...options.map(([key = "", label]) => button({ type: "button", "aria-pressed": key === value ? "true" : "false", onClick: () => set(key) }, label)));
}

/** @param {{ row: any, selected: boolean, hasValue: boolean, currency: string | null, select: () => void }} props */
function Row({ row, selected, hasValue, currency, select }) {
  const frame = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    if (selected) frame.current?.scrollIntoView({ block: "nearest" });
  }, [selected]);
  const against = row.reasons.filter((/** @type {any} */ reason) => reason.effect > 0);
  return tr(
    { ref: frame, "data-row": true, "aria-selected": selected ? "true" : undefined, onClick: (/** @type {any} */ event) => (select(), !event.target.closest("button") && filter({ row: row.row_number })) },
    td({ style: { maxWidth: "14rem" } }, button({ type: "button", class: "strong truncate", style: { padding: 0, maxWidth: "100%", display: "block" }, onClick: () => filter({ row: row.row_number }) }, row.customer_id), span({ class: "tiny faint" }, `row ${row.row_number}`)),
    td({ class: "shrink" }, h(Risk, { probability: row.churn_probability, level: row.risk_level })),
    hasValue && td({ class: "figure" }, row.value_at_risk === null ? "–" : money(row.value_at_risk, currency), row.customer_value !== null && span({ class: "tiny faint", style: { display: "block" } }, `of ${money(row.customer_value, currency)}`)),
    td(div({ class: "row", style: { "--gap": "0.25rem" } }, ...row.reasons.slice(0, 3).map((/** @type {any} */ reason) => button({ type: "button", class: `chip ${reason.effect >= 0 ? "raises" : "lowers"}`, title: `Only customers with this reason`, onClick: () => filter({ reason: reason.feature, cursor: null }) }, reason.text)))),
    td({ class: "soft small", style: { minWidth: "12rem" } }, against[0]?.action ?? row.action ?? "–"),
  );
}

/** @param {{ value: string }} props */
function Find({ value }) {
  const timer = useRef(0);
  return div({ class: "search", style: { width: "13rem" } }, icon("search"), input({ class: "input", type: "search", "aria-label": "Find a customer id", placeholder: "Customer id", defaultValue: value, onInput: (/** @type {any} */ event) => (clearTimeout(timer.current), (timer.current = window.setTimeout(() => filter({ customer: event.target.value.trim(), cursor: null }), 300))) }), tags.kbd("/"));
}

/** @param {{ path: string, filters: any, prediction: any }} props */
function Export({ path, filters, prediction }) {
  const [busy, setBusy] = useState(false);
  const save = async () => {
    setBusy(true);
    try {
      const answer = await send("GET", `${path}/export`, { query: { order: filters.order === "file" ? "risk" : filters.order, risk: filters.risk }, headers: { Accept: "text/csv" } });
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

/** @param {any[]} items @param {number} at @param {(at: number) => void} setAt @param {(row: any) => void} open */
function useKeys(items, at, setAt, open) {
  useEffect(() => {
    const press = (/** @type {KeyboardEvent} */ event) => {
      const target = /** @type {HTMLElement} */ (event.target);
      if (event.metaKey || event.ctrlKey || event.altKey || target.closest("input, textarea, select, dialog")) return;
      if (event.key === "j") setAt(Math.min(items.length - 1, at + 1));
      else if (event.key === "k") setAt(Math.max(0, at - 1));
      else if (event.key === "Enter" && items[at] && !target.closest("a, button")) open(items[at]);
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, [items, at]);
}
