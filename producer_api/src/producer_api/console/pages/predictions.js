/** What happened lately? The list of predictions, live, with what can be done to several at once. */
import { h, useEffect, useMemo, useState } from "../vendor/ui.js";
import { ApiProblem, get, post, send } from "../api.js";
import { status } from "../components/badges.js";
import { Button } from "../components/button.js";
import { Confirm } from "../components/dialog.js";
import { Empty, Problem, Skeleton, toast } from "../components/feedback.js";
import { useData } from "../components/loading.js";
import { Pages } from "../components/pages.js";
import { Search } from "../components/search.js";
import { PageHead } from "../components/shell.js";
import { ago, exactTime, money, number, percent, plural } from "../format.js";
import { address, filter, go, location } from "../router.js";
import { tags } from "../tags.js";
import { startSample } from "./sample.js";

const { a, bdi, div, input, p, span, table, tbody, td, th, thead, time, tr } = tags;

const STATUSES = [["", "All"], ["RUNNING,QUEUED", "In progress"], ["COMPLETED", "Completed"], ["FAILED", "Failed"], ["CANCELLED", "Cancelled"]];
const FINAL = new Set(["COMPLETED", "FAILED", "CANCELLED", "EXPIRED"]);
const REFRESH_MS = 2_000;

/** @typedef {Record<string, any>} Prediction as the API answers it */

export function Predictions() {
  const query = location.value.query;
  const filters = { status: query.get("status") ?? "", q: query.get("q") ?? "", label: query.get("label") ?? "", cursor: query.get("cursor") ?? "" };
  const list = useData((signal) => get("/v1/predictions", { ...filters, status: filters.status.split(","), limit: 50 }, signal), [filters]);
  const [chosen, setChosen] = useState(/** @type {Set<string>} */ (new Set()));
  const items = /** @type {Prediction[]} */ (list.data?.items ?? []);
  useLive(items, list.reload);
  const picked = items.filter((item) => chosen.has(item.prediction_id));
  const filtered = filters.status || filters.q || filters.label;

  return [
    h(PageHead, { title: "Predictions", actions: h(Button, { label: "New prediction", icon: "plus", kind: "primary", href: address(["new"]) }) }, "Every file that was scored, and what became of it."),
    div(
      { class: "row filters spread", style: { "--gap": "0.75rem" } },
      div({ class: "segments", role: "group", "aria-label": "Status" }, ...STATUSES.map(([value, label]) => tags.button({ type: "button", "aria-pressed": filters.status === value ? "true" : "false", onClick: () => filter({ status: value, cursor: null }) }, label))),
      h(Search, { label: "Search labels and file names", placeholder: "Search labels and files", value: filters.q, search: (q) => filter({ q, cursor: null }) }),
    ),
    picked.length > 0 && h(Bulk, { picked, done: () => (setChosen(new Set()), list.reload()) }),
    list.error && !list.data ? h(Problem, { error: list.error, retry: list.reload }) : null,
    list.loading && !list.data ? div({ class: "card" }, div({ class: "body" }, h(Skeleton, { lines: 6 }))) : null,
    list.data && items.length === 0 && (filtered ? h(Nothing, {}) : h(First, {})),
    items.length > 0 && h(List, { items, chosen, setChosen }),
    list.data && h(Pages, { cursor: filters.cursor, next: list.data.next_cursor }),
  ];
}

/** Load the list again while something in it is under way and the page is looked at. @param {Prediction[]} items @param {() => void} reload */
function useLive(items, reload) {
  const live = items.some((item) => !FINAL.has(item.status));
  useEffect(() => {
    if (!live) return;
    const timer = setInterval(() => document.visibilityState === "visible" && reload(), REFRESH_MS);
    return () => clearInterval(timer);
  }, [live]);
}

/** @param {{ items: Prediction[], chosen: Set<string>, setChosen: (chosen: Set<string>) => void }} props */
function List({ items, chosen, setChosen }) {
  const all = items.every((item) => chosen.has(item.prediction_id));
  const toggle = (/** @type {string} */ id) => {
    const next = new Set(chosen);
    if (!next.delete(id)) next.add(id);
    setChosen(next);
  };
  return div(
    { class: "table-frame" },
    table(
      { class: "table stacked predictions" },
      thead(
        tr(
          th({ class: "shrink" }, input({ type: "checkbox", checked: all, "aria-label": "Choose all on this page", onChange: () => setChosen(new Set(all ? [] : items.map((item) => item.prediction_id))) })),
          th({ scope: "col" }, "File"),
          th({ scope: "col", class: "shrink" }, "Status"),
          th({ scope: "col", class: "figure" }, "Customers"),
          th({ scope: "col", class: "figure" }, "Expected to leave"),
          th({ scope: "col", class: "figure" }, "Value at risk"),
          th({ scope: "col" }, "Model"),
          th({ scope: "col", class: "figure" }, "Requested"),
        ),
      ),
      tbody(...items.map((item) => h(Row, { key: item.prediction_id, item, chosen: chosen.has(item.prediction_id), toggle }))),
    ),
  );
}

