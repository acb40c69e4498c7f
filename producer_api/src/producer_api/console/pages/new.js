/** Will this file work? Upload, see how it is read, correct that, and score it. */
import { h, useMemo, useRef, useState } from "../vendor/ui.js";
import { ApiProblem, get, post, send } from "../api.js";
import { Button } from "../components/button.js";
import { Note, Problem, Skeleton, toast } from "../components/feedback.js";
import { icon } from "../components/icon.js";
import { useData } from "../components/loading.js";
import { PageHead } from "../components/shell.js";
import { bytes, duration, number, percent, plural } from "../format.js";
import { address, go, location } from "../router.js";
import { tags } from "../tags.js";
import { Upload } from "../upload.js";
import { startSample } from "./sample.js";

const { button, code, dd, div, dl, dt, h2, input, label, li, option, p, select, span, strong, table, tbody, td, th, thead, tr, ul } = tags;

const CUSTOMER_VALUE = "customer_value";

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
            div({ class: "row spread" }, span({ class: "strong truncate grow", title: upload.file.name }, upload.file.name), span({ class: "soft number" }, `${bytes(sent)} of ${bytes(upload.file.size)}`)),
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
          span({ class: "soft small" }, "Any delimiter, encoding and language of headers. Up to 1 GB."),
        ),
    input({ ref: picker, type: "file", accept: ".csv,.txt,.tsv,text/csv", class: "unseen", tabIndex: -1, "aria-hidden": "true", onChange: (/** @type {any} */ event) => begin(event.target.files[0]) }),
    !upload && div({ class: "row soft small" }, "No file at hand?", h(Button, { label: "Score a sample of 1,000 customers", icon: "play", small: true, busy: sampling, onClick: sample })),
  ];
}

/** @param {{ uploadId: string }} props */
function Review({ uploadId }) {
  const [mapping, setMapping] = useState(/** @type {Record<string, string>} */ ({}));
  const [values, setValues] = useState(/** @type {Record<string, Record<string, string>>} */ ({}));
  const [confirmed, setConfirmed] = useState(/** @type {Set<string>} */ (new Set()));
  const query = { mapping: Object.keys(mapping).length ? JSON.stringify(mapping) : null, values: Object.keys(values).length ? JSON.stringify(values) : null };
  const inspection = useData((signal) => get(`/v1/uploads/${uploadId}/inspection`, query, signal), [uploadId, query]);
  const upload = useData((signal) => get(`/v1/uploads/${uploadId}`, {}, signal), [uploadId]);
  const models = useData((signal) => get("/v1/models", {}, signal), []);
  const last = useRef(/** @type {any} */ (null));
  if (inspection.data) last.current = inspection.data;
  const shown = inspection.data ?? last.current;
  const model = (models.data?.models ?? models.data?.items ?? []).find((/** @type {any} */ one) => one.model === shown?.model);

  const retry = inspection.error === null ? null : h(Problem, { error: inspection.error, retry: inspection.reload, action: h(Button, { label: "Choose another file", small: true, href: address(["new"]) }) });
  if (!shown) return [h(PageHead, { title: "Check the file" }), retry ?? div({ class: "card" }, div({ class: "body" }, h(Skeleton, { lines: 8 })))];

  const open = shown.columns.filter((/** @type {any} */ column) => column.needs_confirmation && !confirmed.has(column.header) && mapping[column.feature] !== column.header);
  const choose = (/** @type {any} */ column, /** @type {string} */ feature) => {
    const next = Object.fromEntries(Object.entries(mapping).filter(([name, header]) => header !== column.header && name !== feature));
    if (feature) next[feature] = column.header;
    setMapping(next);
  };
  return [
    h(PageHead, { title: upload.data?.file_name ?? "Check the file" }, "This is how the file is read. Correct what is wrong; nothing is scored yet."),
    retry,
    h(Facts, { inspection: shown, upload: upload.data }),
    h(Missing, { inspection: shown }),
    h(Saved, { inspection: shown, apply: (/** @type {any} */ saved) => (setMapping(saved.mapping), setValues(saved.values ?? {})) }),
    h(Columns, { inspection: shown, model, mapping, choose, confirmed, confirm: (/** @type {string} */ header) => setConfirmed(new Set([...confirmed, header])) }),
    h(Unknown, { inspection: shown, values, setValues }),
    h(Quality, { inspection: shown }),
    h(Start, { uploadId, inspection: shown, mapping, values, open, confirmed }),
  ];
}

