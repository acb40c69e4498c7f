/** What goes wrong again and again? Failures by cause, whose they are, and what to do. */
import { h } from "../vendor/ui.js";
import { get } from "../api.js";
import { Empty, Problem, Skeleton } from "../components/feedback.js";
import { useData } from "../components/loading.js";
import { PageHead } from "../components/shell.js";
import { ago, number, plural } from "../format.js";
import { address, filter, location } from "../router.js";
import { tags } from "../tags.js";

const { a, button, code, div, h2, header, li, p, rect, section, span, svg, title, ul } = tags;

const DAYS = [["7", "7 days"], ["30", "30 days"], ["90", "90 days"]];

export function Failures() {
  const days = location.value.query.get("days") ?? "30";
  const since = new Date(Math.floor(Date.now() / 86_400_000) * 86_400_000 - (Number(days) - 1) * 86_400_000).toISOString();
  const failures = useData((signal) => get("/v1/failures", { since }, signal), [days]);
  const groups = /** @type {any[]} */ (failures.data?.items ?? failures.data?.failures ?? []);
  return [
    h(PageHead, { title: "Failures", actions: div({ class: "segments", role: "group", "aria-label": "Period" }, ...DAYS.map(([value, label]) => button({ type: "button", "aria-pressed": value === days ? "true" : "false", onClick: () => filter({ days: value }) }, label))) }, "Why predictions ended without a result, most frequent first."),
    failures.error ? h(Problem, { error: failures.error, retry: failures.reload }) : null,
    failures.loading && !failures.data ? div({ class: "card" }, div({ class: "body" }, h(Skeleton, { lines: 6 }))) : null,
    failures.data && !groups.length && div({ class: "card" }, h(Empty, { icon: "shield-check", title: "Nothing failed" }, `Every prediction of the last ${days} days was scored.`)),
    ...groups.map((group) => h(Group, { key: group.code, group, days: Number(days) })),
  ];
}

/** @param {{ group: any, days: number }} props */
function Group({ group, days }) {
  const yours = group.fault === "user";
  return section(
    { class: "card" },
    header(
      div({ class: "stack", style: { "--gap": "0.375rem" } }, h2(group.sentence ?? group.code), div({ class: "row small soft" }, code(group.code), span({ class: `badge ${yours ? "warn" : "bad"}` }, yours ? "The file" : "Our side"), span(plural(group.count, "failure")))),
      h(Trend, { trend: group.trend ?? group.days ?? [], days }),
    ),
    div(
      { class: "body stack" },
      (group.action ?? group.what_to_do) && p(group.action ?? group.what_to_do),
      group.samples?.length > 0 &&
        ul({ class: "stack small", style: { "--gap": "0.25rem" } }, ...group.samples.map((/** @type {any} */ sample) => li({ class: "row spread" }, a({ class: "truncate", href: address(["predictions", sample.prediction_id]) }, sample.label ?? sample.file_name ?? sample.prediction_id), span({ class: "faint" }, ago(sample.finished_at ?? sample.at))))),
    ),
  );
}

/** Failures of each day as small bars. @param {{ trend: any[], days: number }} props */
function Trend({ trend, days }) {
  const byDay = new Map(trend.map((one) => [String(one.day ?? one.date).slice(0, 10), one.count]));
  const counts = Array.from({ length: days }, (_, back) => byDay.get(new Date(Date.now() - (days - 1 - back) * 86_400_000).toISOString().slice(0, 10)) ?? 0);
  const most = Math.max(1, ...counts);
  const width = 160 / days;
  return svg({ width: 160, height: 36, viewBox: "0 0 160 36", role: "img", "aria-label": `Failures a day: ${number(counts.at(-1) ?? 0)} today, at most ${number(most)}` }, title(`At most ${number(most)} a day`), ...counts.map((count, index) => rect({ x: index * width, y: 36 - Math.max(1, (count / most) * 34), width: Math.max(1, width - 1), height: Math.max(1, (count / most) * 34), rx: 1, fill: count ? "var(--high)" : "var(--line)" })));
}
