import { Random, shuffle, Stream } from "./random";

/** A date as people write it, and in ISO 8601. */
export interface DatePair {
  /** The date as people write it: "the third of March 2019". */
  text: string;
  /** The date in ISO 8601: "2019-03-03". */
  iso: string;
}

/** A date in the Gregorian calendar. */
export interface CalendarDate {
  year: number;
  /** 1 … 12 */
  month: number;
  /** 1 … 31 */
  day: number;
  /** 0 (Sunday) … 6 (Saturday) */
  weekday: number;
}

/** Options of `dates`. */
export interface DatesOptions {
  /** Default: 0. */
  seed?: number;
  /** Number of training examples, drawn with replacement. */
  train: number;
  /** Number of test examples, each on a different day. These days do not occur in `train`. Default: 1000. */
  test?: number;
}

const MONTHS = "January February March April May June July August September October November December".split(" ");
const WEEKDAYS = "Sunday Monday Tuesday Wednesday Thursday Friday Saturday".split(" ");
const ORDINALS = (
  "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth sixteenth " +
  "seventeenth eighteenth nineteenth twentieth twenty-first twenty-second twenty-third twenty-fourth twenty-fifth twenty-sixth " +
  "twenty-seventh twenty-eighth twenty-ninth thirtieth thirty-first"
).split(" ");

/** 1950-01-01 and the day after 2049-12-31, in days since 1970-01-01. */
export const FIRST_DAY = -7305;
export const END_DAY = 29220;

const two = (n: number) => String(n % 100).padStart(2, "0");
const monthName = (date: CalendarDate) => MONTHS[date.month - 1]!;
const shortMonth = (date: CalendarDate) => monthName(date).slice(0, 3);
const weekdayName = (date: CalendarDate) => WEEKDAYS[date.weekday]!;
const inWords = (date: CalendarDate) => ORDINALS[date.day - 1]!;

function ordinal({ day }: CalendarDate): string {
  const isTeen = day >= 11 && day <= 13;
  return day + ((!isTeen && ["", "st", "nd", "rd"][day % 10]) || "th");
}

/** The date formats. Numeric dates put the day first, unless they start with a four-digit year. */
export const DATE_FORMATS: readonly ((date: CalendarDate) => string)[] = [
  (d) => `the ${inWords(d)} of ${monthName(d)} ${d.year}`, //                     the third of March 2019
  (d) => `${d.day}.${d.month}.${two(d.year)}`, //                                 3.3.19
  (d) => `${weekdayName(d)}, ${monthName(d)} ${ordinal(d)}, ${d.year}`, //        Sunday, March 3rd, 2019
  (d) => `${d.year}/${two(d.month)}/${two(d.day)}`, //                            2019/03/03
  (d) => `${shortMonth(d)} ${d.day}, ${d.year}`, //                               Mar 3, 2019
  (d) => `${d.day} ${monthName(d)} ${d.year}`, //                                 3 March 2019
  (d) => `${two(d.day)}-${shortMonth(d)}-${d.year}`, //                           03-Mar-2019
  (d) => `${monthName(d)} ${ordinal(d)} ${d.year}`, //                            March 3rd 2019
  (d) => `the ${ordinal(d)} of ${monthName(d)}, ${d.year}`, //                    the 3rd of March, 2019
  (d) => `${d.day}/${d.month}/${d.year}`, //                                      3/3/2019
  (d) => `${d.year}${two(d.month)}${two(d.day)}`, //                              20190303
  (d) => `${d.day} ${shortMonth(d)} '${two(d.year)}`, //                          3 Mar '19
  (d) => isoDate(d), //                                                           2019-03-03
  (d) => `${two(d.day)}.${two(d.month)}.${d.year}`, //                            03.03.2019
  (d) => `${weekdayName(d).slice(0, 3)}, ${d.day} ${shortMonth(d)} ${d.year}`, // Sun, 3 Mar 2019
  (d) => `${weekdayName(d)} the ${ordinal(d)} of ${monthName(d)} ${d.year}`, //   Sunday the 3rd of March 2019
  (d) => `${monthName(d)} the ${inWords(d)}, ${d.year}`, //                       March the third, 2019
  (d) => `${two(d.day)}/${two(d.month)}/${two(d.year)}`, //                       03/03/19
  (d) => `${d.year} ${monthName(d)} ${d.day}`, //                                 2019 March 3
  (d) => `${monthName(d)} ${d.day}, ${d.year}`, //                                March 3, 2019
];