/** @param {{ inspection: any, upload: any }} props */
function Facts({ inspection, upload }) {
  const { dialect, expected } = inspection;
  const delimiters = { ",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe" };
  return div(
    { class: "card stats" },
    h(Fact, { name: "Customers", value: `${expected.is_exact ? "" : "about "}${number(expected.rows)}`, note: upload ? bytes(upload.size_bytes) : "" }),
    h(Fact, { name: "Time to score", value: duration(expected.seconds), note: "once a worker is free" }),
    h(Fact, { name: "Written as", value: dialect.encoding, note: `${delimiters[/** @type {keyof typeof delimiters} */ (dialect.delimiter)] ?? dialect.delimiter} between cells, ${dialect.decimal === "," ? "decimal comma" : "decimal point"}` }),
    h(Fact, { name: "Header", value: `row ${number(dialect.header_row)}`, note: plural(inspection.columns.length, "column") }),
  );
}

/** @param {{ name: string, value: any, note?: any }} props */
const Fact = ({ name, value, note }) => dl({ class: "stat" }, dt(name), dd({ style: { fontSize: "var(--text-5)" } }, value), note && dd({ class: "note", style: { background: "none", padding: 0 } }, note));

/** @param {{ inspection: any }} props */
function Missing({ inspection }) {
  if (!inspection.missing.length) return null;
  return h(
    Note,
    { kind: "bad", title: `${plural(inspection.missing.length, "column")} that the model cannot do without ${inspection.missing.length === 1 ? "is" : "are"} missing`, role: "alert" },
    ul(
      { class: "stack", style: { "--gap": "0.25rem" } },
      ...inspection.missing.map((/** @type {any} */ { feature, closest }) => li(code(feature), closest.length ? [" – closest in your file: ", ...closest.map((/** @type {string} */ header) => code({ style: { marginInlineEnd: "0.5rem" } }, header))] : " – nothing in your file is like it")),
    ),
    p({ class: "soft small" }, "Choose the right column below, or export the file again with it."),
  );
}

/** @param {{ inspection: any, apply: (saved: any) => void }} props */
function Saved({ inspection, apply }) {
  const names = inspection.saved_mappings ?? [];
  const [busy, setBusy] = useState("");
  if (!names.length) return null;
  const take = async (/** @type {string} */ name) => {
    setBusy(name);
    try {
      apply(await get(`/v1/mappings/${encodeURIComponent(name)}`));
      toast(`The mapping “${name}” is applied.`);
    } catch (error) {
      toast(error instanceof ApiProblem ? error.title : String(error), "bad");
    }
    setBusy("");
  };
  return h(Note, { icon: "columns-3", title: "You have scored a file with these headers before" }, div({ class: "row" }, ...names.map((/** @type {string} */ name) => h(Button, { label: `Use “${name}”`, small: true, busy: busy === name, onClick: () => take(name) }))));
}

/** @param {{ inspection: any, model: any, mapping: Record<string, string>, choose: (column: any, feature: string) => void, confirmed: Set<string>, confirm: (header: string) => void }} props */
function Columns({ inspection, model, mapping, choose, confirmed, confirm }) {
  const features = (model?.features ?? []).map((/** @type {any} */ feature) => [feature.name, feature.label ?? feature.name, feature.required]);
  return div(
    { class: "card" },
    div({ class: "body", style: { paddingBlockEnd: "0.75rem" } }, h2("Columns"), p({ class: "soft small" }, "Each column of your file, and what the model reads it as. Values are masked.")),
    div(
      { class: "table-frame", tabIndex: 0, role: "region", "aria-label": "Columns" },
      table(
        { class: "table" },
        thead(tr(th({ scope: "col" }, "Your column"), th({ scope: "col" }, "Values"), th({ scope: "col" }, "Read as"), th({ scope: "col", class: "shrink" }, "Confidence"))),
        tbody(
          ...inspection.columns.map((/** @type {any} */ column) => {
            const waits = column.needs_confirmation && !confirmed.has(column.header) && mapping[column.feature] !== column.header;
            return tr(
              td({ style: { maxWidth: "16rem" } }, span({ class: "strong wrap" }, column.header || "(no name)")),
              td({ style: { maxWidth: "18rem" } }, span({ class: "mono small soft wrap" }, column.samples.join(" · ") || "empty")),
              td(
                select(
                  { class: "input", style: { minWidth: "11rem" }, "aria-label": `Read ${column.header} as`, value: column.feature ?? "", disabled: column.is_ignored, onChange: (/** @type {any} */ event) => choose(column, event.target.value) },
                  option({ value: "" }, "Not used"),
                  column.feature && !features.some((/** @type {any} */ [name]) => name === column.feature) && option({ value: column.feature }, column.feature === "customer_id" ? "Customer id" : column.feature),
                  option({ value: CUSTOMER_VALUE }, "What the customer pays"),
                  ...features.map((/** @type {any} */ [name, text, required]) => option({ value: name }, required ? `${text} *` : text)),
                ),
                column.conversion && span({ class: "tiny faint" }, column.conversion),
              ),
              td({ class: "shrink" }, h(Confidence, { column, waits, confirm: () => confirm(column.header) })),
            );
          }),
        ),
      ),
    ),
  );
}

