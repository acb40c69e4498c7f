/** The whole flow with the generated types: upload, inspect, map, predict, watch, read, explain, export, delete. */
import { readFile } from "node:fs/promises";

import createClient, { type Middleware } from "openapi-fetch";

import type { components, paths } from "./api.js";

type Problem = components["schemas"]["ProblemDocument"];
type Event = components["schemas"]["PredictionEvent"];

const [url, token, file] = process.argv.slice(2);
if (!url || !token || !file) throw new Error("usage: flow.js URL TOKEN FILE");

const authorize: Middleware = {
  onRequest({ request }) {
    request.headers.set("Authorization", `Bearer ${token}`);
    return request;
  },
};
const api = createClient<paths>({ baseUrl: url });
api.use(authorize);

/** Returns the data of an answer, or throws the problem that it is. */
function must<T>(answer: { data?: T; error?: Problem | { state: string }; response: Response }): T {
  if (answer.data === undefined) {
    throw new Error(`${answer.response.status} ${JSON.stringify(answer.error)}`);
  }
  return answer.data;
}

/** Follows the events of a prediction until the last one. */
async function* watch(predictionId: string): AsyncGenerator<Event> {
  const { data: stream } = await api.GET("/v1/predictions/{prediction_id}/events", {
    params: { path: { prediction_id: predictionId } },
    headers: { Accept: "text/event-stream" },
    parseAs: "stream",
  });
  if (!stream) throw new Error("no event stream");
  let text = "";
  for await (const chunk of stream.pipeThrough(new TextDecoderStream())) {
    const blocks = (text + chunk).split("\n\n");
    text = blocks.pop() ?? "";
    for (const block of blocks) {
      const data = /^data: ?(.*)$/m.exec(block)?.[1];
      if (data) yield JSON.parse(data) as Event;
    }
  }
}

const content = await readFile(file, "utf8");
const upload = must(
  await api.POST("/v1/uploads", {
    params: { query: { name: "customers.csv" }, header: { "Idempotency-Key": crypto.randomUUID() } },
    body: content,
    bodySerializer: (body) => body as string,
    headers: { "Content-Type": "text/csv" },
  }),
);

const inspection = must(
  await api.GET("/v1/uploads/{upload_id}/inspection", { params: { path: { upload_id: upload.upload_id } } }),
);
if (inspection.is_ready) throw new Error("the file should need a mapping");
const mapping = { tenure: "Loyalty" };
const corrected = must(
  await api.GET("/v1/uploads/{upload_id}/inspection", {
    params: { path: { upload_id: upload.upload_id }, query: { mapping: JSON.stringify(mapping) } },
  }),
);
if (!corrected.is_ready) throw new Error(`still not ready: ${JSON.stringify(corrected.missing)}`);

const prediction = must(
  await api.POST("/v1/predictions", {
    params: { header: { "Idempotency-Key": crypto.randomUUID() } },
    body: { upload_id: upload.upload_id, mapping, label: "typescript" },
  }),
);
const path = { prediction_id: prediction.prediction_id };

const seen: Event[] = [];
for await (const event of watch(prediction.prediction_id)) seen.push(event);
if (seen.at(-1)?.type !== "completed") throw new Error(`it ended as ${JSON.stringify(seen.at(-1))}`);

const finished = must(await api.GET("/v1/predictions/{prediction_id}", { params: { path } }));
if (finished.rows?.scored !== 3) throw new Error(`scored ${finished.rows?.scored}`);
const listed = must(await api.GET("/v1/predictions", { params: { query: { label: "typescript" } } }));
if (listed.items.length !== 1) throw new Error("it is not listed");

// rows

const receipt = must(await api.DELETE("/v1/predictions/{prediction_id}", { params: { path } }));
if (receipt.objects.length === 0) throw new Error("nothing was deleted");
const gone = await api.GET("/v1/predictions/{prediction_id}", { params: { path } });
if (gone.response.status !== 410) throw new Error(`after the deletion: ${gone.response.status}`);

console.log(JSON.stringify({ events: seen.length, deleted: receipt.objects.length }));
