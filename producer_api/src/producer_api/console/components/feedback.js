/** What is shown while something loads, when there is nothing, and when something failed. */
import { h, signal, useState } from "../vendor/ui.js";
import { ApiProblem } from "../api.js";
import { tags } from "../tags.js";
import { Button } from "./button.js";
import { icon } from "./icon.js";

const { div, h2, p, span } = tags;

/** Grey lines where text will be. @param {{ lines?: number, width?: string, height?: string }} props */
export function Skeleton({ lines = 1, width, height }) {
  return div(
    { class: "stack", style: { "--gap": "0.625rem" }, "aria-hidden": "true" },
    ...Array.from({ length: lines }, (_, line) =>
      span({ class: "skeleton", style: { width: width ?? `${95 - ((line * 17) % 40)}%`, height } }),
    ),
  );
}

/** @param {{ icon: string, title: string, children?: any, action?: any }} props */
export function Empty({ icon: name, title, children, action }) {
  return div({ class: "empty" }, div({ class: "sign" }, icon(name, "large")), h2(title), children && p(children), action);
}

/** A sentence that matters. @param {{ kind?: "warn" | "bad" | "good", icon?: string, title?: string, children?: any, action?: any, role?: string }} props */
export function Note({ kind, icon: name, title, children, action, role }) {
  const sign = name ?? { warn: "triangle-alert", bad: "circle-alert", good: "circle-check" }[kind ?? "warn"] ?? "info";
  return div(
    { class: `note ${kind ?? ""}`, role },
    icon(kind ? sign : (name ?? "info")),
    div({ class: "stack grow", style: { "--gap": "0.375rem" } }, title && p({ class: "strong" }, title), children, action && div({ class: "row" }, action)),
  );
}

/** Why a request failed: the sentence, what to do, the code and the request's id. @param {{ error: unknown, retry?: () => void, action?: any }} props */
export function Problem({ error, retry, action }) {
  const problem = error instanceof ApiProblem ? error : new ApiProblem({ title: "Something went wrong in the console.", detail: String(error), code: "console_error" }, 0);
  const facts = [`code ${problem.code}`, problem.requestId && `request ${problem.requestId}`].filter(Boolean).join(" · ");
  return h(
    Note,
    {
      kind: "bad",
      role: "alert",
      title: problem.title,
      action: [retry && h(Button, { label: "Try again", icon: "rotate-cw", small: true, onClick: retry }), action],
    },
    problem.detail && problem.detail !== problem.title && p(problem.detail),
    problem.fields.length > 0 && tags.ul(...problem.fields.map(({ field, detail }) => tags.li(tags.code(field), ` ${detail}`))),
    p({ class: "facts" }, facts),
  );
}

/** @type {import("@preact/signals").Signal<{ id: number, text: string, kind: "good" | "bad" }[]>} */
const toasts = signal([]);
let next = 0;

/** Say that something was done. Errors that need an answer stay where they happened instead. @param {string} text @param {"good" | "bad"} [kind] */
export function toast(text, kind = "good") {
  const id = (next += 1);
  toasts.value = [...toasts.value, { id, text, kind }];
  setTimeout(() => {
    toasts.value = toasts.value.filter((shown) => shown.id !== id);
  }, 6_000);
}

export function Toasts() {
  return div(
    { class: "toasts", role: "status", "aria-live": "polite" },
    ...toasts.value.map(({ id, text, kind }) => div({ class: "toast", key: id }, icon(kind === "good" ? "circle-check" : "circle-alert"), p({ class: "grow" }, text))),
  );
}

/** A button that copies text and says so. @param {{ text: string, label?: string }} props */
export function Copy({ text, label = "Copy" }) {
  const [done, setDone] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    setDone(true);
    setTimeout(() => setDone(false), 1_500);
  };
  return h(Button, { label: done ? "Copied" : label, icon: done ? "check" : "copy", small: true, kind: "quiet", onClick: copy });
}
