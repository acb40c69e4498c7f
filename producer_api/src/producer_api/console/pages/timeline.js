/** What happened, provably? Events, and the files with their digests. */
import { h, useEffect } from "../vendor/ui.js";
import { get } from "../api.js";
import { Button } from "../components/button.js";
import { Copy, Problem, Skeleton } from "../components/feedback.js";
import { icon } from "../components/icon.js";
import { useData } from "../components/loading.js";
import { bytes, duration, exactTime, number } from "../format.js";
import { tags } from "../tags.js";

const { a, code, dd, div, dl, dt, h2, header, li, ol, p, section, span, table, tbody, td, th, thead, time, tr } = tags;

/** @type {Record<string, [string, string, (detail: any) => string]>} */
const EVENTS = {
  queued: ["clock", "Accepted", () => "The file is stored, and the work is queued."],
  running: ["play", "Started", (detail) => `Attempt ${detail.attempt ?? 1}.`],
  progress: ["activity", "Progress", (detail) => `${number(detail.rows ?? 0)} rows${detail.total ? ` of about ${number(detail.total)}` : ""}.`],
  retrying: ["rotate-cw", "Stopped, will be tried again", (detail) => `Because of ${String(detail.reason ?? "an outage").replaceAll("_", " ")}. No work is lost.`],
  completed: ["circle-check", "Completed", (detail) => `${number(detail.rows_scored ?? 0)} scored, ${number(detail.rows_rejected ?? 0)} rejected.`],
  failed: ["circle-x", "Failed", (detail) => String(detail.code ?? "")],
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
    section(
      { class: "card" },
      header(h2("What happened")),
      div(
        { class: "body" },
        events.error ? h(Problem, { error: events.error, retry: events.reload }) : null,
        events.loading && !items.length ? h(Skeleton, { lines: 5 }) : null,
        ol(
          { class: "timeline" },
          ...items.map(({ sequence, type, at, detail }) => {
            const [sign, title, describe] = EVENTS[type] ?? ["info", type, () => ""];
            return li({ key: sequence, "data-type": type }, icon(sign), div({ class: "grow" }, div({ class: "row spread" }, span({ class: "strong" }, title), time({ class: "faint small number", dateTime: at, title: exactTime(at) }, `+${duration((Date.parse(at) - start) / 1_000)}`)), p({ class: "soft small" }, describe(detail ?? {}))));
          }),
        ),
      ),
    ),
    div({ class: "stack" }, h(Facts, { prediction }), prediction.status === "COMPLETED" && h(Files, { path })),
  );
}

/** @param {{ prediction: any }} props */
function Facts({ prediction }) {
  const facts = [
    ["Prediction", code({ class: "wrap" }, prediction.prediction_id)],
    ["File", prediction.upload.file_name ?? "–"],
    ["Size", bytes(prediction.upload.size_bytes)],
    ["SHA-256", code({ class: "wrap small" }, prediction.upload.sha256)],
    ["Model", prediction.model],
    ["Requested", exactTime(prediction.requested_at)],
    ["Attempts", number(prediction.attempt)],
  ];
  return section({ class: "card" }, header(h2("Facts"), h(Copy, { text: prediction.prediction_id, label: "Copy id" })), div({ class: "body" }, dl({ class: "facts" }, ...facts.flatMap(([name, value]) => [dt(name), dd(value)]))));
}

/** @param {{ path: string }} props */
function Files({ path }) {
  const result = useData((signal) => get(`${path}/result`, {}, signal), [path]);
  const expires = result.data ? Date.parse(result.data.expires_at) - Date.now() : 0;
  useEffect(() => {
    if (!result.data) return;
    const timer = setTimeout(result.reload, Math.max(1_000, expires - 30_000)); // a link that has expired helps nobody
    return () => clearTimeout(timer);
  }, [result.data]);
  return section(
    { class: "card" },
    header(h2("Files"), p("The links work for a few minutes and are renewed while this page is open.")),
    div({ class: "body", style: { paddingBlockEnd: "0.5rem" } }, result.error ? h(Problem, { error: result.error, retry: result.reload }) : null, !result.data && !result.error ? h(Skeleton, { lines: 4 }) : null),
    result.data &&
      div(
        { class: "table-frame" },
        table(
          { class: "table" },
          thead(tr(th({ scope: "col" }, "File"), th({ scope: "col", class: "figure" }, "Size"), th({ scope: "col" }, "SHA-256"), th(span({ class: "unseen" }, "Download")))),
          tbody(...result.data.files.map((/** @type {any} */ file) => tr(td({ class: "strong" }, a({ href: file.url, download: file.name }, file.name)), td({ class: "figure" }, bytes(file.size_bytes)), td(code({ class: "small soft", title: file.sha256 }, `${file.sha256.slice(0, 12)}…`)), td({ class: "shrink" }, h(Button, { label: `Download ${file.name}`, icon: "download", iconOnly: true, small: true, kind: "quiet", href: file.url }))))),
        ),
      ),
  );
}
