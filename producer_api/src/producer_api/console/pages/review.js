/** How will this file be read? What is wrong is corrected here, before anything is scored. */
import { h, useRef, useState } from "../vendor/ui.js";
import { ApiProblem, get } from "../api.js";
import { Button } from "../components/button.js";
import { Stats, stat } from "../components/card.js";
import { Note, Problem, Skeleton, toast } from "../components/feedback.js";
import { icon } from "../components/icon.js";
import { useData } from "../components/loading.js";
import { PageHead } from "../components/shell.js";
import { bytes, duration, number } from "../format.js";
import { address } from "../router.js";
import { tags } from "../tags.js";
import { Columns } from "./columns.js";
import { FileQuality } from "./file_quality.js";
import { Start } from "./start.js";
import { UnknownValues } from "./unknown_values.js";

const { a, bdi, div, li, option, p, select, span, strong, ul } = tags;

/**
 * @typedef {Record<string, string>} Mapping feature to header
 * @typedef {Record<string, Record<string, string>>} Values by feature: a spelling in the file, to a known category
 */

/** @param {{ uploadId: string }} props */
export function Review({ uploadId }) {
  const [mapping, setMapping] = useState(/** @type {Mapping} */ ({}));
  const [values, setValues] = useState(/** @type {Values} */ ({}));
  const [rightValues, setRightValues] = useState(/** @type {string[]} */ ([]));
  const query = { mapping: asJson(mapping), values: asJson(values) };
  const inspection = useData((signal) => get(`/v1/uploads/${encodeURIComponent(uploadId)}/inspection`, query, signal), [uploadId, query]);
  const upload = useData((signal) => get(`/v1/uploads/${encodeURIComponent(uploadId)}`, {}, signal), [uploadId]);
  // While the file is inspected anew, the last answer stays.
  const last = useRef(/** @type {any} */ (null));
  last.current = inspection.data ?? last.current;
  const shown = last.current;
  const model = useData((signal) => (shown ? get(`/v1/models/${encodeURIComponent(shown.model)}`, {}, signal) : Promise.resolve(null)), [shown?.model]);
  const card = model.data;

  const back = a({ class: "small row back", href: address(["new"]) }, icon("chevron-left"), "Choose another file");
  const error = inspection.error ?? model.error;
  const problem = error ? h(Problem, { error, retry: () => (inspection.reload(), model.reload()) }) : null;
  if (!shown || !card) return [h(PageHead, { title: "Check the file", back }), problem ?? div({ class: "card" }, div({ class: "body" }, h(Skeleton, { lines: 8 })))];

  const read = (/** @type {string} */ feature, /** @type {string} */ header) => setMapping({ ...Object.fromEntries(Object.entries(mapping).filter(([name, of]) => of !== header && name !== feature)), ...(feature && { [feature]: header }) });
  const confirm = (/** @type {any[]} */ columns) => setMapping({ ...mapping, ...Object.fromEntries(columns.map((column) => [column.feature, column.header])) });
  const apply = (/** @type {any} */ saved) => {
    setMapping(saved.mapping);
    setValues(saved.values);
  };
  return [
    h(PageHead, { title: upload.data?.file_name ?? "Check the file", back }, "This is how the file is read. Correct what is wrong; nothing is scored yet."),
    problem,
    h(Facts, { inspection: shown, upload: upload.data }),
    h(Saved, { names: shown.saved_mappings, apply }),
    h(Missing, { inspection: shown, card, read }),
    shown.conflicts.length > 0 && h(Note, { kind: "warn", title: "Columns that could be read in two ways" }, ul(...shown.conflicts.map((/** @type {string} */ text) => li(bdi(text))))),
    h(Columns, { inspection: shown, card, mapping, read, confirm }),
    h(UnknownValues, { columns: shown.columns, card, values, setValues }),
    h(FileQuality, { quality: shown.quality, right: rightValues, setRight: setRightValues }),
    h(Start, { uploadId, inspection: shown, mapping, setMapping, values, right: rightValues }),
  ];
}