/** @param {{ item: Prediction, chosen: boolean, toggle: (id: string) => void }} props */
function Row({ item, chosen, toggle }) {
  const target = address(["predictions", item.prediction_id]);
  const name = item.label ?? item.upload.file_name ?? "Untitled file";
  const { expected_churners: leavers = null, value = null } = item.summary ?? {};
  const remaining = item.rows ? item.rows.scored - item.summary.already_left : 0;
  return tr(
    { "data-row": true, "aria-selected": chosen ? "true" : undefined, onClick: (/** @type {any} */ event) => !event.target.closest("a, input, button") && go(target) },
    td({ class: "shrink" }, input({ type: "checkbox", checked: chosen, "aria-label": `Choose ${name}`, onChange: () => toggle(item.prediction_id) })),
    td(
      { class: "name" },
      a({ href: target, class: "strong truncate", title: name }, bdi(name)),
      item.label && item.upload.file_name && div({ class: "tiny soft truncate" }, bdi(item.upload.file_name)),
      item.failure && div({ class: "tiny bad-text truncate", title: item.failure.message }, item.failure.message),
    ),
    td({ class: "shrink" }, status(item.status, item.phase), h(Progress, { item })),
    td({ class: item.rows ? "figure" : "figure nothing", "data-label": "Customers" }, item.rows ? number(item.rows.scored) : "–", item.rows?.rejected > 0 && div({ class: "tiny soft" }, `${number(item.rows.rejected)} rejected`)),
    td({ class: item.summary ? "figure" : "figure nothing", "data-label": "Expected to leave" }, leavers ? number(Math.round(leavers)) : "–", leavers && remaining > 0 && div({ class: "tiny soft" }, percent(leavers / remaining))),
    td({ class: value ? "figure" : "figure nothing", "data-label": "Value at risk" }, value ? money(value.expected_loss, value.currency) : "–", value && div({ class: "tiny soft" }, `a ${value.period}`)),
    td({ class: "soft small", "data-label": "Model" }, item.model),
    td({ class: "figure soft small", "data-label": "Requested" }, time({ dateTime: item.requested_at, title: exactTime(item.requested_at) }, ago(item.requested_at))),
  );
}

/** @param {{ item: Prediction }} props */
function Progress({ item }) {
  if (item.status !== "RUNNING" || !item.progress?.rows) return null;
  const share = item.progress.expected_rows ? Math.min(1, item.progress.rows / item.progress.expected_rows) : null;
  return div({ style: { width: "7rem", marginBlockStart: "0.375rem" } }, div({ class: `bar ${share === null ? "unknown" : ""}`, role: "progressbar", "aria-label": "Rows scored", "aria-valuenow": share === null ? undefined : Math.round(share * 100) }, span({ style: share === null ? {} : { width: `${share * 100}%` } })));
}

/** What can be done to the chosen predictions, with their exact number. @param {{ picked: Prediction[], done: () => void }} props */
function Bulk({ picked, done }) {
  const [asking, setAsking] = useState("");
  const [busy, setBusy] = useState(false);
  const groups = useMemo(
    () => ({
      cancel: picked.filter((item) => !FINAL.has(item.status)),
      retry: picked.filter((item) => FINAL.has(item.status) && item.status !== "COMPLETED"),
      delete: picked.filter((item) => FINAL.has(item.status)),
    }),
    [picked],
  );
  const act = async (/** @type {"cancel" | "retry" | "delete"} */ kind) => {
    setBusy(true);
    let finished = 0;
    let refused = 0;
    for (const item of groups[kind]) {
      try {
        if (kind === "delete") await send("DELETE", `/v1/predictions/${item.prediction_id}`);
        else await post(`/v1/predictions/${item.prediction_id}/${kind}`);
        finished += 1;
      } catch (error) {
        if (!(error instanceof ApiProblem)) throw error;
        refused += 1;
      }
    }
    setBusy(false);
    setAsking("");
    const words = { cancel: "cancelled", retry: "started again", delete: "deleted" };
    toast(`${plural(finished, "prediction")} ${words[kind]}${refused ? `, ${number(refused)} could not be` : ""}.`, refused ? "bad" : "good");
    done();
  };
  const kind = /** @type {"cancel" | "retry" | "delete"} */ (asking);
  const verbs = { cancel: "Cancel", retry: "Retry", delete: "Delete" };
  return div(
    { class: "note spread row", role: "region", "aria-label": "Chosen predictions" },
    p({ class: "strong" }, `${plural(picked.length, "prediction")} chosen`),
    div(
      { class: "row" },
      ...Object.entries(verbs).map(([name, verb]) => {
        const count = groups[/** @type {keyof typeof groups} */ (name)].length;
        return count > 0 && h(Button, { key: name, label: `${verb} ${number(count)}`, small: true, kind: name === "delete" ? "danger" : undefined, onClick: () => (name === "retry" ? act("retry") : setAsking(name)), busy: busy && name === "retry" });
      }),
    ),
    asking && h(Confirm, { title: `${verbs[kind]} ${plural(groups[kind].length, "prediction")}?`, label: `${verbs[kind]} ${number(groups[kind].length)}`, busy, confirm: () => act(kind), close: () => setAsking("") }, p(kind === "delete" ? "Their files, scores and history are deleted. Only a receipt stays. This cannot be undone." : "Those that are being scored stop within a second. Their files stay, so you can start them again.")),
  );
}

function Nothing() {
  return div({ class: "card" }, h(Empty, { icon: "search", title: "No prediction matches", action: h(Button, { label: "Clear filters", onClick: () => filter({ status: null, q: null, label: null, cursor: null }) }) }, "Try another word or another status."));
}

function First() {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(/** @type {unknown} */ (null));
  const sample = async () => {
    setBusy(true);
    try {
      go(address(["predictions", await startSample()]));
    } catch (problem) {
      setError(problem);
      setBusy(false);
    }
  };
  return div(
    { class: "card" },
    h(Empty, { icon: "file-spreadsheet", title: "Find out who is about to leave", action: [div({ class: "row" }, h(Button, { label: "Upload a customer file", icon: "upload", kind: "primary", href: address(["new"]) }), h(Button, { label: "Score a sample", icon: "play", busy, onClick: sample })), error !== null && h(Problem, { error })] }, "Upload a CSV of your customers. You get a probability for each, the reasons behind it, and a list of whom to call first."),
  );
}
