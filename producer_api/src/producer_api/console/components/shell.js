/** The frame of all pages: navigation, theme, shortcuts, and what was just done. */
import { h, signal, useEffect } from "../vendor/ui.js";
import { address, go } from "../router.js";
import { endSession } from "../session.js";
import { tags } from "../tags.js";
import { Button } from "./button.js";
import { Dialog } from "./dialog.js";
import { Toasts } from "./feedback.js";
import { icon } from "./icon.js";

const { a, aside, dd, div, dl, dt, img, kbd, main, nav, span } = tags;

/** Each with its name on a narrow screen, and what follows on a wide one. @type {[string, string, string, string?][]} */
const SECTIONS = [
  ["predictions", "list-checks", "Predictions"],
  ["new", "plus", "New", " prediction"],
  ["failures", "triangle-alert", "Failures"],
  ["models", "box", "Models"],
  ["api", "code", "API"],
];

/** @type {[string, string][]} */
const SHORTCUTS = [
  ["/", "Search"],
  ["g p", "Go to predictions"],
  ["g n", "New prediction"],
  ["g f", "Go to failures"],
  ["g m", "Go to models"],
  ["j  k", "Next or previous customer of a worklist"],
  ["Enter", "Open the customer"],
  ["Esc", "Close"],
  ["?", "These shortcuts"],
];

const GO = { p: "predictions", n: "new", f: "failures", m: "models", a: "api" };
const THEME = "retainwise.theme";

const helping = signal(false);
const theme = signal(storedTheme());

function storedTheme() {
  try {
    return localStorage.getItem(THEME) ?? "system";
  } catch {
    return "system";
  }
}

function setTheme(/** @type {string} */ name) {
  theme.value = name;
  if (name === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  try {
    localStorage.setItem(THEME, name);
  } catch {
    // Storage may be turned off: the theme then lasts as long as the page.
  }
}
if (globalThis.document) setTheme(theme.peek());

/** @param {{ section: string, children?: any }} props */
export function Shell({ section, children }) {
  useShortcuts();
  const dark = theme.value === "dark" || (theme.value === "system" && matchMedia("(prefers-color-scheme: dark)").matches);
  return div(
    { class: "shell" },
    a({ class: "skip", href: "#content", onClick: skip }, "Skip to content"),
    aside(
      { class: "sidebar" },
      a({ class: "brand", href: address(["predictions"]) }, img({ src: "/console/icon.svg", alt: "", width: 24, height: 24 }), span("RetainWise")),
      nav(
        { class: "nav", "aria-label": "Sections" },
        ...SECTIONS.map(([name, sign, label, more]) => a({ href: address([name]), "aria-current": name === section ? "page" : undefined }, icon(sign), span(label, more && span({ class: "long" }, more)))),
      ),
      div(
        { class: "row tight end account", style: { "margin-block-start": "auto", "margin-inline-start": 0 } },
        h(Button, { label: dark ? "Use light colours" : "Use dark colours", icon: dark ? "sun" : "moon", iconOnly: true, kind: "quiet", small: true, onClick: () => setTheme(dark ? "light" : "dark") }),
        h(Button, { label: "Keyboard shortcuts", icon: "keyboard", iconOnly: true, kind: "quiet", small: true, onClick: () => (helping.value = true) }),
        h(Button, { label: "Sign out", icon: "log-out", kind: "quiet", small: true, onClick: () => endSession() }),
      ),
    ),
    main({ class: "main", id: "content", tabindex: -1 }, children),
    helping.value && h(Dialog, { title: "Keyboard shortcuts", close: () => (helping.value = false) }, dl({ class: "facts" }, ...SHORTCUTS.flatMap(([keys, meaning]) => [dt(...keys.split(" ").map((key) => key && kbd(key))), dd(meaning)]))),
    h(Toasts, {}),
  );
}

/** @param {Event} event */
function skip(event) {
  event.preventDefault();
  document.getElementById("content")?.focus();
}

function useShortcuts() {
  useEffect(() => {
    let before = "";
    const press = (/** @type {KeyboardEvent} */ event) => {
      const target = /** @type {HTMLElement} */ (event.target);
      if (event.metaKey || event.ctrlKey || event.altKey || target.closest("input, textarea, select, [contenteditable], dialog")) return;
      if (before === "g" && event.key in GO) go(address([GO[/** @type {keyof typeof GO} */ (event.key)]]));
      else if (event.key === "?") helping.value = true;
      else if (event.key === "/") {
        const search = /** @type {HTMLInputElement | null} */ (document.querySelector("input[type=search]"));
        if (!search) return;
        event.preventDefault();
        search.focus();
        search.select();
      }
      before = event.key;
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, []);
}

/** A page's title, what it is for, and what can be done. @param {{ title: any, back?: any, children?: any, actions?: any }} props */
export function PageHead({ title, back, children, actions }) {
  useEffect(() => {
    document.title = typeof title === "string" ? `${title} · RetainWise` : "RetainWise";
  }, [title]);
  return div(
    { class: "page-head" },
    div({ class: "grow" }, back, tags.h1({ class: "clamp", title: typeof title === "string" ? title : undefined }, tags.bdi(title)), children && tags.p(children)),
    actions && div({ class: "row actions" }, actions),
  );
}
