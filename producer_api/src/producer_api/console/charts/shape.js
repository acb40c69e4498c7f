import { h } from "../vendor/ui.js";
import { figure } from "../format.js";
import { tags } from "../tags.js";
import { Bars } from "./bars.js";
import { Chart } from "./chart.js";
import { linear, ticks } from "./scale.js";

const { circle, g, line, path, rect, text } = tags;

const HEIGHT = 230;
const LEFT = 44;
const BOTTOM = 38;

/**
 * What a term of the model adds to the log-odds for each value: steps for numbers, bars for categories.
 * @param {{ term: import("../explain.js").Term, label: string, unit?: string, from?: number, to?: number, value?: number | string | null }} props `from` and `to` bound the axis; `value` marks a customer
 */
export function Shape({ term, label, unit, from, to, value }) {
  if (term.kind === "categorical") {
    const items = Object.entries(term.scores).map(([name, score]) => ({
      label: name === value ? `${name} ●` : name,
      value: score,
      shown: figure(score),
      kind: /** @type {"raises" | "lowers"} */ (score >= 0 ? "raises" : "lowers"),
    }));
    return h(Bars, { label: `Effect of ${label}`, items, unit: "Effect (log-odds)" });
  }
  const edges = term.edges;
  const low = from ?? (edges[0] ?? 0) - 1;
  const high = to ?? (edges.at(-1) ?? 1) + 1;
  const scores = term.scores;
  const bottom = Math.min(0, ...scores);
  const top = Math.max(0, ...scores);
  const bounds = [low, ...edges.filter((edge) => edge > low && edge < high), high];
  const first = edges.filter((edge) => edge <= low).length;
  const steps = bounds.slice(0, -1).map((start, index) => ({ start, end: /** @type {number} */ (bounds[index + 1]), score: /** @type {number} */ (scores[first + index]) }));
  const marked = typeof value === "number" ? steps.find(({ start, end }) => value >= start && value <= end) : undefined;
  const axis = unit ? `${label} (${unit})` : label;
  const draw = (/** @type {number} */ width) => {
    const x = linear([low, high], [LEFT, width - 8]);
    const y = linear([bottom, top], [HEIGHT - BOTTOM, 10]);
    const outline = steps.map(({ start, end, score }, index) => `${index ? "L" : "M"}${x(start)} ${y(score)}L${x(end)} ${y(score)}`).join("");
    return [
      rect({ x: LEFT, y: y(top), width: width - 8 - LEFT, height: Math.max(0, y(0) - y(top)), fill: "var(--high-soft)", opacity: 0.6 }),
      rect({ x: LEFT, y: y(0), width: width - 8 - LEFT, height: Math.max(0, y(bottom) - y(0)), fill: "var(--low-soft)", opacity: 0.6 }),
      ...ticks(bottom, top, 4).map((tick) => g(line({ class: "grid-line", x1: LEFT, x2: width - 8, y1: y(tick), y2: y(tick) }), text({ x: LEFT - 8, y: y(tick) + 4, "text-anchor": "end" }, figure(tick)))),
      line({ class: "axis", x1: LEFT, x2: width - 8, y1: y(0), y2: y(0) }),
      path({ d: outline, fill: "none", stroke: "var(--accent)", "stroke-width": 2, "stroke-linejoin": "round" }),
      marked && circle({ cx: x(/** @type {number} */ (value)), cy: y(marked.score), r: 5, fill: "var(--accent)", stroke: "var(--surface)", "stroke-width": 2 }),
      ...ticks(low, high, 6).map((tick) => text({ x: x(tick), y: HEIGHT - BOTTOM + 16, "text-anchor": "middle" }, figure(tick))),
      text({ x: x((low + high) / 2), y: HEIGHT - 4, "text-anchor": "middle" }, axis),
    ];
  };
  return h(Chart, {
    label: `Effect of ${label}`,
    height: HEIGHT,
    draw,
    columns: [axis, "Effect (log-odds)"],
    rows: steps.map(({ start, end, score }) => [`${figure(start)} to ${figure(end)}`, figure(score)]),
  });
}
