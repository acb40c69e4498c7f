/** Sends the mended rows of a file as a file of their own. */
import { h, useState } from "../vendor/ui.js";
import { get, post, send } from "../api.js";
import { Button } from "../components/button.js";
import { Note, Problem, toast } from "../components/feedback.js";
import { plural } from "../format.js";
import { address, go } from "../router.js";
import { tags } from "../tags.js";

const { p } = tags;

const PAGE = 100;
const MAX_LABEL = 100;
const SUFFIX = ", mended";

/** @param {{ prediction: any, path: string, edits: import("./rejected.js").Edits }} props */
export function Resend({ prediction, path, edits }) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(/** @type {unknown} */ (null));
  const count = Object.keys(edits).length;
  const resend = async () => {
    setBusy(true);
    setError(null);
    try {
      const name = prediction.upload.file_name ?? "rows.csv";
      const form = new FormData();
      form.append("file", await mended(path, edits), `mended-${name}`);
      const upload = await (await send("POST", "/v1/uploads", { body: form })).json();
      const { values, currency, reasons, confirmed, customer_value_period } = prediction.options ?? {};
      const begun = await post("/v1/predictions", {
        upload_id: upload.upload_id,
        model: prediction.model,
        mapping: prediction.mapping ?? {},
        values,
        currency,
        options: { reasons, confirm: confirmed, customer_value_period },
        label: `${[...(prediction.label ?? name)].slice(0, MAX_LABEL - SUFFIX.length).join("")}${SUFFIX}`,
      });
      toast(`${plural(count, "mended row")} sent.`);
      go(address(["predictions", begun.prediction_id]));
    } catch (problem) {
      setError(problem);
      setBusy(false);
    }
  };
  const text = count ? `${plural(count, "row")} mended. They are scored as a file of their own.` : "Mend values above and send the rows again. Or download rejected.csv under “Timeline”, mend it in a spreadsheet and upload it: the columns that were added are ignored.";
  return [
    error !== null && h(Problem, { error, retry: resend }),
    h(Note, { icon: "pencil", action: h(Button, { label: count ? `Send ${plural(count, "mended row")}` : "Send mended rows", kind: "primary", busy, disabled: !count, onClick: resend }) }, p(text)),
  ];
}

/** A CSV of the mended rows, with the file's own columns. @param {string} path @param {import("./rejected.js").Edits} edits */
async function mended(path, edits) {
  const rows = [];
  let columns = /** @type {string[]} */ ([]);
  let cursor = null;
  do {
    const page = /** @type {any} */ (await get(`${path}/rejected`, { limit: PAGE, cursor }));
    columns = page.columns;
    for (const item of page.items) {
      const changed = edits[item.row_number];
      if (changed) rows.push({ ...item.values, ...changed });
    }
    cursor = page.next_cursor;
  } while (cursor && rows.length < Object.keys(edits).length);
  return new Blob([[columns, ...rows.map((row) => columns.map((column) => row[column]))].map(csvLine).join("")], { type: "text/csv" });
}

/** @param {unknown[]} cells */
export const csvLine = (cells) => `${cells.map((cell) => (/[",\r\n]/.test(String(cell ?? "")) ? `"${String(cell).replaceAll('"', '""')}"` : String(cell ?? ""))).join(",")}\r\n`;
