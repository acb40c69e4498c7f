/** A reason for a score, as a short text with a sign that says which way it works. */
import { h } from "../vendor/ui.js";
import { icon } from "../components/icon.js";
import { tags } from "../tags.js";

const { bdi, button, span } = tags;

/** The reason without its direction, which its sign says: "Tenure of 2 months". @param {string} text */
export const subject = (text) => text.replace(/ (raises|lowers|does not change) the risk\.?$/, "");

/** @param {{ reason: any, title?: string, onClick?: () => void }} props */
export function Reason({ reason, title, onClick }) {
  const [kind, sign, word] = reason.effect > 0 ? ["raises", "arrow-up", "raises the risk"] : reason.effect < 0 ? ["lowers", "arrow-down", "lowers the risk"] : ["plain", "circle-help", "counts as average"];
  const content = [icon(sign), bdi({ class: "truncate" }, subject(reason.text)), span({ class: "unseen" }, ` ${word}`)];
  const common = { class: `chip ${kind}`, title: title ?? reason.text };
  return onClick ? button({ type: "button", ...common, onClick }, ...content) : span(common, ...content);
}

/** @param {any} reason */
export const reasonChip = (reason) => h(Reason, { reason });
