import assert from "node:assert/strict";
import { test } from "node:test";
import { parseEvent } from "../../src/producer_api/console/api.js";

test("an event has its id, its type and its data", () => {
  assert.deepEqual(parseEvent('id: 7\nevent: progress\ndata: {"rows":5}'), { id: "7", type: "progress", data: { rows: 5 } });
});

test("data in several lines is one document", () => assert.deepEqual(parseEvent('data: {"a":\ndata: 1}')?.data, { a: 1 }));

test("an event without a type is a message", () => assert.equal(parseEvent("data: 1")?.type, "message"));

test("comments and times between attempts are no events", () => {
  assert.equal(parseEvent(": keep-alive"), null);
  assert.equal(parseEvent("retry: 1000"), null);
  assert.equal(parseEvent(""), null);
});

test("a value may have colons, and needs no space", () => {
  assert.deepEqual(parseEvent('event:failed\ndata:{"at":"12:30:00"}')?.data, { at: "12:30:00" });
});
