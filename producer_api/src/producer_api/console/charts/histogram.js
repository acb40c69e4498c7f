import { h } from "../vendor/ui.js";
import { number, percent, short } from "../format.js";
import { tags } from "../tags.js";
import { Chart } from "./chart.js";
import { linear, ticks } from "./scale.js";

const { g, line, path, rect, text, title } = tags;

const HEIGHT = 240;
const LEFT = 44;
const BOTTOM = 38;
const TOP = 20;

/**
 * How many customers have which probability, in the colours of the risk levels.
 * @param {{ counts: number[], mediumFrom: number, highFrom: number, before?: number[] }} props counts of equally wide
 *   bins over [0, 1]; `before` is drawn as a line, scaled to as many customers
 */
export function Histogram({ counts, mediumFrom, highFrom, before }) {
  const scaled = before && scaleTo(before, counts);
  const most = Math.max(1, ...counts, ...(scaled ?? []));
  const share = 1 / counts.length;
  const level = (/** @type {number} */ middle) => (middle >= highFrom ? "var(--high)" : middle >= mediumFrom ? "var(--medium)" : "var(--low)");
  const range = (/** @type {number} */ bin) => `${Math.round(bin * share * 100)}–${Math.round((bin + 1) * share * 100)} %`;
  const draw = (/** @type {number} */ width) => {
    const x = linear([0, 1], [LEFT, width - 8]);
    const y = linear([0, most], [HEIGHT - BOTTOM, TOP]);
    return [
      ...ticks(0, most, 4).filter(Number.isInteger).map((tick) => g(line({ class: "grid-line", x1: LEFT, x2: width - 8, y1: y(tick), y2: y(tick) }), text({ x: LEFT - 8, y: y(tick) + 4, "text-anchor": "end" }, short(tick)))),
      ...counts.map((count, bin) => {
        const top = count ? Math.min(y(count), HEIGHT - BOTTOM - 1.5) : y(0);
        return rect({ x: x(bin * share) + 1, y: top, width: Math.max(1, x(share) - x(0) - 2), height: y(0) - top, rx: 2, fill: level((bin + 0.5) * share) }, title(`${range(bin)}: ${number(count)}`));
      }),
      scaled && path({ d: scaled.map((count, bin) => `${bin ? "L" : "M"}${x(bin * share)} ${y(count)}L${x((bin + 1) * share)} ${y(count)}`).join(""), fill: "none", stroke: "var(--ink)", "stroke-width": 1.5 }),
      ...[mediumFrom, highFrom].map((bound) => line({ class: "axis", x1: x(bound), x2: x(bound), y1: TOP - 8, y2: HEIGHT - BOTTOM, "stroke-dasharray": "3 3" })),
      text({ x: x(mediumFrom) + 5, y: TOP }, "Medium"),
      text({ x: x(highFrom) + 5, y: TOP }, "High"),
      line({ class: "axis", x1: LEFT, x2: width - 8, y1: HEIGHT - BOTTOM, y2: HEIGHT - BOTTOM }),
      ...ticks(0, 1, Math.min(5, Math.floor(width / 90))).map((tick) => text({ x: x(tick), y: HEIGHT - BOTTOM + 16, "text-anchor": tick === 1 ? "end" : "middle" }, percent(tick))),
      text({ x: x(0.5), y: HEIGHT - 4, "text-anchor": "middle" }, "Churn probability"),
    ];
  };
  return h(Chart, {
    label: "Customers by churn probability",
    height: HEIGHT,
    draw,
    columns: before ? ["Probability", "Customers", "Before"] : ["Probability", "Customers"],
    rows: counts.map((count, bin) => [range(bin), number(count), ...(before ? [number(before[bin] ?? 0)] : [])]),
  });
}

/** Counts in the same shares, of as many customers as others. @param {number[]} counts @param {number[]} others */
function scaleTo(counts, others) {
  const sum = (/** @type {number[]} */ all) => all.reduce((total, count) => total + count, 0);
  const factor = sum(others) / (sum(counts) || 1);
  return counts.map((count) => count * factor);
}
