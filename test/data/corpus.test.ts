import { describe, expect, it } from "vitest";
import { CharacterTokenizer } from "../../host/data/characters";
import { decodeUtf8, parseLines } from "../../host/data/lines";
import { parallelCorpus, type ParallelOptions } from "../../host/data/parallel";
import { SPECIALS } from "../../host/data/tokenizer";
import { HeedError } from "../../host/errors";

const bytes = (...parts: (string | number)[]) =>
  Uint8Array.from(parts.flatMap((part) => (typeof part === "number" ? [part] : [...new TextEncoder().encode(part)])));

describe("parseLines", () => {
  it("splits at \\n and \\r\\n, keeps empty lines and a lone \\r, and drops a byte order mark", () => {
    expect(parseLines(bytes("\ufeffa\r\n\nb\rc\n"), "x").lines).toEqual(["a", "", "b\rc"]);
    expect(parseLines(bytes("a\nb"), "x").lines).toEqual(["a", "b"]);
    expect(parseLines(bytes("\n"), "x").lines).toEqual([""]);
  });

  it("rejects an empty file, naming it", () => {
    expect(() => parseLines(bytes(), "train.de")).toThrow(new HeedError("file", "train.de: the file is empty", { file: "train.de" }));
  });

  it.each([
    ["a stray byte", bytes("ab\ncd", 0xff, "e\n"), "line 2, byte 3 (0xff)"],
    ["a truncated character within the text", bytes("ä\n", 0xc3, "\nx"), "line 2, byte 2 (0x0a)"],
    ["a truncated character at the end", bytes("ä\nö", 0xe2, 0x82), "line 2, byte 5: the file ends within a character"],
    ["an encoded surrogate", bytes("a", 0xed, 0xa0, 0x80), "line 1, byte 3 (0xa0)"],
    ["an overlong form", bytes("a", 0xc0, 0x80), "line 1, byte 2 (0xc0)"],
  ])("names file, line and byte of %s", (_, content, where) => {
    expect(() => decodeUtf8(content, "train.de")).toThrow(`train.de: not UTF-8: ${where}`);
    expect(() => decodeUtf8(content, "train.de")).toThrow(expect.objectContaining({ code: "format" }));
  });
});

describe("parallelCorpus", () => {
  const tokenizer = CharacterTokenizer.of(["abcdefgh"], { specials: SPECIALS });
  const corpus = (source: string[], target: string[], more: Partial<ParallelOptions> = {}) =>
    parallelCorpus({ name: "x.de", lines: source }, { name: "x.en", lines: target }, {
      sourceTokenizer: tokenizer,
      targetTokenizer: tokenizer,
      maxLength: 4,
      ...more,
    });

  it("encodes both sides", () => {
    const { pairs, skipped } = corpus(["ab", "c"], ["h", "gf"]);
    expect(pairs.map((pair) => [tokenizer.decode(pair.source), tokenizer.decode(pair.target)])).toEqual([["ab", "h"], ["c", "gf"]]);
    expect(skipped).toEqual([]);
  });

  it("reports both counts if the files differ in length", () => {
    expect(() => corpus(["a", "b"], ["a"])).toThrow("x.de has 2 lines, but x.en has 1");
  });

  it("accepts a source of maxLength tokens and a target one token shorter, but no more", () => {
    expect(corpus(["abcd"], ["abc"]).pairs.length).toBe(1);
    expect(() => corpus(["a", "abcde"], ["a", "a"])).toThrow(
      'x.de, line 2: 5 tokens exceed the maximum of 4; raise maxLength, or pass longLines: "skip" (--skip-long)',
    );
    expect(() => corpus(["abcd"], ["abcd"])).toThrow("x.en, line 1: 4 tokens and <bos> exceed the maximum of 4;");
  });

  it("skips long and empty pairs on request, and lists them", () => {
    const { pairs, skipped } = corpus(["abcde", "", "a"], ["a", "a", "a"], { longLines: "skip", emptyLines: "skip" });
    expect(pairs.length).toBe(1);
    expect(skipped).toEqual([{ line: 1, reason: "long" }, { line: 2, reason: "empty" }]);
    expect(() => corpus(["a", ""], ["a", "b"])).toThrow("x.de, line 2: the line is empty");
    expect(() => corpus(["a"], [" \t\u00a0"])).toThrow("x.en, line 1: the line is empty");
    expect(corpus(["a", " "], ["b", "b"], { emptyLines: "skip" }).skipped).toEqual([{ line: 2, reason: "empty" }]);
    expect(() => corpus(["abcde"], ["a"], { longLines: "skip" })).toThrow("all 1 pairs are empty or too long");
  });

  it("reports file and line of an unknown character", () => {
    const strict = CharacterTokenizer.of(["ab"]);
    expect(() => corpus(["a", "b"], ["a", "bé"], { targetTokenizer: strict })).toThrow(
      'x.en, line 2: character "é" (U+00E9) at position 1 is not one of the tokenizer\'s 2 characters, and there is no <unk> token',
    );
  });
});
