/** Score it: with a label, what customers pay, and the mapping saved for the next time. */
import { h, useState } from "../vendor/ui.js";
import { post, send } from "../api.js";
import { Button } from "../components/button.js";
import { Card } from "../components/card.js";
import { Problem } from "../components/feedback.js";
import { plural } from "../format.js";
import { address, go } from "../router.js";
import { tags } from "../tags.js";
import { unconfirmed } from "./columns.js";
import { doubtful } from "./file_quality.js";

const { div, input, label, option, p, select, span } = tags;

const CUSTOMER_VALUE = "customer_value";

/**
 * @param {{ uploadId: string, inspection: any, mapping: import("./review.js").Mapping,
 *   setMapping: (mapping: import("./review.js").Mapping) => void, values: import("./review.js").Values, right: string[] }} props
 */
export function Start({ uploadId, inspection, mapping, setMapping, values, right }) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(/** @type {unknown} */ (null));
  const [name, setName] = useState("");
  const [saveAs, setSaveAs] = useState("");
  const [currency, setCurrency] = useState("");
  const [period, setPeriod] = useState("month");
  const waiting = unconfirmed(inspection);
  const headers = /** @type {string[]} */ (inspection.columns.map((/** @type {any} */ column) => column.header));
  const start = async () => {
    setBusy(true);
    setError(null);
    try {
      if (saveAs) await send("PUT", `/v1/mappings/${encodeURIComponent(saveAs)}`, { json: { model: inspection.model, headers, mapping, values } });
      const options = { ...(right.length && { confirm: right }), ...(mapping[CUSTOMER_VALUE] && { customer_value_period: period }) };
      const prediction = await post("/v1/predictions", { upload_id: uploadId, model: inspection.model, mapping, values, options, ...(name && { label: name }), ...(currency && { currency }) });
      go(address(["predictions", prediction.prediction_id]));
    } catch (problem) {
      setError(problem);
      setBusy(false);
    }
  };
  const pays = (/** @type {string} */ header) => {
    const { [CUSTOMER_VALUE]: _, ...others } = mapping;
    setMapping(header ? { ...others, [CUSTOMER_VALUE]: header } : others);
  };
  return h(
    Card,
    { title: "Score it" },
    div(
      { class: "grid", style: { "--column": "15rem" } },
      field("Label", "To find it again", input({ class: "input", value: name, maxLength: 100, placeholder: "November, consumer contracts", onInput: (/** @type {any} */ event) => setName(event.target.value) })),
      field(
        "What the customer pays",
        inspection.customer_value ? "To see the value at risk" : "Without it, the worklist is by risk alone",
        select(
          { class: "input", value: mapping[CUSTOMER_VALUE] ?? "", onChange: (/** @type {any} */ event) => pays(event.target.value) },
          option({ value: "" }, inspection.customer_value && !mapping[CUSTOMER_VALUE] ? `${inspection.customer_value.header.slice(0, 100)}, as usual` : "As the model knows it"),
          ...headers.filter(Boolean).map((header) => option({ value: header }, header.slice(0, 100))),
        ),
      ),
      mapping[CUSTOMER_VALUE] && field("Paid for", "", select({ class: "input", value: period, onChange: (/** @type {any} */ event) => setPeriod(event.target.value) }, option({ value: "month" }, "A month"), option({ value: "year" }, "A year"))),
      field("Currency", "It is only shown", input({ class: "input", value: currency, maxLength: 8, placeholder: "EUR", onInput: (/** @type {any} */ event) => setCurrency(event.target.value.trim()) })),
      field("Save how it is read as", "It is offered again for the same headers", input({ class: "input", value: saveAs, maxLength: 100, placeholder: "CRM export", onInput: (/** @type {any} */ event) => setSaveAs(event.target.value.trim()) })),
    ),
    error !== null && h(Problem, { error }),
    div({ class: "row", style: { "--gap": "1rem" } }, h(Button, { label: `Score ${plural(inspection.expected.rows, "customer")}`, icon: "play", kind: "primary", busy, disabled: inspection.missing.length > 0 || waiting.length > 0, onClick: start }), reason(inspection, waiting, right)),
  );
}

/** Why it cannot be scored yet, or would be refused. @param {any} inspection @param {any[]} waiting @param {string[]} right */
function reason(inspection, waiting, right) {
  if (inspection.missing.length) return p({ class: "soft small" }, "Choose the missing columns first.");
  if (waiting.length) return p({ class: "soft small" }, `Confirm or correct ${plural(waiting.length, "proposal")} under “Columns” first.`);
  const names = doubtful(inspection.quality).filter((one) => !right.includes(one.feature)).map((one) => one.label);
  if (!names.length) return null;
  return p({ class: "bad-text small" }, `Most values of ${names.join(", ")} are unlike those the model knows. Check the unit; if they are right, say so under “Quality”, or the file is refused.`);
}

/** @param {string} name @param {string} hint @param {any} control */
const field = (name, hint, control) => label({ class: "field" }, span({ class: "label" }, name), control, hint && span({ class: "hint" }, hint));