/** @param {{ column: any, waits: boolean, confirm: () => void }} props */
function Confidence({ column, waits, confirm }) {
  if (!column.feature) return span({ class: "faint" }, "–");
  if (waits) return h(Button, { label: `${percent(column.confidence)} – is it right?`, icon: "check", small: true, onClick: confirm });
  const sure = column.method === "explicit" || column.method === "exact" ? "chosen" : "good";
  return span({ class: `badge ${sure === "chosen" ? "" : "good"}` }, icon("check"), column.method === "explicit" ? "Your choice" : percent(column.confidence));
}

/** Values the model does not know, mapped to those it does. @param {{ inspection: any, values: Record<string, Record<string, string>>, setValues: (values: any) => void }} props */
function Unknown({ inspection, values, setValues }) {
  const columns = inspection.columns.filter((/** @type {any} */ column) => column.unseen_values?.named.length || (column.feature && values[column.feature]));
  if (!columns.length) return null;
  const set = (/** @type {string} */ feature, /** @type {string} */ value, /** @type {string} */ known) => {
    const of = { ...values[feature] };
    if (known) of[value] = known;
    else delete of[value];
    const next = { ...values, [feature]: of };
    if (!Object.keys(of).length) delete next[feature];
    setValues(next);
  };
  return div(
    { class: "card" },
    div({ class: "body stack" }, div(h2("Values the model does not know"), p({ class: "soft small" }, "Say what they mean, or leave them: an unknown value counts as average.")), ...columns.map((/** @type {any} */ column) => h(UnknownColumn, { column, chosen: values[column.feature] ?? {}, set: (value, known) => set(column.feature, value, known) }))),
  );
}

/** @param {{ column: any, chosen: Record<string, string>, set: (value: string, known: string) => void }} props */
function UnknownColumn({ column, chosen, set }) {
  const named = [...(column.unseen_values?.named ?? []), ...Object.keys(chosen).filter((value) => !column.unseen_values?.named.some((/** @type {any} */ one) => one.value === value)).map((value) => ({ value, rows: null, closest: [] }))];
  const known = useMemo(() => column.unseen_values?.known_values ?? [...new Set(Object.values(chosen))], [column, chosen]);
  return div(
    { class: "stack", style: { "--gap": "0.5rem" } },
    p({ class: "strong small" }, column.header),
    ...named.map((one) =>
      div(
        { class: "row spread", style: { "--gap": "1rem" } },
        span({ class: "wrap grow" }, code(one.value), one.rows !== null && span({ class: "faint small" }, ` in ${plural(one.rows, "row")}`)),
        select(
          { class: "input", style: { width: "min(18rem, 100%)" }, "aria-label": `${one.value} means`, value: chosen[one.value] ?? "", onChange: (/** @type {any} */ event) => set(one.value, event.target.value) },
          option({ value: "" }, "Unknown"),
          ...[...one.closest, ...known.filter((/** @type {string} */ name) => !one.closest.includes(name))].map((/** @type {string} */ name) => option({ value: name }, one.closest.includes(name) ? `${name} (close)` : name)),
        ),
      ),
    ),
  );
}

