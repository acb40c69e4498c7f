import { h } from "../vendor/ui.js";
import { figure, percent, probability as readable } from "../format.js";
import { tags } from "../tags.js";
import { Chart, fitted } from "./chart.js";
import { linear, ticks, waterfall } from "./scale.js";

const { g, line, rect, text, title } = tags;

const ROW = 34;
const BAR = 18;
const TOP = 22;

/**
 * From the base rate to one customer's probability, a bar for each feature; the axis is the probability.
 * @param {{ intercept: number, contributions: { feature: string, label: string, effect: number, value: string }[] }} props in log-odds, in the order they are drawn
 */
export function Waterfall({ intercept, contributions }) {
  const { base, steps, probability } = waterfall(intercept, contributions);
  const ends = steps.flatMap(({ from, to }) => [from, to]);
  const high = Math.min(1, Math.max(base, probability, ...ends) * 1.12 + 0.02);
  const height = TOP + (steps.length + 2) * ROW + 4;
  const y = (/** @type {number} */ row) => TOP + row * ROW;
  const draw = (/** @type {number} */ width) => {
    const names = Math.min(190, width * 0.4);
    const x = linear([0, high], [names, width - 46]);
    return [
      ...ticks(0, high, Math.max(2, Math.floor((width - names) / 80))).map((tick) => g(line({ class: "grid-line", x1: x(tick), x2: x(tick), y1: TOP - 4, y2: height }), text({ x: x(tick), y: 11, "text-anchor": "middle" }, percent(tick)))),
      end(y(0), "Typical customer", x(0), x(base), "var(--slate-8)", readable(base)),
      ...steps.map((step, index) => {
        const shown = /** @type {{ label: string, value: string }} */ (contributions[index]);
        const [from, to] = [x(step.from), x(step.to)];
        const top = y(index + 1);
        return g(
          title(`${shown.label}: ${shown.value}`),
          text({ x: 0, y: top + 14, class: "value" }, fitted(shown.label, names - 8)),
          text({ x: 0, y: top + 28 }, fitted(shown.value, names - 8)),
          line({ class: "axis", x1: from, x2: from, y1: top - ROW + 6 + BAR, y2: top + 6, "stroke-dasharray": "2 2" }),
          rect({ x: Math.min(from, to), y: top + 6, width: Math.max(1.5, Math.abs(to - from)), height: BAR, rx: 2, fill: step.effect >= 0 ? "var(--raises)" : "var(--lowers)" }),
          text({ x: Math.max(from, to) + 6, y: top + 19, class: "value" }, `${step.to >= step.from ? "+" : "−"}${Math.abs((step.to - step.from) * 100).toFixed(1)}`),
        );
      }),
      end(y(steps.length + 1), "This customer", x(0), x(probability), "var(--accent)", readable(probability)),
    ];
  };
  return h(Chart, {
    label: "How the score comes about",
    height,
    draw,
    columns: ["Feature", "Value", "Effect (log-odds)", "Probability after it"],
    rows: [
      ["Typical customer", "", "", readable(base)],
      ...steps.map((step, index) => [contributions[index]?.label ?? step.feature, contributions[index]?.value ?? "", figure(step.effect), readable(step.to)]),
    ],
    caption: "From a typical customer to this one, in percentage points. Effects add up in log-odds; the order is by size.",
  });
}

/** The bar of a whole probability. @param {number} y @param {string} label @param {number} from @param {number} to @param {string} fill @param {string} value */
function end(y, label, from, to, fill, value) {
  return g(
    text({ x: 0, y: y + 19, class: "value" }, label),
    rect({ x: from, y: y + 6, width: Math.max(1.5, to - from), height: BAR, rx: 2, fill }),
    text({ x: to + 6, y: y + 19, class: "value" }, value),
  );
}
