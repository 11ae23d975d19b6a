import { describe, expect, it } from "vitest";
import { calendarDate, DATE_FORMATS, dates, END_DAY, FIRST_DAY, isoDate } from "../../host/data/dates";

const allDays = Array.from({ length: END_DAY - FIRST_DAY }, (_, i) => calendarDate(FIRST_DAY + i));

describe("calendarDate", () => {
  it("agrees with Date on the date and weekday of each of the 36525 days from 1950 to 2049", () => {
    allDays.forEach((date, i) => {
      const expected = new Date((FIRST_DAY + i) * 86_400_000);
      if (isoDate(date) !== expected.toISOString().slice(0, 10) || date.weekday !== expected.getUTCDay()) {
        expect.fail(`day ${FIRST_DAY + i}: got ${isoDate(date)} (${date.weekday}), expected ${expected.toISOString()}`);
      }
    });
    expect([isoDate(allDays[0]!), isoDate(allDays.at(-1)!), allDays.length]).toEqual(["1950-01-01", "2049-12-31", 36525]);
  });
});

describe("dates", () => {
  const { train, test } = dates({ seed: 1, train: 20_000 });

  it("writes a date in twenty ways", () => {
    expect(DATE_FORMATS.map((format) => format(calendarDate(17958)))).toEqual([
      "the third of March 2019",
      "3.3.19",
      "Sunday, March 3rd, 2019",
      "2019/03/03",
      "Mar 3, 2019",
      "3 March 2019",
      "03-Mar-2019",
      "March 3rd 2019",
      "the 3rd of March, 2019",
      "3/3/2019",
      "20190303",
      "3 Mar '19",
      "2019-03-03",
      "03.03.2019",
      "Sun, 3 Mar 2019",
      "Sunday the 3rd of March 2019",
      "March the third, 2019",
      "03/03/19",
      "2019 March 3",
      "March 3, 2019",
    ]);
  });

  it("never writes two days as the same text, ignoring case", () => {
    const meaning = new Map<string, string>();
    for (const date of allDays) {
      for (const format of DATE_FORMATS) {
        const text = format(date).toLowerCase();
        const other = meaning.get(text);
        if (other !== undefined && other !== isoDate(date)) expect.fail(`"${text}" is ${other} and ${isoDate(date)}`);
        meaning.set(text, isoDate(date));
      }
    }
  });

  it("writes English ordinals: 1st 2nd 3rd 4th 11th 12th 13th 21st 22nd 23rd 30th 31st", () => {
    const january = allDays.slice(0, 31).map((date) => DATE_FORMATS[7]!(date).split(" ")[1]);
    const picked = [1, 2, 3, 4, 11, 12, 13, 21, 22, 23, 30, 31].map((day) => january[day - 1]);
    expect(picked.join(" ")).toBe("1st 2nd 3rd 4th 11th 12th 13th 21st 22nd 23rd 30th 31st");
  });

  it("keeps the days and texts of the test set out of training", () => {
    const days = new Set(test.map((pair) => pair.iso));
    const texts = new Set(test.map((pair) => pair.text));
    expect([train.length, test.length, days.size]).toEqual([20_000, 1000, 1000]);
    expect(train.filter((pair) => days.has(pair.iso) || texts.has(pair.text))).toEqual([]);
  });

  it("is the same for the same seed, starts the same for a smaller training set, and differs for another seed", () => {
    const again = dates({ seed: 1, train: 50 });
    expect(again.train).toEqual(train.slice(0, 50));
    expect(again.test).toEqual(test);
    expect(dates({ seed: 2, train: 50 }).train).not.toEqual(again.train);
  });

  it("covers every format, month and weekday, and all three letter cases", () => {
    const texts = train.map((pair) => pair.text);
    expect(new Set(train.map((pair) => pair.iso.slice(5, 7))).size).toBe(12);
    const cased = texts.filter((text) => /[a-z]/i.test(text));
    const share = (test: (text: string) => boolean) => cased.filter(test).length / cased.length;
    expect(share((text) => text === text.toLowerCase())).toBeGreaterThan(0.15);
    expect(share((text) => text === text.toUpperCase())).toBeGreaterThan(0.05);
    for (const day of ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]) {
      expect(texts.some((text) => text.startsWith(day)), day).toBe(true);
    }
  });

  it("rejects invalid counts, and a test set of more than half of the days", () => {
    expect(() => dates({ train: -1 })).toThrow(RangeError);
    expect(() => dates({ train: 10, test: 20_000 })).toThrow("test one in [0, 18262]");
  });
});