/** One text in five becomes lowercase, one in ten uppercase. */
function recase(text: string, die: number): string {
  if (die < 2) return text.toLowerCase();
  return die === 2 ? text.toUpperCase() : text;
}

/**
 * The date `days` days after 1970-01-01. Computed with years of 365.2425 days that begin in March
 * (Hinnant, "chrono-Compatible Low-Level Date Algorithms").
 *
 * @example
 * calendarDate(17958); // { year: 2019, month: 3, day: 3, weekday: 0 }
 */
export function calendarDate(days: number): CalendarDate {
  const sinceMarch0 = days + 719_468; //                                                   days since 0000-03-01
  const era = Math.floor(sinceMarch0 / 146_097); //                                        an era is 400 years
  const dayOfEra = sinceMarch0 - era * 146_097;
  const leapDays = Math.floor(dayOfEra / 1460) - Math.floor(dayOfEra / 36_524) + Math.floor(dayOfEra / 146_096);
  const yearOfEra = Math.floor((dayOfEra - leapDays) / 365);
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const monthFromMarch = Math.floor((5 * dayOfYear + 2) / 153);
  const day = dayOfYear - Math.floor((153 * monthFromMarch + 2) / 5) + 1;
  const month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9;
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0);
  return { year, month, day, weekday: (((days + 4) % 7) + 7) % 7 };
}

/** A date in ISO 8601: "2019-03-03". */
export function isoDate({ year, month, day }: CalendarDate): string {
  return `${year}-${two(month)}-${two(day)}`;
}

/**
 * Generates dates between 1950-01-01 and 2049-12-31 as people write them, paired with their ISO form: a task that a small
 * Transformer learns in minutes. Two-digit years from 50 up mean 19xx, all others 20xx. No day in `test` occurs in `train`, and
 * no text is ambiguous.
 *
 * @throws RangeError if a count is not an integer ≥ 0, or `test` is more than half of the 36525 days
 *
 * @example
 * const { train, test } = dates({ seed: 1, train: 20_000 });
 * test.length; // 1000: each is like { text: "3 Mar '19", iso: "2019-03-03" }
 */
export function dates({ seed = 0, train, test = 1000 }: DatesOptions): { train: DatePair[]; test: DatePair[] } {
  const days = END_DAY - FIRST_DAY;
  const isCount = (n: number) => Number.isInteger(n) && n >= 0;
  if (!isCount(train) || !isCount(test) || test > days / 2) {
    const expected = `train must be an integer of at least 0 and test one in [0, ${Math.floor(days / 2)}]`;
    throw new RangeError(`dates: ${expected}, got train=${train} test=${test}`);
  }
  const order = shuffle(days, seed, Stream.Dates);
  const draws = new Random(seed, Stream.Dates, 1);
  const trainPair = (_: unknown, i: number) => write(order[test + draws.below(days - test, 3 * i)]!, draws, 3 * i + 1);
  const testDraws = new Random(seed, Stream.Dates, 2);
  const testPair = (_: unknown, i: number) => write(order[i]!, testDraws, 2 * i);
  return { train: Array.from({ length: train }, trainPair), test: Array.from({ length: test }, testPair) };
}

function write(day: number, draws: Random, position: number): DatePair {
  const date = calendarDate(FIRST_DAY + day);
  const format = DATE_FORMATS[draws.below(DATE_FORMATS.length, position)]!;
  return { text: recase(format(date), draws.below(10, position + 1)), iso: isoDate(date) };
}