/** @param {{ inspection: any }} props */
function Quality({ inspection }) {
  const { rows, features } = inspection.quality;
  const troubled = features.filter((/** @type {any} */ one) => one.missing + one.not_a_number + one.out_of_range + one.unseen > 0);
  if (!rows) return null;
  if (!troubled.length) return h(Note, { kind: "good" }, p(`The first ${plural(rows, "row")} look good: every value can be read.`));
  const cell = (/** @type {number} */ count) => td({ class: "figure" }, count ? `${number(count)} (${percent(count / rows)})` : span({ class: "faint" }, "–"));
  return div(
    { class: "card" },
    div({ class: "body", style: { paddingBlockEnd: "0.75rem" } }, h2("Quality"), p({ class: "soft small" }, `In the first ${plural(rows, "row")}. Rows whose required values cannot be read are rejected; all others are scored.`)),
    div(
      { class: "table-frame", tabIndex: 0, role: "region", "aria-label": "Quality" },
      table(
        { class: "table" },
        thead(tr(th({ scope: "col" }, "Feature"), ...["Missing", "Not a number", "Out of range", "Unknown"].map((name) => th({ scope: "col", class: "figure" }, name)))),
        tbody(...troubled.map((/** @type {any} */ one) => tr(td(one.label), cell(one.missing), cell(one.not_a_number), cell(one.out_of_range), cell(one.unseen)))),
      ),
    ),
  );
}

/** @param {{ uploadId: string, inspection: any, mapping: Record<string, string>, values: Record<string, Record<string, string>>, open: any[], confirmed: Set<string> }} props */
function Start({ uploadId, inspection, mapping, values, open, confirmed }) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(/** @type {unknown} */ (null));
  const [name, setName] = useState("");
  const [save, setSave] = useState("");
  const [currency, setCurrency] = useState("");
  const [implausible, setImplausible] = useState(/** @type {string[]} */ ([]));
  const blocked = inspection.missing.length > 0 || open.length > 0;
  // What was confirmed by hand is said explicitly, so that the worker reads it the same way.
  const whole = { ...Object.fromEntries(inspection.columns.filter((/** @type {any} */ column) => confirmed.has(column.header)).map((/** @type {any} */ column) => [column.feature, column.header])), ...mapping };
  const start = async () => {
    setBusy(true);
    setError(null);
    try {
      if (save) await send("PUT", `/v1/mappings/${encodeURIComponent(save)}`, { json: { model: inspection.model, headers: inspection.columns.map((/** @type {any} */ column) => column.header), mapping: whole, values }, headers: { "If-None-Match": "*" } });
      const prediction = await post("/v1/predictions", { upload_id: uploadId, model: inspection.model, mapping: whole, values, ...(name && { label: name }), ...(currency && { currency }), ...(implausible.length && { options: { confirm: implausible } }) });
      go(address(["predictions", prediction.prediction_id]));
    } catch (problem) {
      setError(problem);
      setBusy(false);
    }
  };
  return div(
    { class: "card" },
    div(
      { class: "body stack", style: { "--gap": "1.25rem" } },
      h2("Score it"),
      div(
        { class: "grid" },
        label({ class: "field" }, span({ class: "label" }, "Label"), input({ class: "input", value: name, maxLength: 100, placeholder: "November, consumer contracts", onInput: (/** @type {any} */ event) => setName(event.target.value) }), span({ class: "hint" }, "To find it again")),
        label({ class: "field" }, span({ class: "label" }, "Currency"), input({ class: "input", value: currency, maxLength: 8, placeholder: "EUR", onInput: (/** @type {any} */ event) => setCurrency(event.target.value) }), span({ class: "hint" }, inspection.customer_value ? `Of “${inspection.customer_value.header}”; only shown` : "No column says what customers pay")),
        label({ class: "field" }, span({ class: "label" }, "Save this mapping as"), input({ class: "input", value: save, maxLength: 100, placeholder: "CRM export", onInput: (/** @type {any} */ event) => setSave(event.target.value.trim()) }), span({ class: "hint" }, "It is offered again for the same headers")),
      ),
      error !== null && h(Problem, { error, action: h(Confirmable, { error, confirm: setImplausible }) }),
      div({ class: "row" }, h(Button, { label: `Score ${number(inspection.expected.rows)} customers`, icon: "play", kind: "primary", busy, disabled: blocked, onClick: start }), h(Button, { label: "Choose another file", kind: "quiet", href: address(["new"]) })),
      blocked && p({ class: "soft small" }, inspection.missing.length ? "Choose the missing columns first." : `Confirm ${plural(open.length, "column")} first: ${open.map((column) => column.header).join(", ")}.`),
    ),
  );
}

/** @param {{ error: unknown, confirm: (features: string[]) => void }} props */
function Confirmable({ error, confirm }) {
  const features = error instanceof ApiProblem ? error.problem.confirm : null;
  return Array.isArray(features) ? h(Button, { label: "The values are right", small: true, onClick: () => confirm(features) }) : null;
}
