/** Steps through a long list: back to its first page, and on to the next. */
import { h } from "../vendor/ui.js";
import { filter } from "../router.js";
import { tags } from "../tags.js";
import { Button } from "./button.js";

/** @param {{ cursor: string, next: string | null, note?: any, onNext?: () => void }} props */
export function Pages({ cursor, next, note, onNext }) {
  if (!cursor && !next && !note) return null;
  const forward = () => {
    filter({ cursor: next });
    onNext?.();
    scrollTo({ top: 0 });
  };
  return tags.div(
    { class: "row spread no-print" },
    cursor ? h(Button, { label: "First page", icon: "chevron-left", small: true, onClick: () => filter({ cursor: null }) }) : tags.span({ class: "soft small" }, note),
    next && h(Button, { label: "Next page", icon: "chevron-right", small: true, onClick: forward }),
  );
}
