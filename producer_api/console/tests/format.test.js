import assert from "node:assert/strict";
import { test } from "node:test";
import { ago, bytes, duration, money, number, percent, plural, probability, short } from "../../src/producer_api/console/format.js";

test("numbers are grouped, and large ones shortened", () => {
  assert.equal(number(1_234_567.8), "1,234,568");
  assert.equal(short(9_999), "9,999");
  assert.equal(short(1_250_000), "1.3M");
});

test("a small share has a decimal place", () => {
  assert.equal(percent(0.042), "4.2%");
  assert.equal(percent(0.42), "42%");
  assert.equal(percent(0), "0%");
});

test("a probability is never certain", () => {
  assert.equal(probability(0.0001), "<1%");
  assert.equal(probability(0.9999), ">99%");
  assert.equal(probability(0.314), "31%");
});

test("money has the label that was given: a sign before, a code behind", () => {
  assert.equal(money(1_234.5, "€"), "€1,235");
  assert.equal(money(1_234.5, "EUR"), "1,235 EUR");
  assert.equal(money(2_500_000, null), "2.5M");
});

test("sizes and times have units", () => {
  assert.match(bytes(999), /^999 ?(B|byte)$/);
  assert.equal(bytes(2_300_000), "2.3 MB");
  assert.equal(duration(0.25), "0.25 s");
  assert.equal(duration(260), "4 min 20 s");
  assert.equal(duration(7_320), "2 h 2 min");
});

test("a duration never has 60 seconds", () => assert.equal(duration(119.7), "2 min 0 s"));

test("a time is said from now", () => {
  const now = Date.UTC(2026, 10, 24, 12);
  assert.equal(ago(now - 1_000, now), "now");
  assert.equal(ago(now - 90_000, now), "1 minute ago");
  assert.equal(ago(now + 2 * 3_600_000, now), "in 2 hours");
});

test("one is singular", () => {
  assert.equal(plural(1, "customer"), "1 customer");
  assert.equal(plural(1_000, "customer"), "1,000 customers");
});
