/** Words with a colour: a status, a risk, a probability. The word always says it too. */
import { h } from "../vendor/ui.js";
import { probability as readable } from "../format.js";
import { tags } from "../tags.js";
import { icon } from "./icon.js";

const { span } = tags;

/** @type {Record<string, [string, string, string]>} */
const STATUSES = {
  QUEUED: ["Waiting", "clock", ""],
  RUNNING: ["Scoring", "loader-circle", "busy"],
  RETRYING: ["Trying again", "rotate-cw", "warn"],
  COMPLETED: ["Completed", "check", "good"],
  FAILED: ["Failed", "x", "bad"],
  CANCELLED: ["Cancelled", "circle-stop", ""],
  EXPIRED: ["Expired", "clock", "warn"],
};

/** @param {{ status: string, phase?: string }} props */
export function Status({ status, phase }) {
  const [label, name, kind] = STATUSES[phase === "retrying" ? "RETRYING" : status] ?? [status, "circle-help", ""];
  return span({ class: `badge ${kind}` }, icon(name, status === "RUNNING" ? "spin" : ""), label);
}

/** A probability with its bar in the colour of its level. @param {{ probability: number, level: string }} props */
export function Risk({ probability, level }) {
  return span(
    { class: "risk", "data-level": level },
    span({ class: "number strong" }, readable(probability)),
    span({ class: "bar", "aria-hidden": "true" }, span({ style: { width: `${Math.max(2, probability * 100)}%` } })),
    span({ class: "unseen" }, `${level.toLowerCase()} risk`),
  );
}

/** @param {string} status @param {string} [phase] */
export const status = (status, phase) => h(Status, { status, phase });
