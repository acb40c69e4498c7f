/**
 * One customer's score from the card's terms: exactly what the model computes, without a model runtime.
 *
 * The model compares in float32 and adds in float64, and so does this.
 */

/**
 * @typedef {{ feature: string, kind: "numeric", edges: number[], scores: number[], missing: number, unseen?: number }} NumericTerm
 * @typedef {{ feature: string, kind: "categorical", scores: Record<string, number>, missing: number, unseen: number }} CategoricalTerm
 * @typedef {NumericTerm | CategoricalTerm} Term
 * @typedef {{ feature: string, effect: number }} Contribution in log-odds
 */

/** The effect of one value in log-odds. @param {Term} term @param {number | string | null | undefined} value */
export function effectOf(term, value) {
  if (value === null || value === undefined || value === "") return term.missing;
  if (term.kind === "categorical") return Object.hasOwn(term.scores, value) ? /** @type {number} */ (term.scores[value]) : term.unseen;
  const x = Math.fround(Number(value));
  if (Number.isNaN(x)) return term.missing;
  let low = 0;
  let high = term.edges.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (x < /** @type {number} */ (term.edges[middle])) high = middle;
    else low = middle + 1;
  }
  return /** @type {number} */ (term.scores[low]);
}

/** @param {number} logOdds */
export const sigmoid = (logOdds) => 1 / (1 + Math.exp(-logOdds));

/**
 * @param {{ intercept: number, terms: Term[] }} card
 * @param {Record<string, number | string | null | undefined>} values
 * @returns {{ probability: number, intercept: number, contributions: Contribution[] }}
 */
export function explain(card, values) {
  const contributions = card.terms.map((term) => ({ feature: term.feature, effect: effectOf(term, values[term.feature]) }));
  const logOdds = contributions.reduce((sum, { effect }) => sum + effect, card.intercept);
  return { probability: sigmoid(logOdds), intercept: card.intercept, contributions };
}
