/** What all charts share: a figure as wide as its place, with a caption, and the table of its numbers behind it. */
import { useLayoutEffect, useRef, useState } from "../vendor/ui.js";
import { tags } from "../tags.js";

const { details, div, figcaption, figure, summary, svg, table, tbody, td, th, thead, tr } = tags;

/** The width of a drawing before its place is known. */
const FIRST_WIDTH = 560;

/** About how wide a character of a chart's text is, in pixels. */
const CHARACTER = 6.4;

/**
 * @param {object} props
 * @param {string} props.label what the chart shows, for screen readers
 * @param {number} props.height in pixels
 * @param {(width: number) => any} props.draw the drawing, in pixels: text has the same size in every chart
 * @param {string[]} props.columns of the table
 * @param {(string | number)[][]} props.rows
 * @param {any} [props.caption]
 */
export function Chart({ label, height, draw, columns, rows, caption }) {
  const frame = useRef(/** @type {HTMLElement | null} */ (null));
  const [width, setWidth] = useState(FIRST_WIDTH);
  useLayoutEffect(() => {
    const measure = () => setWidth(frame.current?.clientWidth || FIRST_WIDTH);
    measure();
    const observer = new ResizeObserver(measure);
    if (frame.current) observer.observe(frame.current);
    return () => observer.disconnect();
  }, []);
  return figure(
    { class: "chart", ref: frame },
    svg({ viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label }, draw(width)),
    caption && figcaption(caption),
    details(
      { class: "no-print" },
      summary("Show as a table"),
      div(
        { class: "table-frame", tabindex: "0", role: "region", "aria-label": `${label}, as a table` },
        table(
          { class: "table" },
          thead(tr(...columns.map((column, index) => th({ scope: "col", class: index ? "figure" : "" }, column)))),
          tbody(...rows.map((row) => tr(...row.map((cell, index) => td({ class: index ? "figure" : "" }, cell))))),
        ),
      ),
    ),
  );
}

/** A text cut to so many pixels. @param {string} text @param {number} width */
export function fitted(text, width) {
  const most = Math.max(4, Math.floor(width / CHARACTER));
  const characters = [...text];
  return characters.length > most ? `${characters.slice(0, most - 1).join("")}…` : text;
}
