/** The API as the console calls it: JSON in, JSON out, and every refusal as one kind of error. */
import { endSession, token } from "./session.js";

/** @typedef {{ field: string, detail: string }} FieldProblem */

/** A refusal of the API, as its problem object says it, or a connection that failed. */
export class ApiProblem extends Error {
  /** @param {Record<string, any>} problem @param {number} status @param {Headers} [headers] */
  constructor(problem, status, headers) {
    super(problem.title ?? "The request failed.");
    this.title = /** @type {string} */ (problem.title ?? "The request failed.");
    this.detail = /** @type {string} */ (problem.detail ?? "");
    this.code = /** @type {string} */ (problem.code ?? "unknown");
    this.status = status;
    this.requestId = /** @type {string | null} */ (problem.request_id ?? headers?.get("X-Request-Id") ?? null);
    this.fields = /** @type {FieldProblem[]} */ (problem.errors ?? []);
    this.problem = problem;
    const wait = Number(headers?.get("Retry-After"));
    this.retryAfterSeconds = Number.isFinite(wait) && wait > 0 ? wait : null;
  }
}

const UNREACHABLE = {
  title: "The service cannot be reached.",
  detail: "Check your connection. The page tries again by itself.",
  code: "unreachable",
};

/**
 * @typedef {object} Request
 * @property {Record<string, string | number | boolean | null | undefined | string[]>} [query] empty values are left out
 * @property {unknown} [json] sent as JSON
 * @property {BodyInit} [body] sent as it is
 * @property {Record<string, string>} [headers]
 * @property {AbortSignal} [signal]
 */

/** Make a request and return the response. Throws ApiProblem. @param {string} method @param {string} path @param {Request} [request] */
export async function send(method, path, request = {}) {
  const url = new URL(path, globalThis.location.origin);
  for (const [name, value] of Object.entries(request.query ?? {})) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined && one !== null && one !== "") url.searchParams.append(name, String(one));
    }
  }
  /** @type {Record<string, string>} */
  const headers = { Accept: "application/json", ...request.headers };
  if (token.value) headers.Authorization ??= `Bearer ${token.value}`;
  if (request.json !== undefined) headers["Content-Type"] ??= "application/json";
  /** @type {Response} */
  let response;
  try {
    response = await fetch(url, {
      method,
      headers,
      body: request.json !== undefined ? JSON.stringify(request.json) : request.body,
      signal: request.signal,
      cache: "no-cache",
    });
  } catch (error) {
    if (request.signal?.aborted) throw error;
    throw new ApiProblem(UNREACHABLE, 0);
  }
  if (response.ok || response.status === 304) return response;
  const problem = await response.json().catch(() => ({}));
  if (response.status === 401) endSession(problem.code);
  throw new ApiProblem(problem, response.status, response.headers);
}

/** @template [T=any] @param {string} path @param {Request["query"]} [query] @param {AbortSignal} [signal] @returns {Promise<T>} */
export const get = async (path, query, signal) => (await send("GET", path, { query, signal })).json();

/** A POST that is done once, however often it is sent. @template [T=any] @param {string} path @param {unknown} [json] @returns {Promise<T>} */
export async function post(path, json = {}) {
  const headers = { "Idempotency-Key": crypto.randomUUID() };
  for (let attempt = 1; ; attempt += 1) {
    try {
      return (await send("POST", path, { json, headers })).json();
    } catch (error) {
      const again = error instanceof ApiProblem && (error.status === 0 || error.status === 503) && attempt < 3;
      if (!again) throw error;
      await new Promise((resolve) => setTimeout(resolve, 500 * 2 ** attempt));
    }
  }
}

/** The server says something every 15 s at least; after this long without a word the connection is dead. */
const SILENCE_MS = 40_000;

/**
 * Read server-sent events until the last one or until `signal` aborts. A connection that is cut is taken up where it was:
 * after the last event that `receive` has dealt with.
 * @param {string} path @param {(event: { id: string, type: string, data: any }) => Promise<void>} receive @param {AbortSignal} signal
 */
export async function stream(path, receive, signal) {
  let last = "";
  for (let failures = 0; !signal.aborted; ) {
    const connection = new Connection(signal);
    try {
      const headers = { Accept: "text/event-stream", ...(last && { "Last-Event-ID": last }) };
      const response = await send("GET", path, { headers, signal: connection.signal });
      const reader = /** @type {ReadableStream<any>} */ (response.body).pipeThrough(new TextDecoderStream()).getReader();
      for (let buffer = ""; ; ) {
        const { done, value } = await reader.read();
        if (done) break;
        connection.alive();
        failures = 0;
        buffer += value.replaceAll("\r", "");
        for (let end = buffer.indexOf("\n\n"); end >= 0; end = buffer.indexOf("\n\n")) {
          const event = parseEvent(buffer.slice(0, end));
          buffer = buffer.slice(end + 2);
          if (event) {
            await receive(event);
            last = event.id || last;
            if (FINAL.has(event.type)) return;
          }
        }
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ApiProblem && error.status >= 400 && error.status < 500 && error.status !== 429) throw error;
    } finally {
      connection.close();
    }
    failures += 1;
    await online(Math.min(500 * 2 ** failures, 15_000));
  }
}

/** One connection of a stream: it ends with the whole, after too long a silence, or when the network has changed. */
class Connection {
  #abort = new AbortController();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** @param {AbortSignal} whole */
  constructor(whole) {
    this.signal = AbortSignal.any([whole, this.#abort.signal]);
    globalThis.addEventListener("online", this.#cut);
    this.alive();
  }

  #cut = () => this.#abort.abort();

  alive() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#cut, SILENCE_MS);
  }

  close() {
    this.#cut();
    clearTimeout(this.#timer);
    globalThis.removeEventListener("online", this.#cut);
  }
}

/** Wait so long, or until the network is there again. @param {number} milliseconds */
function online(milliseconds) {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
    globalThis.addEventListener("online", resolve, { once: true });
  });
}

const FINAL = new Set(["completed", "failed", "cancelled", "expired"]);

/** @param {string} block */
export function parseEvent(block) {
  const event = { id: "", type: "message", data: /** @type {any} */ (null) };
  const data = [];
  for (const line of block.split("\n")) {
    const [, field, value] = /^([^:]*):? ?(.*)$/.exec(line) ?? [];
    if (field === "id") event.id = value ?? "";
    else if (field === "event") event.type = value ?? "";
    else if (field === "data") data.push(value);
  }
  if (!data.length) return null;
  event.data = JSON.parse(data.join("\n"));
  return event;
}
