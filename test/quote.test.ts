import { describe, expect, it } from "vitest";
import { excerpt, printable, printableJson, quote, quoteList, quoteShape, show } from "../host/quote";

const hostile = "\u001b]0;owned\u0007\u009b31m\u202ebidi\u2066\u200bhidden\u2028\ud800\u{e0041}\u007f";
const unsafe = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;

describe("text from outside", () => {
  it("is printed with escapes for every character that a terminal obeys or hides, and unchanged otherwise", () => {
    expect(printable(hostile)).toBe("\\u001b]0;owned\\u0007\\u009b31m\\u202ebidi\\u2066\\u200bhidden\\u2028\\ud800\\u{e0041}\\u007f");
    expect(printable("layers.0 C:\\x é 漢 🦉 \"")).toBe("layers.0 C:\\x é 漢 🦉 \"");
    expect(printable("a\n\tb")).toBe("a\\n\\tb");
  });

  it("is quoted in at most 200 characters, with its own quotation marks escaped", () => {
    expect(quote('a "b" \\')).toBe('"a \\"b\\" \\\\"');
    for (const text of [hostile.repeat(1000), "x".repeat(1e6), '"'.repeat(500), "\u{e0041}".repeat(300), "x".repeat(198), "x".repeat(199)]) {
      for (const shown of [quote(text), excerpt(text), show(text), show([text, { [text]: text }])]) {
        expect(shown.length).toBeLessThanOrEqual(200);
        expect(shown).not.toMatch(unsafe);
      }
    }
    expect(quote("x".repeat(198))).toBe(`"${"x".repeat(198)}"`);
  });

  it("keeps its value as JSON", () => {
    const value = { [hostile]: [hostile, "plain"] };
    const json = printableJson(JSON.stringify(value));
    expect(json).not.toMatch(unsafe);
    expect(JSON.parse(json)).toEqual(value);
  });

  it("is abbreviated: shapes, lists and nested values of any depth", () => {
    expect(quoteShape([2, 3])).toBe("[2,3]");
    expect(quoteShape(new Array<number>(300_000).fill(1)).length).toBeLessThan(80);
    expect(quoteList(Array.from({ length: 60 }, (_, i) => `t${i}`))).toMatch(/t49, … 10 more$/);
    let deep: unknown = 1;
    for (let i = 0; i < 100_000; i++) deep = [deep];
    expect(show(deep)).toBe("[[[[…]]]]");
    expect([show(NaN), show(undefined), show(3n), show({ a: ["b", null] })]).toEqual(["NaN", "nothing", "3", '{"a":["b",null]}']);
  });
});
