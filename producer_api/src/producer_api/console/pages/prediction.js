/** One prediction: what is happening while it runs, and what came of it. */
import { h, useEffect, useState } from "../vendor/ui.js";
import { ApiProblem, get, post, send, stream } from "../api.js";
import { status } from "../components/badges.js";
import { Button } from "../components/button.js";
import { Confirm } from "../components/dialog.js";
import { Note, Problem, Skeleton, toast } from "../components/feedback.js";
import { icon } from "../components/icon.js";
import { useData } from "../components/loading.js";
import { PageHead } from "../components/shell.js";
import { bytes, duration, number, percent, plural, time } from "../format.js";
import { address, go } from "../router.js";
import { tags } from "../tags.js";
import { Overview } from "./overview.js";
import { Rejected } from "./rejected.js";
import { Timeline } from "./timeline.js";
import { Worklist } from "./worklist.js";

const { a, bdi, div, input, nav, p, span } = tags;

const FINAL = new Set(["COMPLETED", "FAILED", "CANCELLED", "EXPIRED"]);

/** @param {{ parts: string[] }} props */
export function Prediction({ parts }) {
  const [id = "", tab = "overview"] = parts;
  const path = `/v1/predictions/${encodeURIComponent(id)}`;
  const { data: prediction, error, reload, set } = useData((signal) => get(path, {}, signal), [id]);
  const live = prediction && !FINAL.has(prediction.status);

  useEffect(() => {
    if (!live) return;
    const abort = new AbortController();
    // Each event says that something has changed; the prediction itself is read again.
    stream(`${path}/events`, () => get(path, {}, abort.signal).then(set), abort.signal).catch(() => reload());
    return () => abort.abort();
  }, [id, live]);

  if (error && !prediction) return [h(PageHead, { title: "Prediction" }), h(Problem, { error, retry: reload, action: h(Button, { label: "All predictions", small: true, href: address(["predictions"]) }) })];
  if (!prediction) return [h(PageHead, { title: "Prediction" }), div({ class: "card" }, div({ class: "body" }, h(Skeleton, { lines: 6 })))];

  const name = prediction.label ?? prediction.upload.file_name ?? "Untitled file";
  const tabs = prediction.status === "COMPLETED" ? [["overview", "Overview"], ["worklist", "Worklist"], ["rejected", "Rejected", prediction.rows.rejected], ["timeline", "Timeline"]] : [["overview", "Status"], ["timeline", "Timeline"]];
  const shown = tabs.some(([key]) => key === tab) ? tab : "overview";
  return [
    h(
      PageHead,
      {
        title: name,
        back: a({ class: "small row back", href: address(["predictions"]) }, icon("chevron-left"), "Predictions"),
        actions: h(Actions, { prediction, path, set, shown }),
      },
      span({ class: "row", style: { "--gap": "0.75rem" } }, status(prediction.status, prediction.phase), span(prediction.model), prediction.rows && span(plural(prediction.rows.scored, "customer")), prediction.label && prediction.upload.file_name && bdi({ class: "truncate" }, prediction.upload.file_name), span(time(prediction.requested_at))),
    ),
    nav({ class: "tabs", "aria-label": "Parts of the result" }, ...tabs.map(([key, label, count]) => a({ href: address(["predictions", id, key]), "aria-current": key === shown ? "page" : undefined }, label, count ? span({ class: "badge warn" }, number(count)) : null))),
    shown === "timeline" && h(Timeline, { prediction, path }),
    shown === "worklist" && h(Worklist, { prediction, path }),
    shown === "rejected" && h(Rejected, { prediction, path }),
    shown === "overview" && (prediction.status === "COMPLETED" ? h(Overview, { prediction, path }) : FINAL.has(prediction.status) ? h(Ended, { prediction, path }) : h(Running, { prediction })),
  ];
}

/** @param {{ prediction: any }} props */
function Running({ prediction }) {
  const { progress } = prediction;
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1_000);
    return () => clearInterval(timer);
  }, []);
  const share = progress?.expected_rows ? Math.min(1, progress.rows / progress.expected_rows) : null;
  const elapsed = prediction.started_at ? (now - Date.parse(prediction.started_at)) / 1_000 : 0;
  const left = share && share > 0.02 ? (elapsed / share) * (1 - share) : null;
  return div(
    { class: "card" },
    div(
      { class: "body stack" },
      p({ class: "strong", role: "status" }, prediction.status === "QUEUED" ? "Waiting for a worker" : prediction.phase === "retrying" ? "Trying again" : "Scoring"),
      div({ class: `bar ${share === null ? "unknown" : ""}`, role: "progressbar", "aria-label": "Rows scored", "aria-valuenow": share === null ? undefined : Math.round(share * 100) }, span({ style: share === null ? {} : { width: `${share * 100}%` } })),
      p(
        { class: "soft" },
        progress ? `${number(progress.rows)}${progress.expected_rows ? ` of about ${number(progress.expected_rows)}` : ""} rows` : `${bytes(prediction.upload.size_bytes)} to read`,
        share !== null && ` · ${percent(share)}`,
        left !== null && ` · about ${duration(left)} left`,
      ),
      prediction.retry && h(Note, { kind: "warn" }, p(`The last attempt was stopped (${prediction.retry.reason.replaceAll("_", " ")}). The next one starts by itself at ${time(prediction.retry.at)}. Nothing is lost.`)),
      p({ class: "faint small" }, "You can close this page: the work goes on."),
    ),
  );
}

