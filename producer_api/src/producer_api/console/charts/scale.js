/** Arithmetic of charts, apart from drawing, so that it can be tested. */

/** A linear scale from numbers to pixels. @param {[number, number]} domain @param {[number, number]} range */
export function linear([from, to], [start, end]) {
  const span = to - from || 1;
  return (/** @type {number} */ value) => start + ((value - from) / span) * (end - start);
}

/** Round steps that cover a range: 0, 20, 40, … @param {number} low @param {number} high @param {number} [count] about so many */
export function ticks(low, high, count = 5) {
  if (!(high > low)) return [low];
  const rough = (high - low) / Math.max(1, count);
  const magnitude = 10 ** Math.floor(Math.log10(rough));
  const step = magnitude * (/** @type {number} */ ([1, 2, 2.5, 5, 10].find((factor) => factor * magnitude >= rough - 1e-12)));
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, index) => Number(((first + index) * step).toPrecision(12)));
}

/**
 * Steps of a waterfall on a probability axis: each contribution moves the log-odds, and is drawn from the probability
 * before it to the one after it.
 * @param {number} intercept in log-odds
 * @param {{ feature: string, effect: number }[]} contributions in the order they are drawn
 */
export function waterfall(intercept, contributions) {
  const sigmoid = (/** @type {number} */ x) => 1 / (1 + Math.exp(-x));
  let logOdds = intercept;
  const steps = contributions.map(({ feature, effect }) => {
    const from = sigmoid(logOdds);
    logOdds += effect;
    return { feature, effect, from, to: sigmoid(logOdds) };
  });
  return { base: sigmoid(intercept), steps, probability: sigmoid(logOdds) };
}

/** What the first so many of them add up to, as shares of a total: 0, first, first + second, … @param {number[]} amounts @param {number} total */
export function cumulated(amounts, total) {
  let sum = 0;
  return [0, ...amounts.map((amount) => (sum += amount) / (total || 1))];
}
