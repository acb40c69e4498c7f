/** Will this file work? Choose and upload it; then it is reviewed, and nothing is scored before. */
import { h, useRef, useState } from "../vendor/ui.js";
import { get } from "../api.js";
import { Button } from "../components/button.js";
import { Problem } from "../components/feedback.js";
import { icon } from "../components/icon.js";
import { useData } from "../components/loading.js";
import { PageHead } from "../components/shell.js";
import { bytes, inSentence, plural } from "../format.js";
import { address, go, location } from "../router.js";
import { tags } from "../tags.js";
import { Upload } from "../upload.js";
import { Review } from "./review.js";
import { SAMPLE_CUSTOMERS, startSample } from "./sample.js";

const { bdi, button, div, h2, input, li, span, strong, ul } = tags;

export function New() {
  const known = location.value.query.get("upload");
  return known ? h(Review, { uploadId: known, key: known }) : h(Choose, {});
}

function Choose() {
  const [upload, setUpload] = useState(/** @type {Upload | null} */ (null));
  const [sent, setSent] = useState(0);
  const [paused, setPaused] = useState(false);
  const [error, setError] = useState(/** @type {unknown} */ (null));
  const [over, setOver] = useState(false);
  const [sampling, setSampling] = useState(false);
  const account = useData((signal) => get("/v1/me", {}, signal), []);
  const picker = useRef(/** @type {HTMLInputElement | null} */ (null));

  const begin = async (/** @type {File | undefined} */ file) => {
    if (!file) return;
    setError(null);
    setSent(0);
    const started = new Upload(file, setSent);
    setUpload(started);
    try {
      const answer = await started.run();
      go(address(["new"], { upload: answer.upload_id }));
    } catch (problem) {
      if (!started.abort.signal.aborted) setError(problem);
    }
    setUpload(null);
    setPaused(false);
  };
  const sample = async () => {
    setSampling(true);
    try {
      go(address(["predictions", await startSample()]));
    } catch (problem) {
      setError(problem);
      setSampling(false);
    }
  };

  return [
    h(PageHead, { title: "New prediction" }, "Upload a CSV with one row for each customer. Nothing is scored before you have seen how the file is read."),
    error !== null && h(Problem, { error }),
    upload
      ? div(
          { class: "card" },
          div(
            { class: "body stack" },
            div({ class: "row spread" }, span({ class: "strong truncate grow", title: upload.file.name }, bdi(upload.file.name)), span({ class: "soft number" }, `${bytes(sent)} of ${bytes(upload.file.size)}`)),
            div({ class: "bar", role: "progressbar", "aria-label": "Upload", "aria-valuenow": Math.round((sent / upload.file.size) * 100) }, span({ style: { width: `${Math.min(100, (sent / upload.file.size) * 100)}%` } })),
            div(
              { class: "row" },
              upload.canPause &&
                h(Button, {
                  label: paused ? "Resume" : "Pause",
                  icon: paused ? "play" : "pause",
                  small: true,
                  onClick: () => {
                    if (paused) upload.resume();
                    else upload.pause();
                    setPaused(!paused);
                  },
                }),
              h(Button, { label: "Cancel", icon: "x", small: true, kind: "quiet", onClick: () => upload.cancel() }),
              sent >= upload.file.size && span({ class: "soft small row" }, icon("loader-circle", "spin"), "Checking the file…"),
            ),
          ),
        )
      : button(
          {
            type: "button",
            class: "drop",
            "data-over": over ? "true" : undefined,
            onClick: () => picker.current?.click(),
            onDragOver: (/** @type {DragEvent} */ event) => (event.preventDefault(), setOver(true)),
            onDragLeave: () => setOver(false),
            onDrop: (/** @type {DragEvent} */ event) => {
              event.preventDefault();
              setOver(false);
              begin(event.dataTransfer?.files[0]);
            },
          },
          span({ class: "empty", style: { padding: 0 } }, span({ class: "sign" }, icon("upload", "large"))),
          strong("Drop a CSV here, or choose one"),
          span({ class: "soft small" }, `Any delimiter, encoding and language of headers.${account.data ? ` Up to ${bytes(account.data.limits.max_upload_bytes)}.` : ""}`),
        ),
    input({ ref: picker, type: "file", accept: ".csv,.txt,.tsv,text/csv", class: "unseen", tabIndex: -1, "aria-hidden": "true", onChange: (/** @type {any} */ event) => begin(event.target.files[0]) }),
    !upload && div({ class: "row soft small" }, "No file at hand?", h(Button, { label: `Score a sample of ${plural(SAMPLE_CUSTOMERS, "customer")}`, icon: "play", small: true, busy: sampling, onClick: sample })),
    !upload && h(Hints, {}),
  ];
}

/** What a good file has, for who has not made one yet. */
function Hints() {
  const models = useData((signal) => get("/v1/models", {}, signal), []);
  const model = models.data?.models.find((/** @type {any} */ one) => one.is_default);
  if (!model) return null;
  const named = (/** @type {boolean} */ required) => model.features.filter((/** @type {any} */ feature) => feature.required === required).map((/** @type {any} */ feature) => inSentence(feature.label)).join(", ");
  return div(
    { class: "card" },
    div(
      { class: "body stack" },
      h2("What the file should have"),
      ul(
        { class: "stack soft", style: { "--gap": "0.375rem" } },
        li(strong("One row for each customer"), ", with an id of your own."),
        li(strong("Needed: "), named(true), "."),
        li(strong("Better with: "), named(false), "."),
        li("Headers may be in your own words: you see how each is read, and can correct it."),
      ),
    ),
  );
}
