import { h, useState } from "../vendor/ui.js";
import { number, percent, plural } from "../format.js";
import { tags } from "../tags.js";
import { Chart } from "./chart.js";
import { linear } from "./scale.js";

const { circle, div, g, input, label, line, p, path, strong, text } = tags;

const WIDTH = 640;
const HEIGHT = 240;
const LEFT = 44;
const BOTTOM = 34;

/**
 * What share of those expected to leave is reached by calling so many customers, in order of risk.
 * @param {{ shares: number[], customers: number }} props `shares[n]` is reached with n calls; `customers` of the whole file
 */
export function Gain({ shares, customers }) {
  const most = shares.length - 1;
  const [calls, setCalls] = useState(Math.min(200, most));
  const x = linear([0, most], [LEFT, WIDTH - 12]);
  const y = linear([0, 1], [HEIGHT - BOTTOM, 12]);
  const step = Math.max(1, Math.floor(most / 200));
  const points = Array.from({ length: Math.floor(most / step) + 1 }, (_, index) => index * step);
  if (points.at(-1) !== most) points.push(most);
  const reached = shares[calls] ?? 0;
  return div(
    { class: "stack" },
    p("Call the ", strong(number(calls)), " customers with the highest risk: that reaches ", strong(percent(reached)), " of those expected to leave. Calling as many at random would reach ", percent(customers ? calls / customers : 0), "."),
    label(
      { class: "field no-print" },
      tags.span({ class: "label" }, "How many can you call?"),
      input({ type: "range", min: 0, max: most, value: calls, "aria-valuetext": `${plural(calls, "call")}, ${percent(reached)} reached`, onInput: (/** @type {any} */ event) => setCalls(Number(event.target.value)) }),
    ),
    h(Chart, {
      label: "Share of expected leavers reached, by number of calls",
      width: WIDTH,
      height: HEIGHT,
      columns: ["Calls", "Reached"],
      rows: points.filter((_, index) => index % 10 === 0 || index === points.length - 1).map((count) => [number(count), percent(shares[count] ?? 0)]),
      children: [
        ...[0, 0.25, 0.5, 0.75, 1].map((tick) => g(line({ class: "grid-line", x1: LEFT, x2: WIDTH - 12, y1: y(tick), y2: y(tick) }), text({ x: LEFT - 8, y: y(tick) + 4, "text-anchor": "end" }, `${tick * 100}%`))),
        path({ d: `M${x(0)} ${y(0)}L${x(most)} ${y(customers ? Math.min(1, most / customers) : 0)}`, stroke: "var(--slate-8)", "stroke-dasharray": "4 4", fill: "none" }),
        path({ d: points.map((count, index) => `${index ? "L" : "M"}${x(count).toFixed(1)} ${y(shares[count] ?? 0).toFixed(1)}`).join(""), fill: "none", stroke: "var(--accent)", "stroke-width": 2.5, "stroke-linejoin": "round" }),
        line({ class: "axis", x1: x(calls), x2: x(calls), y1: y(reached), y2: HEIGHT - BOTTOM, "stroke-dasharray": "3 3" }),
        circle({ cx: x(calls), cy: y(reached), r: 5, fill: "var(--accent)", stroke: "var(--surface)", "stroke-width": 2 }),
        ...[0, 0.25, 0.5, 0.75, 1].map((share) => text({ x: x(share * most), y: HEIGHT - BOTTOM + 16, "text-anchor": share === 1 ? "end" : "middle" }, number(Math.round(share * most)))),
        text({ x: x(most / 2), y: HEIGHT - 2, "text-anchor": "middle" }, "Customers called, by risk"),
      ],
    }),
  );
}
