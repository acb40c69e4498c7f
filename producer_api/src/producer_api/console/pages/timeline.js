/** What happened, provably? Events, and the files with their digests. */
import { h, useEffect } from "../vendor/ui.js";
import { get } from "../api.js";
import { Button } from "../components/button.js";
import { Card } from "../components/card.js";
import { Copy, Problem, Skeleton } from "../components/feedback.js";
import { icon } from "../components/icon.js";
import { useData } from "../components/loading.js";
import { bytes, duration, exactTime, number } from "../format.js";
import { address } from "../router.js";
import { tags } from "../tags.js";

const { a, bdi, code, dd, div, dl, dt, li, ol, p, span, table, tbody, td, th, thead, time, tr } = tags;

/** A link that has expired helps nobody. */
const RENEWED_BEFORE_MS = 30_000;
const MIN_RENEWAL_MS = 5_000;

/** @type {Record<string, [string, string, (detail: any) => string]>} */
const EVENTS = {
  queued: ["clock", "Accepted", () => "The file is stored, and the work is queued."],
  running: ["play", "Started", (detail) => `Attempt ${number(detail.attempt)}.`],
  progress: ["activity", "Progress", (detail) => `${number(detail.rows)} rows${detail.total ? ` of about ${number(detail.total)}` : ""}.`],
  retrying: ["rotate-cw", "Stopped, will be tried again", (detail) => `Because of ${String(detail.reason).replaceAll("_", " ")}. No work is lost.`],
  completed: ["circle-check", "Completed", (detail) => `${number(detail.rows_scored)} scored, ${number(detail.rows_rejected)} rejected.`],
  failed: ["circle-x", "Failed", (detail) => `Code ${detail.code}.`],
  cancelled: ["circle-stop", "Cancelled", () => ""],
  expired: ["clock", "Expired", () => "Not scored before its deadline."],
};

/** @param {{ prediction: any, path: string }} props */
export function Timeline({ prediction, path }) {
  const events = useData((signal) => get(`${path}/events`, { limit: 500 }, signal), [path, prediction.status, prediction.progress?.rows]);
  const items = /** @type {any[]} */ (events.data?.items ?? []);
  const start = items[0] ? Date.parse(items[0].at) : 0;
  return div(
    { class: "grid", style: { "--column": "26rem", alignItems: "start" } },
    h(
      Card,
      { title: "What happened" },
      events.error ? h(Problem, { error: events.error, retry: events.reload }) : null,
      events.loading && !items.length ? h(Skeleton, { lines: 5 }) : null,
      ol(
        { class: "timeline" },
        ...items.map(({ sequence, type, at, detail }) => {
          const [sign, title, describe] = EVENTS[type] ?? ["info", type, () => ""];
          return li({ key: sequence, "data-type": type }, icon(sign), div({ class: "grow" }, div({ class: "row spread" }, span({ class: "strong" }, title), time({ class: "soft small number", dateTime: at, title: exactTime(at) }, `+${duration((Date.parse(at) - start) / 1_000)}`)), p({ class: "soft small" }, describe(detail))));
        }),
      ),
    ),
    div({ class: "stack" }, h(Facts, { prediction }), prediction.status === "COMPLETED" && h(Files, { path })),
  );
}

/** @param {{ prediction: any }} props */
function Facts({ prediction }) {
  const { upload, started_at: started, finished_at: finished, retry_of: retryOf, deadline } = prediction;
  const facts = [
    ["Prediction", code({ class: "wrap small" }, prediction.prediction_id)],
    retryOf && ["Second run of", a({ href: address(["predictions", retryOf, "timeline"]) }, code({ class: "wrap small" }, retryOf))],
    ["File", bdi(upload.file_name ?? "–")],
    ["Size", bytes(upload.size_bytes)],
    ["SHA-256", code({ class: "wrap small" }, upload.sha256)],
    ["Model", a({ href: address(["models", prediction.model]) }, prediction.model)],
    ["Requested", exactTime(prediction.requested_at)],
    deadline && ["Deadline", exactTime(deadline)],
    started && finished && ["Scored in", duration((Date.parse(finished) - Date.parse(started)) / 1_000)],
    ["Attempts", number(prediction.attempt)],
  ].filter((fact) => Array.isArray(fact));
  return h(Card, { title: "Facts", actions: h(Copy, { text: prediction.prediction_id, label: "Copy id" }) }, dl({ class: "facts" }, ...facts.flatMap(([name, value]) => [dt(name), dd(value)])));
}

/** @param {{ path: string }} props */
function Files({ path }) {
  const result = useData((signal) => get(`${path}/result`, {}, signal), [path]);
  useEffect(() => {
    if (!result.data) return;
    const left = Date.parse(result.data.expires_at) - Date.now();
    const timer = setTimeout(result.reload, Math.max(MIN_RENEWAL_MS, left - RENEWED_BEFORE_MS));
    return () => clearTimeout(timer);
  }, [result.data]);
  return h(
    Card,
    { title: "Files", note: "The links work for a few minutes, and are renewed while this page is open.", table: result.data && h(FileTable, { files: result.data.files }) },
    result.error ? h(Problem, { error: result.error, retry: result.reload }) : result.data ? null : h(Skeleton, { lines: 4 }),
  );
}

/** @param {{ files: any[] }} props */
function FileTable({ files }) {
  return div(
    { class: "table-frame", tabindex: "0", role: "region", "aria-label": "Files", style: { marginBlockStart: "1rem" } },
    table(
      { class: "table" },
      thead(tr(th({ scope: "col" }, "File"), th({ scope: "col", class: "figure" }, "Size"), th({ scope: "col", class: "wide" }, "SHA-256"), th({ scope: "col" }, span({ class: "unseen" }, "Download")))),
      tbody(
        ...files.map((file) =>
          tr(
            { key: file.name },
            td({ class: "strong" }, file.name),
            td({ class: "figure" }, bytes(file.size_bytes)),
            td({ class: "wide" }, code({ class: "small soft", title: file.sha256 }, `${file.sha256.slice(0, 16)}…`)),
            td({ class: "shrink" }, h(Button, { label: `Download ${file.name}`, icon: "download", iconOnly: true, small: true, kind: "quiet", href: file.url })),
          ),
        ),
      ),
    ),
  );
}
