import { expect, it } from "vitest";
import { decodeUtf8, LineReader, parseLines } from "../../host/data/lines";
import { HeedError } from "../../host/errors";
import { attack, mutateBytes } from "./mutate";
import { rounds } from "./settings";

const MIB = 2 ** 20;

it("a text of 600 MiB, longer than the longest string, is split into lines in less than 60 s", () => {
  const bytes = new Uint8Array(600 * MIB).fill(0x61);
  for (let i = 99; i < bytes.length; i += 100) bytes[i] = 0x0a;
  const started = performance.now();
  expect(parseLines(bytes, "x").lines).toHaveLength(Math.ceil(bytes.length / 100));
  expect(() => decodeUtf8(bytes, "x")).toThrow(new HeedError("data", `x: the text of ${bytes.length} bytes is too long for one string`, { file: "x" }));
  expect(performance.now() - started).toBeLessThan(60_000);
});

it("mutated UTF-8 in pieces of any size gives the lines, or the error, of the whole", async () => {
  const source = new TextEncoder().encode("\ufeffein Hund – 漢字 🦉\r\n\n é\n".repeat(20));
  const result = (split: (reader: LineReader) => void): unknown => {
    const reader = new LineReader("x");
    try {
      split(reader);
      return reader.end().lines;
    } catch (error) {
      if (error instanceof HeedError) return error.message;
      throw error;
    }
  };
  await attack("lines", rounds(20_000), 5, (dice) => {
    const bytes = dice.below(4) === 0 ? source : mutateBytes(dice, source);
    const size = 1 + dice.below(40);
    const whole = result((reader) => reader.push(bytes));
    const pieces = result((reader) => {
      for (let start = 0; start < bytes.length; start += size) reader.push(bytes.subarray(start, start + size));
    });
    expect(pieces).toEqual(whole);
  });
});
