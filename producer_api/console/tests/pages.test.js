/** What pages compute from answers of the API, apart from showing it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { movedBy } from "../../src/producer_api/console/pages/comparison.js";
import { doubtful } from "../../src/producer_api/console/pages/file_quality.js";
import { subject } from "../../src/producer_api/console/pages/reason.js";
import { csvLine } from "../../src/producer_api/console/pages/resend.js";
import { bySegment } from "../../src/producer_api/console/pages/segments.js";

const reason = (/** @type {string} */ label, /** @type {string | null} */ value, /** @type {string} */ text, effect = 1) => ({ feature: label.toLowerCase(), label, value, text, effect });

test("customers are counted in each reason that raises their risk", () => {
  const contract = reason("Contract", "Month-to-month", "Month-to-month contract raises the risk");
  const rows = [
    { churn_probability: 0.5, value_at_risk: 10, reasons: [contract, reason("Tenure", "2", "Tenure of 2 months raises the risk")] },
    { churn_probability: 0.25, value_at_risk: null, reasons: [contract, reason("Tenure", "70", "Tenure of 70 months lowers the risk", -1)] },
  ];
  assert.deepEqual(bySegment(rows), [
    { name: "Month-to-month contract", feature: "contract", customers: 2, leavers: 0.75, value: 10 },
    { name: "Tenure", feature: "tenure", customers: 1, leavers: 0.5, value: 10 },
  ]);
});

test("the feature whose mean effect has changed most is first, and noise is left out", () => {
  const before = [{ feature: "a", mean_effect: 0.1 }, { feature: "b", mean_effect: 0.2 }, { feature: "c", mean_effect: 0 }];
  const now = [{ feature: "a", mean_effect: 0.2 }, { feature: "b", mean_effect: -0.2 }, { feature: "c", mean_effect: 0.001 }];
  assert.deepEqual(movedBy(before, now).map(({ feature, change }) => [feature, Math.round(change * 10)]), [["b", -4], ["a", 1]]);
});

test("a reason's subject has no direction, and an unknown sentence stays whole", () => {
  assert.equal(subject("Tenure of 2 months raises the risk"), "Tenure of 2 months");
  assert.equal(subject("DSL internet lowers the risk."), "DSL internet");
  assert.equal(subject("Unknown tenure: scored as average in this respect"), "Unknown tenure: scored as average in this respect");
});

test("cells with delimiters, quotes and line breaks are quoted", () => {
  assert.equal(csvLine(["a,b", 'say "x"', "two\nlines", "plain", undefined]), '"a,b","say ""x""","two\nlines",plain,\r\n');
});

test("a feature is doubtful if most of its values are out of range or unknown", () => {
  const feature = (/** @type {number} */ out_of_range, /** @type {number} */ unseen) => ({ feature: "x", out_of_range, unseen });
  assert.equal(doubtful({ rows: 10, features: [feature(5, 0)] }).length, 0);
  assert.equal(doubtful({ rows: 10, features: [feature(3, 3)] }).length, 1);
});
