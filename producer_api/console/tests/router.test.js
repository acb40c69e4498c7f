import assert from "node:assert/strict";
import { test } from "node:test";
import { address, parse } from "../../src/producer_api/console/router.js";

test("an address is read as it was written, whatever is in it", () => {
  const parts = ["predictions", "a/b", "100 %", "ü?#&="];
  const query = { search: "a&b=c #1", risk: "HIGH" };
  const read = parse(address(parts, query));
  assert.deepEqual(read.parts, parts);
  assert.deepEqual(Object.fromEntries(read.query), query);
});

test("empty filters are left out", () => {
  assert.equal(address(["predictions"], { risk: "", search: null, cursor: undefined, page: 0 }), "#/predictions?page=0");
});

test("an address that nobody wrote is read as well as it can be", () => {
  assert.deepEqual(parse("").parts, []);
  assert.deepEqual(parse("#").parts, []);
  assert.deepEqual(parse("#//predictions//7").parts, ["predictions", "7"]);
  assert.deepEqual(parse("#/predictions/%E0%A4%A").parts, ["predictions", "%E0%A4%A"]);
});

test("a question mark belongs to the query", () => {
  assert.equal(parse("#/new?name=what?").query.get("name"), "what?");
});
