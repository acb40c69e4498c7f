/** How do I call it? The whole flow, filled in for this server. */
import { h, useState } from "../vendor/ui.js";
import { get } from "../api.js";
import { Copy } from "../components/feedback.js";
import { Button } from "../components/button.js";
import { useData } from "../components/loading.js";
import { PageHead } from "../components/shell.js";
import { tags } from "../tags.js";

const { button, code, div, h2, header, p, pre, section } = tags;

/** @type {[string, string, (origin: string) => string, (origin: string) => string][]} */
const STEPS = [
  ["Upload a file", "201 with the upload's id", (origin) => `curl ${origin}/v1/uploads \\\n  -H "Authorization: Bearer $TOKEN" \\\n  -F file=@customers.csv`, (origin) => `const form = new FormData();\nform.append("file", file);\nconst upload = await (await fetch("${origin}/v1/uploads", {\n  method: "POST",\n  headers: { Authorization: \`Bearer \${token}\` },\n  body: form,\n})).json();`],
  ["See how it is read", "columns, odd values, expected rows; nothing is queued", (origin) => `curl ${origin}/v1/uploads/$UPLOAD/inspection \\\n  -H "Authorization: Bearer $TOKEN"`, (origin) => `const inspection = await (await fetch(\`${origin}/v1/uploads/\${upload.upload_id}/inspection\`, {\n  headers: { Authorization: \`Bearer \${token}\` },\n})).json();`],
  ["Score it", "202, or 200 if it is done within 30 seconds", (origin) => `curl ${origin}/v1/predictions \\\n  -H "Authorization: Bearer $TOKEN" \\\n  -H "Content-Type: application/json" \\\n  -H "Idempotency-Key: $(uuidgen)" \\\n  -H "Prefer: wait=30" \\\n  -d '{"upload_id": "'$UPLOAD'"}'`, (origin) => `const prediction = await (await fetch("${origin}/v1/predictions", {\n  method: "POST",\n  headers: {\n    Authorization: \`Bearer \${token}\`,\n    "Content-Type": "application/json",\n    "Idempotency-Key": crypto.randomUUID(),\n    Prefer: "wait=30",\n  },\n  body: JSON.stringify({ upload_id: upload.upload_id }),\n})).json();`],
  ["Watch it", "server-sent events; a cut connection goes on with Last-Event-ID", (origin) => `curl -N ${origin}/v1/predictions/$PREDICTION/events \\\n  -H "Authorization: Bearer $TOKEN" \\\n  -H "Accept: text/event-stream"`, (origin) => `const events = await fetch(\`${origin}/v1/predictions/\${prediction.prediction_id}/events\`, {\n  headers: { Authorization: \`Bearer \${token}\`, Accept: "text/event-stream" },\n});\nfor await (const chunk of events.body.pipeThrough(new TextDecoderStream())) console.log(chunk);`],
  ["Read whom to call", "customers by risk, a page at a time", (origin) => `curl "${origin}/v1/predictions/$PREDICTION/rows?order=risk&limit=20" \\\n  -H "Authorization: Bearer $TOKEN"`, (origin) => `const rows = await (await fetch(\`${origin}/v1/predictions/\${prediction.prediction_id}/rows?order=risk\`, {\n  headers: { Authorization: \`Bearer \${token}\` },\n})).json();`],
];

export function Api() {
  const [language, setLanguage] = useState("curl");
  const me = useData((signal) => get("/v1/me", {}, signal), []);
  const origin = globalThis.location.origin;
  return [
    h(PageHead, { title: "API", actions: [div({ class: "segments", role: "group", "aria-label": "Language" }, ...[["curl", "curl"], ["fetch", "fetch"]].map(([key = "", label]) => button({ type: "button", "aria-pressed": key === language ? "true" : "false", onClick: () => setLanguage(key) }, label))), h(Button, { label: "Reference", icon: "book-open", href: "/docs" })] }, me.data ? `Everything this console does, your own programs can do. You are tenant ${me.data.tenant_id}.` : "Everything this console does, your own programs can do."),
    ...STEPS.map(([title, note, curl, javascript], index) => {
      const text = (language === "curl" ? curl : javascript)(origin);
      return section({ class: "card" }, header(div(h2(`${index + 1}. ${title}`), p(note)), h(Copy, { text })), div({ class: "body" }, pre({ class: "code", tabIndex: 0 }, code(text))));
    }),
  ];
}
