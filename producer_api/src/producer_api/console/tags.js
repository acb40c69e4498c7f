/**
 * Elements as functions: `div({ class: "row" }, "text", strong(name))`.
 *
 * The first argument is taken as properties if it is a plain object; all others are children.
 */
import { h } from "./vendor/ui.js";

/** @typedef {import("preact").ComponentChild} Child */
/** @typedef {import("preact").VNode<any>} Element */
/** @typedef {(...content: (Record<string, unknown> | Child | Child[])[]) => Element} Tag */

/** @typedef {{ readonly [Name in keyof HTMLElementTagNameMap | keyof SVGElementTagNameMap]: Tag }} Tags */

export const tags = new Proxy(
  /** @type {Tags} */ ({}),
  {
    get: (_, /** @type {string} */ name) => (/** @type {unknown[]} */ ...content) => {
      const first = /** @type {any} */ (content[0]);
      const hasProperties = first?.constructor === Object;
      return h(name, hasProperties ? first : null, .../** @type {any[]} */ (hasProperties ? content.slice(1) : content));
    },
  },
);
