/** What all charts share: a figure with a caption, and the table of its numbers behind it. */
import { tags } from "../tags.js";

const { details, div, figcaption, figure, summary, svg, table, tbody, td, th, thead, tr } = tags;

/**
 * @param {object} props
 * @param {string} props.label what the chart shows, for screen readers
 * @param {number} props.width of the drawing's own coordinates
 * @param {number} props.height
 * @param {any} props.children the drawing
 * @param {string[]} props.columns of the table
 * @param {(string | number)[][]} props.rows
 * @param {any} [props.caption]
 */
export function Chart({ label, width, height, children, columns, rows, caption }) {
  return figure(
    { class: "chart" },
    svg({ viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label }, children),
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
