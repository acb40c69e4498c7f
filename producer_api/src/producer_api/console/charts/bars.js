import { h } from "../vendor/ui.js";
import { tags } from "../tags.js";
import { Chart, fitted } from "./chart.js";
import { linear } from "./scale.js";

const { g, line, rect, text, title } = tags;

const ROW = 30;
const FIGURE = 52;

/**
 * One bar for each named thing, from zero to the right or to the left.
 * @param {{ label: string, items: { label: string, value: number, shown: string, kind?: "raises" | "lowers" | "plain" }[], unit: string, caption?: any }} props
 */
export function Bars({ label, items, unit, caption }) {
  const low = Math.min(0, ...items.map(({ value }) => value));
  const high = Math.max(0, ...items.map(({ value }) => value));
  const longest = Math.max(...items.map((item) => item.label.length)) * 7 + 12;
  const fills = { raises: "var(--raises)", lowers: "var(--lowers)", plain: "var(--accent)" };
  const draw = (/** @type {number} */ width) => {
    const names = Math.min(longest, width * 0.42);
    const x = linear([low, high], [names + (low < 0 ? FIGURE : 0), width - (high > 0 ? FIGURE : 2)]);
    return [
      ...items.map((item, index) => {
        const [from, to] = [x(Math.min(0, item.value)), x(Math.max(0, item.value))];
        const middle = index * ROW + ROW / 2;
        return g(
          title(`${item.label}: ${item.shown}`),
          text({ x: 0, y: middle + 4, class: "value" }, fitted(item.label, names - 8)),
          rect({ x: from, y: middle - 8, width: Math.max(1.5, to - from), height: 16, rx: 3, fill: fills[item.kind ?? "plain"] }),
          text({ x: item.value < 0 ? from - 6 : to + 6, y: middle + 4, "text-anchor": item.value < 0 ? "end" : "start" }, item.shown),
        );
      }),
      low < 0 && line({ class: "axis", x1: x(0), x2: x(0), y1: 0, y2: items.length * ROW }),
    ];
  };
  return h(Chart, { label, height: items.length * ROW + 4, draw, caption, columns: ["", unit], rows: items.map(({ label: name, shown }) => [name, shown]) });
}
