/**
 * Sends a file: small ones through the API, large ones in parts straight to storage, which can be paused.
 */
import { ApiProblem, post, send } from "./api.js";
import { token } from "./session.js";

/** Above this size a file is sent in parts. */
export const PARTS_ABOVE_BYTES = 100_000_000;

/** How often a part is sent again before the upload fails. */
const ATTEMPTS = 4;

/**
 * An upload under way. `progress` is told the bytes that have arrived.
 */
export class Upload {
  /** @param {File} file @param {(sent: number) => void} progress */
  constructor(file, progress) {
    this.file = file;
    this.progress = progress;
    this.abort = new AbortController();
    this.canPause = file.size > PARTS_ABOVE_BYTES;
    /** @type {Promise<void> | null} */
    this.paused = null;
    this.resume = () => {};
  }

  pause() {
    this.paused = new Promise((resolve) => {
      this.resume = () => {
        this.paused = null;
        resolve();
      };
    });
  }

  cancel() {
    this.abort.abort();
    this.resume();
  }

  /** Send the file and return the upload that the API answers. Throws ApiProblem. @returns {Promise<any>} */
  async run() {
    if (!this.canPause) return this.#sendWhole();
    const begun = await post("/v1/uploads", { name: this.file.name, size: this.file.size });
    return this.#sendParts(begun);
  }

  #sendWhole() {
    const form = new FormData();
    form.append("file", this.file, this.file.name);
    return put("POST", "/v1/uploads", form, this.abort.signal, this.progress, { Authorization: `Bearer ${token.value}`, "Idempotency-Key": crypto.randomUUID() });
  }

  /** @param {import("retainwise/api").components["schemas"]["CreatedUpload"]} begun */
  async #sendParts({ upload_id, parts, transfer }) {
    if (!parts || transfer?.kind !== "parts") throw new TypeError("a large file is sent in parts");
    const path = `/v1/uploads/${upload_id}`;
    let missing = transfer.parts;
    let sent = 0;
    for (let attempt = 1; missing.length; ) {
      await this.paused;
      this.abort.signal.throwIfAborted();
      const [part] = /** @type {[typeof missing[0]]} */ (missing);
      const start = (part.number - 1) * parts.part_bytes;
      try {
        await put("PUT", part.url, this.file.slice(start, start + part.size_bytes), this.abort.signal, (now) => this.progress(sent + now));
        sent += part.size_bytes;
        missing = missing.slice(1);
        attempt = 1;
      } catch (error) {
        if (attempt >= ATTEMPTS || this.abort.signal.aborted) throw error;
        await new Promise((resolve) => setTimeout(resolve, 1_000 * 2 ** attempt));
        attempt += 1;
        missing = (await post(`${path}/parts`)).transfer.parts; // the links may have expired meanwhile
      }
    }
    return (await send("POST", `${path}/complete`, { json: {}, signal: this.abort.signal })).json();
  }
}

/**
 * @param {string} method @param {string} url @param {XMLHttpRequestBodyInit} body @param {AbortSignal} signal
 * @param {(sent: number) => void} progress @param {Record<string, string>} [headers] @returns {Promise<any>}
 */
function put(method, url, body, signal, progress, headers = {}) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(method, url);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.addEventListener("progress", (event) => progress(event.loaded));
    request.addEventListener("load", () => {
      const answer = parse(request.responseText);
      if (request.status < 300) resolve(answer);
      else reject(new ApiProblem(answer ?? { title: "The storage refused a part of the file.", code: "storage_refused" }, request.status));
    });
    request.addEventListener("error", () => reject(new ApiProblem({ title: "The connection was lost.", detail: "Check your connection and send the file again.", code: "unreachable" }, 0)));
    request.addEventListener("abort", () => reject(new DOMException("The upload was cancelled.", "AbortError")));
    signal.addEventListener("abort", () => request.abort(), { once: true });
    request.send(body);
  });
}

/** @param {string} text */
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
