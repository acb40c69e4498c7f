import { h } from "../vendor/ui.js";
import { probability as readable, figure } from "../format.js";
import { tags } from "../tags.js";
import { Chart } from "./chart.js";
import { linear, ticks, waterfall } from "./scale.js";

const { g, line, rect, text, title } = tags;

const WIDTH = 560;
const LABEL = 188;
const ROW = 28;
const TOP = 22;

/**
 * From the base rate to one customer's probability, a bar for each feature; the axis is the probability.
 * @param {{ intercept: number, contributions: { feature: string, label: string, effect: number, value: string }[] }} props in log-odds, in the order they are drawn
 */
export function Waterfall({ intercept, contributions }) {
  const { base, steps, probability } = waterfall(intercept, contributions);
  const ends = steps.flatMap(({ from, to }) => [from, to]);
  const high = Math.min(1, Math.max(base, probability, ...ends) * 1.12 + 0.02);
  const x = linear([0, high], [LABEL, WIDTH - 46]);
  const height = TOP + (steps.length + 2) * ROW + 4;
  const y = (/** @type {number} */ row) => TOP + row * ROW;
  return h(Chart, {
    label: "How the score comes about",
    width: WIDTH,
    height,
    columns: ["Feature", "Value", "Effect (log-odds)", "Probability after it"],
    rows: [
      ["Typical customer", "", "", readable(base)],
      ...steps.map((step, index) => [contributions[index]?.label ?? step.feature, contributions[index]?.value ?? "", figure(step.effect), readable(step.to)]),
    ],
    children: [
      ...ticks(0, high, 4).map((tick) =>
        g(line({ class: "grid-line", x1: x(tick), x2: x(tick), y1: TOP - 4, y2: height }), text({ x: x(tick), y: 11, "text-anchor": "middle" }, `${Math.round(tick * 100)}%`)),
      ),
      row(y(0), "Typical customer", "", x(0), x(base), "var(--slate-8)", readable(base)),
      ...steps.map((step, index) => {
        const shown = /** @type {{ label: string, value: string }} */ (contributions[index]);
        const [from, to] = [x(step.from), x(step.to)];
        return g(
          title(`${shown.label}: ${shown.value}`),
          text({ x: 0, y: y(index + 1) + 12, class: "value" }, clip(shown.label, 28)),
          text({ x: 0, y: y(index + 1) + 24, "font-size": 10 }, clip(shown.value, 34)),
          line({ class: "axis", x1: from, x2: from, y1: y(index) + 20, y2: y(index + 1) + 4, "stroke-dasharray": "2 2" }),
          rect({ x: Math.min(from, to), y: y(index + 1) + 4, width: Math.max(1.5, Math.abs(to - from)), height: 16, rx: 2, fill: step.effect >= 0 ? "var(--raises)" : "var(--lowers)" }),
          text({ x: Math.max(from, to) + 6, y: y(index + 1) + 16, class: "value" }, `${step.to >= step.from ? "+" : "−"}${Math.abs((step.to - step.from) * 100).toFixed(1)}`),
        );
      }),
      row(y(steps.length + 1), "This customer", "", x(0), x(probability), "var(--accent)", readable(probability)),
    ],
    caption: "From a typical customer to this one, in percentage points. Effects add up in log-odds; the order is by size.",
  });
}

/** @param {number} y @param {string} label @param {string} note @param {number} from @param {number} to @param {string} fill @param {string} value */
function row(y, label, note, from, to, fill, value) {
  return g(
    text({ x: 0, y: y + 16, class: "value" }, label),
    note && text({ x: 0, y: y + 24 }, note),
    rect({ x: from, y: y + 4, width: Math.max(1.5, to - from), height: 16, rx: 2, fill }),
    text({ x: to + 6, y: y + 16, class: "value" }, value),
  );
}

/** @param {string} value @param {number} characters */
const clip = (value, characters) => (value.length > characters ? `${value.slice(0, characters - 1)}…` : value);
