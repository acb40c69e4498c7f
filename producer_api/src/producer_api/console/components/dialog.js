/** The browser's own dialog: Esc closes it, focus stays inside and returns to where it was. */
import { h, useEffect, useId, useRef } from "../vendor/ui.js";
import { tags } from "../tags.js";
import { Button } from "./button.js";

const { dialog, div, h2, p } = tags;

/**
 * @param {{ title: any, subtitle?: any, close: () => void, drawer?: boolean, wide?: boolean, foot?: any, actions?: any, children?: any }} props
 */
export function Dialog({ title, subtitle, close, drawer, wide, foot, actions, children }) {
  const frame = useRef(/** @type {HTMLDialogElement | null} */ (null));
  const label = useId();
  useEffect(() => {
    const before = /** @type {HTMLElement | null} */ (document.activeElement);
    frame.current?.showModal();
    return () => before?.focus?.();
  }, []);
  return dialog(
    {
      ref: frame,
      class: drawer ? "drawer" : `dialog ${wide ? "wide" : ""}`,
      "aria-labelledby": label,
      onClose: close,
      // A click beside the dialog closes it; one that began inside, to select text, does not.
      onMouseDown: (/** @type {MouseEvent} */ event) => event.target === frame.current && frame.current?.close(),
    },
    div(
      { class: "dialog-head" },
      div({ class: "grow" }, h2({ id: label, class: "wrap clamp" }, title), subtitle && p({ class: "soft small" }, subtitle)),
      div({ class: "row tight" }, actions, h(Button, { label: "Close", icon: "x", iconOnly: true, kind: "quiet", small: true, onClick: () => frame.current?.close() })),
    ),
    div({ class: "dialog-body" }, children),
    foot && div({ class: "dialog-foot" }, foot),
  );
}

/** Ask before something that cannot be undone. @param {{ title: string, children?: any, label: string, busy?: boolean, confirm: () => void, close: () => void }} props */
export function Confirm({ title, children, label, busy, confirm, close }) {
  return h(
    Dialog,
    {
      title,
      close,
      foot: [h(Button, { label: "Keep", onClick: close }), h(Button, { label, kind: "primary danger", busy, onClick: confirm })],
    },
    children,
  );
}
