import { h } from "../vendor/ui.js";
import { number, short } from "../format.js";
import { tags } from "../tags.js";
import { Chart } from "./chart.js";
import { linear, ticks } from "./scale.js";

const { g, line, rect, text, title } = tags;

const WIDTH = 640;
const HEIGHT = 220;
const LEFT = 44;
const BOTTOM = 34;
const TOP = 18;

/**
 * How many customers have which probability, in the colours of the risk levels.
 * @param {{ counts: number[], mediumFrom: number, highFrom: number }} props counts of equally wide bins over [0, 1]
 */
export function Histogram({ counts, mediumFrom, highFrom }) {
  const most = Math.max(1, ...counts);
  const x = linear([0, 1], [LEFT, WIDTH - 8]);
  const y = linear([0, most], [HEIGHT - BOTTOM, TOP]);
  const width = 1 / counts.length;
  const level = (/** @type {number} */ middle) => (middle >= highFrom ? "var(--high)" : middle >= mediumFrom ? "var(--medium)" : "var(--low)");
  const range = (/** @type {number} */ bin) => `${Math.round(bin * width * 100)}–${Math.round((bin + 1) * width * 100)} %`;
  return h(Chart, {
    label: "Customers by churn probability",
    width: WIDTH,
    height: HEIGHT,
    columns: ["Probability", "Customers"],
    rows: counts.map((count, bin) => [range(bin), number(count)]),
    children: [
      ...ticks(0, most, 4).map((tick) =>
        g(line({ class: "grid-line", x1: LEFT, x2: WIDTH - 8, y1: y(tick), y2: y(tick) }), text({ x: LEFT - 8, y: y(tick) + 4, "text-anchor": "end" }, short(tick))),
      ),
      ...counts.map((count, bin) =>
        rect(
          { x: x(bin * width) + 1, y: count ? Math.min(y(count), HEIGHT - BOTTOM - 1.5) : y(0), width: Math.max(1, x(width) - x(0) - 2), height: count ? Math.max(1.5, y(0) - y(count)) : 0, rx: 2, fill: level((bin + 0.5) * width) },
          title(`${range(bin)}: ${number(count)}`),
        ),
      ),
      ...[mediumFrom, highFrom].map((bound) => line({ class: "axis", x1: x(bound), x2: x(bound), y1: TOP - 4, y2: HEIGHT - BOTTOM, "stroke-dasharray": "3 3" })),
      text({ x: x(mediumFrom) + 5, y: TOP + 4 }, "Medium"),
      text({ x: x(highFrom) + 5, y: TOP + 4 }, "High"),
      line({ class: "axis", x1: LEFT, x2: WIDTH - 8, y1: HEIGHT - BOTTOM, y2: HEIGHT - BOTTOM }),
      ...[0, 0.2, 0.4, 0.6, 0.8, 1].map((tick) => text({ x: x(tick), y: HEIGHT - BOTTOM + 16, "text-anchor": "middle" }, `${tick * 100}%`)),
      text({ x: x(0.5), y: HEIGHT - 2, "text-anchor": "middle" }, "Churn probability"),
    ],
  });
}
