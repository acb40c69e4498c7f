/** Numbers, money and times in the reader's own locale. */

const LANGUAGE = globalThis.navigator?.language ?? "en";

const integer = new Intl.NumberFormat(LANGUAGE, { maximumFractionDigits: 0 });
const decimal = new Intl.NumberFormat(LANGUAGE, { maximumFractionDigits: 2 });
const compact = new Intl.NumberFormat(LANGUAGE, { notation: "compact", maximumFractionDigits: 1 });
const wholePercent = new Intl.NumberFormat(LANGUAGE, { style: "percent", maximumFractionDigits: 0 });
const finePercent = new Intl.NumberFormat(LANGUAGE, { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });
const moment = new Intl.DateTimeFormat(LANGUAGE, { dateStyle: "medium", timeStyle: "short" });
const exactMoment = new Intl.DateTimeFormat(LANGUAGE, { dateStyle: "long", timeStyle: "long" });
const relative = new Intl.RelativeTimeFormat(LANGUAGE, { numeric: "auto" });

/** @type {[Intl.RelativeTimeFormatUnit, number][]} */
const UNITS = [["day", 86_400], ["hour", 3_600], ["minute", 60], ["second", 1]];

export const number = (/** @type {number} */ value) => integer.format(value);

/** @param {number} value */
export const figure = (value) => decimal.format(value);

/** A large number in few characters: 1.2M. @param {number} value */
export const short = (value) => (Math.abs(value) < 10_000 ? integer.format(value) : compact.format(value));

/** A share of 1. Below 10 % with one decimal place. @param {number} share */
export const percent = (share) => (Math.abs(share) >= 0.0995 || share === 0 ? wholePercent : finePercent).format(share);

/** A probability as people read it: never 0 % or 100 %. @param {number} probability */
export function probability(probability) {
  if (probability < 0.005) return `<${wholePercent.format(0.01)}`;
  if (probability > 0.995) return `>${wholePercent.format(0.99)}`;
  return wholePercent.format(probability);
}

/** Money with the label that the customer gave, which may be any text. @param {number} value @param {string | null} currency */
export function money(value, currency) {
  const text = Math.abs(value) >= 1_000_000 ? compact.format(value) : integer.format(value);
  if (!currency) return text;
  return /^[A-Za-z]{2,}/.test(currency) ? `${text} ${currency}` : `${currency}${text}`;
}

/** @param {number} value */
export function bytes(value) {
  if (value < 1_000) return `${integer.format(value)} B`;
  const steps = ["byte", "kilobyte", "megabyte", "gigabyte"];
  let step = 0;
  while (value >= 1_000 && step < steps.length - 1) {
    value /= 1_000;
    step += 1;
  }
  return new Intl.NumberFormat(LANGUAGE, { style: "unit", unit: steps[step], unitDisplay: "short", maximumFractionDigits: value < 10 && step ? 1 : 0 }).format(value);
}

/** @param {string | number | Date} at */
export const time = (at) => moment.format(new Date(at));

/** @param {string | number | Date} at */
export const exactTime = (at) => exactMoment.format(new Date(at));

/** How long ago, or in how long. @param {string | number | Date} at @param {number} [now] */
export function ago(at, now = Date.now()) {
  const seconds = (new Date(at).getTime() - now) / 1_000;
  if (Math.abs(seconds) < 5) return relative.format(0, "second");
  if (Math.abs(seconds) > 7 * 86_400) return moment.format(new Date(at));
  const [unit, size] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? /** @type {const} */ (["second", 1]);
  return relative.format(Math.trunc(seconds / size), unit);
}

/** A length of time: 4 min 20 s. @param {number} seconds */
export function duration(seconds) {
  if (seconds < 1) return `${decimal.format(Math.max(0, seconds))} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${whole % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** "1 customer", "3 customers". @param {number} count @param {string} one @param {string} [many] */
export const plural = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;

/** A label inside a sentence: "monthly charge", but "TV package". @param {string} label */
export const inSentence = (label) => (/^\p{Lu}\p{Ll}/u.test(label) ? label.charAt(0).toLocaleLowerCase() + label.slice(1) : label);
