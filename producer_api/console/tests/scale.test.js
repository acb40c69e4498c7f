import assert from "node:assert/strict";
import { test } from "node:test";
import { cumulated, linear, ticks, waterfall } from "../../src/producer_api/console/charts/scale.js";

test("a scale maps its ends and its middle", () => {
  const scale = linear([10, 20], [0, 100]);
  assert.deepEqual([10, 15, 20].map(scale), [0, 50, 100]);
});

test("a scale of one number has no infinite values", () => assert.ok(Number.isFinite(linear([5, 5], [0, 100])(5))));

test("ticks are round and within the range", () => {
  assert.deepEqual(ticks(0, 100), [0, 20, 40, 60, 80, 100]);
  assert.deepEqual(ticks(0, 0.35, 4), [0, 0.1, 0.2, 0.3]);
  assert.deepEqual(ticks(7, 7), [7]);
  for (const tick of ticks(-3.7, 912.4)) assert.ok(tick >= -3.7 && tick <= 912.4);
});

test("a waterfall ends where it should: each step begins at the end of the one before", () => {
  const { base, steps, probability } = waterfall(-1, [{ feature: "a", effect: 2 }, { feature: "b", effect: -0.5 }]);
  assert.equal(base, 1 / (1 + Math.E));
  assert.equal(steps[0]?.from, base);
  assert.equal(steps[1]?.from, steps[0]?.to);
  assert.equal(steps[1]?.to, probability);
  assert.ok(Math.abs(probability - 1 / (1 + Math.exp(-0.5))) < 1e-12);
});

test("shares add up to one", () => {
  assert.deepEqual(cumulated([2, 1, 1], 4), [0, 0.5, 0.75, 1]);
  assert.deepEqual(cumulated([], 0), [0]);
});
