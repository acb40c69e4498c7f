/** A box with a title, and a row of figures. */
import { tags } from "../tags.js";

const { dd, div, dl, dt, h2, header, p, section } = tags;

/** @param {{ title: any, note?: any, actions?: any, children?: any, table?: any }} props `table` fills the box to its edges */
export function Card({ title, note, actions, children, table }) {
  return section(
    { class: "card" },
    header(div({ class: "grow" }, h2(title), note && p(note)), actions),
    children && div({ class: "body stack" }, children),
    table,
  );
}

/** A figure with its name and what it is of. @param {string} name @param {any} value @param {any} [note] @param {string} [kind] a level of risk */
export const stat = (name, value, note, kind = "") => div({ class: `stat ${kind}` }, dt(name), dd(value), note && dd({ class: "small soft" }, note));

/** @param {{ children?: any }} props */
export const Stats = ({ children }) => dl({ class: "card stats" }, children);
