/** What goes wrong again and again? Failures by cause, whose they are, and what to do. */
import { h } from "../vendor/ui.js";
import { get } from "../api.js";
import { Empty, Problem, Skeleton } from "../components/feedback.js";
import { useData } from "../components/loading.js";
import { PageHead } from "../components/shell.js";
import { ago, exactTime, number, plural } from "../format.js";
import { address, filter, location } from "../router.js";
import { tags } from "../tags.js";

const { a, bdi, button, code, div, h2, h3, header, li, p, rect, section, span, svg, time, ul } = tags;

const PERIODS = [["7", "7 days"], ["30", "30 days"], ["90", "90 days"]];
const DAY_MS = 86_400_000;

const TREND_WIDTH = 180;
const TREND_HEIGHT = 36;

export function Failures() {
  const days = Number(location.value.query.get("days")) || 30;
  const since = new Date((Math.floor(Date.now() / DAY_MS) - days + 1) * DAY_MS).toISOString();
  const report = useData((signal) => get("/v1/failures", { since }, signal), [since]);
  const groups = /** @type {any[]} */ (report.data?.items ?? []);
  const periods = div({ class: "segments", role: "group", "aria-label": "Period" }, ...PERIODS.map(([value, label]) => button({ type: "button", "aria-pressed": value === String(days) ? "true" : "false", onClick: () => filter({ days: value }) }, label)));
  return [
    h(PageHead, { title: "Failures", actions: periods }, "Why predictions ended without a result, the most frequent reason first."),
    report.error ? h(Problem, { error: report.error, retry: report.reload }) : null,
    report.loading && !report.data ? div({ class: "card" }, div({ class: "body" }, h(Skeleton, { lines: 6 }))) : null,
    report.data && !groups.length && div({ class: "card" }, h(Empty, { icon: "shield-check", title: "Nothing failed" }, `No prediction of the last ${days} days failed.`)),
    ...groups.map((group) => h(Group, { key: group.code, group })),
  ];
}

/** @param {{ group: any }} props */
function Group({ group }) {
  const isTheirs = group.fault === "user";
  return section(
    { class: "card" },
    header(
      div({ class: "stack grow", style: { "--gap": "0.5rem" } }, h2(group.sentence), div({ class: "row small soft" }, span({ class: `badge ${isTheirs ? "warn" : "bad"}` }, isTheirs ? "To be mended in the file" : "On our side"), span(plural(group.count, "failure")), code(group.code))),
      h(Trend, { daily: group.daily }),
    ),
    div(
      { class: "body grid", style: { "--column": "20rem", "--gap": "1.5rem" } },
      div({ class: "stack", style: { "--gap": "0.375rem" } }, h3("What to do"), p(group.what_to_do)),
      div({ class: "stack", style: { "--gap": "0.375rem" } }, h3("The latest"), ul({ class: "stack", style: { "--gap": "0.375rem" } }, ...group.samples.map((/** @type {any} */ sample) => h(Sample, { key: sample.prediction_id, sample })))),
    ),
  );
}

/** @param {{ sample: any }} props */
function Sample({ sample }) {
  return li({ class: "row tight spread", title: sample.message }, a({ class: "truncate", href: address(["predictions", sample.prediction_id]) }, bdi(sample.label ?? sample.file_name ?? "Untitled file")), time({ class: "soft small shrink", dateTime: sample.finished_at, title: exactTime(sample.finished_at) }, ago(sample.finished_at)));
}

/** Failures of each day as small bars. @param {{ daily: { day: string, count: number }[] }} props */
function Trend({ daily }) {
  const most = Math.max(1, ...daily.map(({ count }) => count));
  const width = TREND_WIDTH / Math.max(1, daily.length);
  const today = daily.at(-1)?.count ?? 0;
  return svg(
    { width: TREND_WIDTH, height: TREND_HEIGHT, viewBox: `0 0 ${TREND_WIDTH} ${TREND_HEIGHT}`, role: "img", "aria-label": `Failures a day: ${number(today)} today, at most ${number(most)}` },
    ...daily.map(({ day, count }, index) => {
      const height = count ? Math.max(2, (count / most) * (TREND_HEIGHT - 2)) : 1.5;
      return rect({ x: index * width, y: TREND_HEIGHT - height, width: Math.max(1, width - 1.5), height, rx: 1, fill: count ? "var(--high)" : "var(--line-strong)" }, tags.title(`${day}: ${number(count)}`));
    }),
  );
}