/** @param {{ prediction: any, path: string }} props */
function Ended({ prediction, path }) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(/** @type {unknown} */ (null));
  const retry = async () => {
    setBusy(true);
    try {
      go(address(["predictions", (await post(`${path}/retry`)).prediction_id]));
    } catch (problem) {
      setError(problem);
      setBusy(false);
    }
  };
  const { failure } = prediction;
  const isTheirs = failure?.fault === "user";
  const mend = h(Button, { label: "See how it is read", icon: "columns-3", kind: isTheirs ? "primary" : undefined, href: address(["new"], { upload: prediction.upload.upload_id }) });
  const again = h(Button, { label: "Score it again", icon: "rotate-cw", busy, onClick: retry });
  const sentences = { CANCELLED: "It was cancelled. Its file is still here.", EXPIRED: "It was not scored before its deadline. Its file is still here." };
  return [
    error !== null && h(Problem, { error }),
    failure
      ? h(
          Note,
          { kind: "bad", title: "This file was not scored", action: isTheirs ? [mend, h(Button, { label: "Upload another file", href: address(["new"]) })] : [again, mend] },
          p(bdi(failure.message)),
          h(Advice, { code: failure.code, finishedAt: prediction.finished_at }),
          p({ class: "facts" }, `code ${failure.code} · prediction ${prediction.prediction_id}`),
        )
      : h(Note, { kind: "warn", icon: "circle-stop", title: sentences[/** @type {keyof typeof sentences} */ (prediction.status)], action: [again, mend] }),
  ];
}

/** What helps against a failure. @param {{ code: string, finishedAt: string }} props */
function Advice({ code, finishedAt }) {
  const report = useData((signal) => get("/v1/failures", { since: finishedAt }, signal), [finishedAt]);
  const advice = report.data?.items.find((/** @type {any} */ one) => one.code === code)?.what_to_do;
  return advice ? p({ class: "strong" }, advice) : null;
}

/** @param {{ prediction: any, path: string, set: (prediction: any) => void, shown: string }} props */
function Actions({ prediction, path, set, shown }) {
  const [asking, setAsking] = useState("");
  const [busy, setBusy] = useState(false);
  const attempt = async (/** @type {() => Promise<void>} */ work) => {
    setBusy(true);
    try {
      await work();
    } catch (error) {
      toast(error instanceof ApiProblem ? `${error.title} ${error.detail}` : String(error), "bad");
    }
    setBusy(false);
    setAsking("");
  };
  const cancel = () => attempt(async () => (set(await post(`${path}/cancel`)), toast("Cancelled.")));
  const remove = () =>
    attempt(async () => {
      await send("DELETE", path);
      toast("Deleted. A receipt stays.");
      go(address(["predictions"]));
    });
  const final = FINAL.has(prediction.status);
  return [
    h(Label, { prediction, path, set }),
    prediction.status === "COMPLETED" && shown === "overview" && h(Button, { label: "Whom to call first", icon: "list-checks", kind: "primary", href: address(["predictions", prediction.prediction_id, "worklist"]) }),
    !final && h(Button, { label: "Cancel", icon: "circle-stop", onClick: () => setAsking("cancel") }),
    final && h(Button, { label: "Delete", icon: "trash-2", iconOnly: true, kind: "danger", onClick: () => setAsking("delete") }),
    asking === "cancel" && h(Confirm, { title: "Cancel this prediction?", label: "Cancel it", busy, confirm: cancel, close: () => setAsking("") }, p("The work stops within a second. The file stays, so you can score it again.")),
    asking === "delete" && h(Confirm, { title: "Delete this prediction?", label: "Delete it", busy, confirm: remove, close: () => setAsking("") }, p("Its file, scores and history are deleted. Only a receipt stays. This cannot be undone.")),
  ];
}

/** @param {{ prediction: any, path: string, set: (prediction: any) => void }} props */
function Label({ prediction, path, set }) {
  const [editing, setEditing] = useState(false);
  if (!editing) return h(Button, { label: prediction.label ? "Rename" : "Add a label", icon: "tag", kind: "quiet", onClick: () => setEditing(true) });
  const save = async (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    const label = String(new FormData(/** @type {HTMLFormElement} */ (event.target)).get("label") ?? "").trim() || null;
    try {
      const current = await send("GET", path);
      const answer = await send("PATCH", path, { json: { label }, headers: { "Content-Type": "application/merge-patch+json", "If-Match": current.headers.get("ETag") ?? "" } });
      set(await answer.json());
      setEditing(false);
    } catch (error) {
      toast(error instanceof ApiProblem ? `${error.title} ${error.detail}` : String(error), "bad");
    }
  };
  return tags.form({ class: "row tight", onSubmit: save }, input({ class: "input", name: "label", defaultValue: prediction.label ?? "", maxLength: 100, "aria-label": "Label", autofocus: true, onKeyDown: (/** @type {KeyboardEvent} */ event) => event.key === "Escape" && setEditing(false) }), h(Button, { label: "Save", more: { type: "submit" } }));
}
