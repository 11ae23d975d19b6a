import { describe, expect, it } from "vitest";
import { LinearPattern } from "../../host/data/linearpattern";
import { uniform } from "../random";
import { published, randomPattern, randomText } from "./patterns";

const linear = (source: string): LinearPattern => LinearPattern.of(new RegExp(source, "u"));
const matches = (pattern: LinearPattern | RegExp, text: string): [number, string][] =>
  Array.from(text.matchAll(pattern as RegExp), (match): [number, string] => [match.index, match[0]]);

describe("LinearPattern", () => {
  const texts = [
    "", " ", "Hello, world!  It's 2024\r\n\r\n  new   lines\n", "DON'T we'll I'VE  \t x", "été 漢字かな 🦉🦉  \u00a0 x123456", "\n \n", "   a", "a   ",
    "  \r\n\t\n x\n\n\n", "ǅungla AbC_dEf (x)[y]{z}", "\ud800a\udc00",
  ];

  it.each(Object.entries(published))("gives the engine's matches for %s's pattern", (_, source) => {
    const next = uniform(3);
    for (const text of [...texts, ...Array.from({ length: 200 }, () => randomText(next, 30))]) {
      expect(matches(linear(source), text)).toEqual(matches(new RegExp(source, "gu"), text));
    }
  });

  it("gives the engine's matches, replacements and pieces for 3,000 seeded random patterns", () => {
    const next = uniform(5);
    let tried = 0;
    for (let round = 0; round < 3000; round++) {
      const source = randomPattern(next, 3);
      let pattern: LinearPattern;
      try {
        pattern = linear(source);
      } catch (error) {
        expect(error).toBeInstanceOf(SyntaxError); // a repeated part that can be empty
        continue;
      }
      tried++;
      const native = new RegExp(source, "gu");
      for (let i = 0; i < 5; i++) {
        const text = randomText(next, 12, "aab \n1");
        expect([source, text, matches(pattern, text)]).toEqual([source, text, matches(native, text)]);
        expect(text.match(pattern as unknown as RegExp)).toEqual(text.match(native));
        expect(text.replaceAll(pattern as unknown as RegExp, "-")).toBe(text.replaceAll(native, "-"));
        if (!pattern.isNullable) expect(text.split(pattern as unknown as RegExp)).toEqual(text.split(new RegExp(source.replace(/\((?!\?)/g, "(?:"), "u")));
      }
    }
    expect(tried).toBeGreaterThan(1000);
  });

  it.each(["(a|a)*c", "(a+)+c", "(a|aa)+$c", "a*a*a*a*c", "(?:a?){40}a{40}c", "(?:a|b|ab)*c", "\\s*\\n", "(?:(?:(?:a+)+)+)+c", "a+?a+?b"])(
    "takes linear time for %s: 100,000 characters in less than 3 s",
    (source) => {
      if (source.includes("$")) return expect(() => linear(source)).toThrow(SyntaxError);
      const pattern = linear(source);
      const started = performance.now();
      for (const text of ["a".repeat(100_000), " ".repeat(100_000)]) text.match(pattern as unknown as RegExp);
      expect(performance.now() - started).toBeLessThan(3000);
    },
  );

  it.each([
    ["(a)\\1", /references/], ["(?<x>a)\\k<x>", /references/], ["(a*)*", /empty string/], ["a{600}", /exceeds 512/], ["(?:a{100}){100}", /more than 512 steps/],
    ["(?=a*b)", /loop in a lookahead/], ["(?<=ab)", /lookbehind/], ["(".repeat(40) + "a" + ")".repeat(40), /nested/], ["(?=a{30})", /lookahead has more/],
  ])("refuses %s", (source, message) => {
    expect(() => linear(source)).toThrow(message);
  });
});
