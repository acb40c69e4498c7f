import assert from "node:assert/strict";
import { test } from "node:test";
import { effectOf, explain, sigmoid } from "../../src/producer_api/console/explain.js";

/** @type {import("../../src/producer_api/console/explain.js").NumericTerm} */
const months = { feature: "months", kind: "numeric", edges: [Math.fround(0.1), 12], scores: [2, 1, -1], missing: 0.5 };
/** @type {import("../../src/producer_api/console/explain.js").CategoricalTerm} */
const contract = { feature: "contract", kind: "categorical", scores: { monthly: 1, yearly: -1 }, missing: 0.25, unseen: 0 };

test("an edge belongs to the step above it", () => {
  assert.deepEqual([0, 0.05, 11.99, 12, 1e300].map((value) => effectOf(months, value)), [2, 2, 1, -1, -1]);
});

test("numbers are compared as float32: 0.1 is the edge that was made from it", () => assert.equal(effectOf(months, 0.1), 1));

test("what is empty is missing, and what is no number too", () => {
  for (const value of [null, undefined, "", NaN, "soon"]) assert.equal(effectOf(months, value), 0.5);
  assert.equal(effectOf(contract, null), 0.25);
});

test("an unknown category is unseen, also one with the name of a method", () => {
  assert.equal(effectOf(contract, "weekly"), 0);
  assert.equal(effectOf(contract, "constructor"), 0);
});

test("the effects add up to the probability", () => {
  const { probability, contributions } = explain({ intercept: -1, terms: [months, contract] }, { months: 5, contract: "yearly" });
  assert.deepEqual(contributions, [{ feature: "months", effect: 1 }, { feature: "contract", effect: -1 }]);
  assert.equal(probability, sigmoid(-1));
});
