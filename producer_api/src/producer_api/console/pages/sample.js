/** The sample file that comes with the console: 1,000 invented customers. */
import { post, send } from "../api.js";

export const SAMPLE_CUSTOMERS = 1_000;

/** Upload the sample and score it; return the prediction's id. */
export async function startSample() {
  const file = await (await fetch("/console/sample.csv")).blob();
  const form = new FormData();
  form.append("file", file, "sample-customers.csv");
  const upload = await (await send("POST", "/v1/uploads", { body: form })).json();
  const prediction = await post("/v1/predictions", { upload_id: upload.upload_id, label: "Sample" });
  return prediction.prediction_id;
}
