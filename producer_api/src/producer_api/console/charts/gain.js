import { h, useState } from "../vendor/ui.js";
import { number, percent, plural } from "../format.js";
import { tags } from "../tags.js";
import { Chart } from "./chart.js";
import { linear, ticks } from "./scale.js";

const { circle, g, input, label, line, p, path, span, strong, text } = tags;

const HEIGHT = 240;
const LEFT = 44;
const BOTTOM = 38;
const SHARES = [0, 0.25, 0.5, 0.75, 1];

/**
 * What share of those expected to leave is reached by calling so many customers, in order of risk.
 * @param {{ shares: number[], customers: number, values?: string[] }} props `shares[n]` is reached with n calls;
 *   `customers` of the whole file; `values[n]`, where it is known, is what n calls are worth
 */
export function Gain({ shares, customers, values }) {
  const most = shares.length - 1;
  const [calls, setCalls] = useState(Math.min(200, Math.ceil(most / 5)));
  const reached = shares[calls] ?? 0;
  const step = Math.max(1, Math.floor(most / 200));
  const points = Array.from({ length: Math.floor(most / step) + 1 }, (_, index) => index * step);
  if (points.at(-1) !== most) points.push(most);
  const draw = (/** @type {number} */ width) => {
    const x = linear([0, most], [LEFT, width - 12]);
    const y = linear([0, 1], [HEIGHT - BOTTOM, 12]);
    const curve = points.map((count, index) => `${index ? "L" : "M"}${x(count).toFixed(1)} ${y(shares[count] ?? 0).toFixed(1)}`).join("");
    const random = customers ? Math.min(1, most / customers) : 0;
    return [
      ...SHARES.map((tick) => g(line({ class: "grid-line", x1: LEFT, x2: width - 12, y1: y(tick), y2: y(tick) }), text({ x: LEFT - 8, y: y(tick) + 4, "text-anchor": "end" }, percent(tick)))),
      path({ d: `${curve}L${x(most)} ${y(0)}L${x(0)} ${y(0)}Z`, fill: "var(--accent-soft)" }),
      path({ d: `M${x(0)} ${y(0)}L${x(most)} ${y(random)}`, stroke: "var(--slate-8)", "stroke-dasharray": "4 4", fill: "none" }),
      text({ x: x(most * 0.8), y: y(random * 0.8) + 18, "text-anchor": "middle" }, "at random"),
      path({ d: curve, fill: "none", stroke: "var(--accent)", "stroke-width": 2.5, "stroke-linejoin": "round" }),
      line({ class: "axis", x1: x(calls), x2: x(calls), y1: y(reached), y2: HEIGHT - BOTTOM, "stroke-dasharray": "3 3" }),
      circle({ cx: x(calls), cy: y(reached), r: 5, fill: "var(--accent)", stroke: "var(--surface)", "stroke-width": 2 }),
      ...ticks(0, most, Math.min(most, Math.floor(width / 90))).map((count) => text({ x: x(count), y: HEIGHT - BOTTOM + 16, "text-anchor": count === most ? "end" : "middle" }, number(count))),
      text({ x: x(most / 2), y: HEIGHT - 4, "text-anchor": "middle" }, "Customers called, by risk"),
    ];
  };
  return [
    p(
      "Call the ", strong(number(calls)), ` ${calls === 1 ? "customer" : "customers"} with the highest risk: that reaches `, strong(percent(reached)), " of those expected to leave",
      values && [", and ", strong(values[calls]), " of the value at risk"],
      `. As many calls at random would reach ${percent(customers ? calls / customers : 0)}.`,
    ),
    label(
      { class: "field no-print" },
      span({ class: "label" }, "How many can you call?"),
      input({ type: "range", style: { "--filled": `${(calls / Math.max(1, most)) * 100}%` }, min: 0, max: most, value: calls, "aria-valuetext": `${plural(calls, "call")}, ${percent(reached)} reached`, onInput: (/** @type {any} */ event) => setCalls(Number(event.target.value)) }),
    ),
    h(Chart, {
      label: "Share of expected leavers reached, by number of calls",
      height: HEIGHT,
      draw,
      columns: ["Calls", "Reached"],
      rows: points.filter((_, index) => index % 10 === 0 || index === points.length - 1).map((count) => [number(count), percent(shares[count] ?? 0)]),
    }),
  ];
}
