import { describe, expect, it } from "vitest";
import { decodeUtf8, LineReader, parseLines } from "../../host/data/lines";
import { HeedError } from "../../host/errors";
import { uniform } from "../random";

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

/** The lines of a file that arrives in pieces of `size` bytes, or the message of the error. */
function inPieces(bytes: Uint8Array, size: number): string[] | string {
  const reader = new LineReader("x");
  try {
    for (let start = 0; start < bytes.length; start += size) reader.push(bytes.subarray(start, start + size));
    return reader.end().lines;
  } catch (error) {
    expect(error).toBeInstanceOf(HeedError);
    return (error as HeedError).message;
  }
}

describe("LineReader", () => {
  it.each<[string, string[]]>([
    ["a\nb", ["a", "b"]], ["a\n", ["a"]], ["a\r\n\r\nb\r", ["a", "", "b"]], ["\n", [""]], ["\n\n", ["", ""]], ["\ufeffa\n\ufeffb", ["a", "\ufeffb"]], ["é漢🦉\n🦉", ["é漢🦉", "🦉"]],
  ])("splits %j the same way in pieces of any size", (text, lines) => {
    for (const size of [1, 2, 3, 5, 1000]) expect(inPieces(utf8(text), size)).toEqual(lines);
  });

  it.each<[number[], string]>([
    [[0x61, 0xff], "line 1, byte 2 (0xff)"], [[0x0a, 0x61, 0xe2, 0x82, 0x0a], "line 2, byte 4 (0x0a)"], [[0x0a, 0xf0, 0x9f, 0xa6], "line 2, byte 4: the file ends within a character"],
    [[0xc0, 0x80], "line 1, byte 1 (0xc0)"], [[0xed, 0xa0, 0x80], "line 1, byte 2 (0xa0)"], [[0xe2, 0x82, 0x61], "line 1, byte 3 (0x61)"],
  ])("reports the first invalid byte of %j wherever the pieces end", (bytes, place) => {
    for (const size of [1, 2, 3, 9]) expect(inPieces(Uint8Array.from(bytes), size)).toBe(`x: not UTF-8: ${place}`);
    expect(() => decodeUtf8(Uint8Array.from(bytes), "x")).toThrow(`x: not UTF-8: ${place}`);
  });

  it("agrees with a whole decode on 300 seeded texts beyond the size of a chunk", () => {
    const next = uniform(9);
    for (let round = 0; round < 300; round++) {
      const filler = "é漢🦉a\n".repeat(round % 3 === 0 ? 8000 : 3);
      const bytes = utf8(filler);
      if (round % 2 === 1) bytes[Math.floor(bytes.length * next())] = Math.floor(256 * next());
      const size = 1 + Math.floor(70_000 * next());
      expect(inPieces(bytes, size)).toEqual(inPieces(bytes, bytes.length));
    }
  });

  it("refuses a line of more than 16,777,216 characters, in time linear in its length", () => {
    const piece = utf8("a".repeat(1000));
    const reader = new LineReader("x");
    const started = performance.now();
    expect(() => {
      for (let i = 0; i < 20_000; i++) reader.push(piece);
    }).toThrow(new HeedError("data", "x: line 1: expected at most 16777216 characters, got more", { file: "x" }));
    expect(performance.now() - started).toBeLessThan(3000);
  });

  it("finds an invalid byte at the end of 32 MB in less than a second", () => {
    const bytes = new Uint8Array(2 ** 25).fill(0x61);
    for (let i = 80; i < bytes.length; i += 80) bytes[i] = 0x0a;
    bytes[bytes.length - 1] = 0xff;
    const started = performance.now();
    expect(() => parseLines(bytes, "x")).toThrow(/line 419431, byte \d+ \(0xff\)/);
    expect(performance.now() - started).toBeLessThan(1000);
  });
});