/** @param {Record<string, unknown>} content */
const asJson = (content) => (Object.keys(content).length ? JSON.stringify(content) : null);

const DELIMITERS = { ",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe" };

/** @param {{ inspection: any, upload: any }} props */
function Facts({ inspection, upload }) {
  const { dialect, expected, columns } = inspection;
  const delimiter = DELIMITERS[/** @type {keyof typeof DELIMITERS} */ (dialect.delimiter)] ?? dialect.delimiter;
  return h(
    Stats,
    {},
    stat("Customers", `${expected.is_exact ? "" : "≈ "}${number(expected.rows)}`, upload && bytes(upload.size_bytes)),
    stat("Time to score", duration(expected.seconds), "once a worker is free"),
    stat("Columns", number(columns.length), `header in row ${number(dialect.header_row)}`),
    stat("Written as", dialect.encoding.toUpperCase(), `${delimiter} between cells, decimal ${dialect.decimal === "," ? "comma" : "point"}`),
  );
}

/**
 * What the file must have and has not. What is settled stays in its place, so that no button moves under the pointer.
 * @param {{ inspection: any, card: any, read: (feature: string, header: string) => void }} props
 */
function Missing({ inspection, card, read }) {
  const { missing, columns } = inspection;
  const asked = useRef(/** @type {Map<string, string[]>} by feature: the headers it is most like */ (new Map()));
  for (const { feature, closest } of missing) if (!asked.current.has(feature)) asked.current.set(feature, closest);
  if (!asked.current.size) return null;
  const free = /** @type {string[]} */ (columns.filter((/** @type {any} */ column) => !column.feature && !column.is_ignored && column.header).map((/** @type {any} */ column) => column.header));
  const title = missing.length === 0 ? "All columns that the model needs are found" : missing.length === 1 ? "A column is missing that the model cannot do without" : `${number(missing.length)} columns are missing that the model cannot do without`;
  return h(
    Note,
    { kind: missing.length ? "bad" : "good", role: missing.length ? "alert" : "status", title },
    ul(
      { class: "stack", style: { "--gap": "0.5rem" } },
      ...[...asked.current].map(([feature, closest]) => {
        const label = card.features.find((/** @type {any} */ one) => one.name === feature)?.label ?? "Customer id";
        const column = columns.find((/** @type {any} */ one) => one.feature === feature);
        return li({ key: feature, class: "row missing" }, strong(label), column ? span({ class: "row" }, icon("check"), bdi({ class: "clamp" }, column.header)) : h(Candidates, { label, closest: closest.filter((header) => free.includes(header)), free, read: (header) => read(feature, header) }));
      }),
    ),
    missing.length > 0 && p({ class: "soft small" }, "If no column says it, export the file again with it."),
  );
}

/** @param {{ label: string, closest: string[], free: string[], read: (header: string) => void }} props */
function Candidates({ label, closest, free, read }) {
  return [
    ...closest.map((header) => h(Button, { key: header, label: `It is “${header.slice(0, 60)}”`, icon: "check", small: true, onClick: () => read(header) })),
    select(
      { class: "input small", style: { width: "13rem" }, "aria-label": `Column with ${label}`, value: "", onChange: (/** @type {any} */ event) => read(event.target.value) },
      option({ value: "" }, closest.length ? "Another column…" : "Choose a column…"),
      ...free.map((header) => option({ value: header }, header.slice(0, 100))),
    ),
  ];
}

/** @param {{ names: string[], apply: (saved: any) => void }} props */
function Saved({ names, apply }) {
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
  return h(Note, { icon: "columns-3" }, div({ class: "row" }, span({ class: "strong" }, "You have saved how files with these headers are read:"), ...names.map((name) => h(Button, { key: name, label: `Use “${name}”`, small: true, busy: busy === name, onClick: () => take(name) }))));
}
