import { describe, expect, it } from "vitest";
import { trainBPE } from "../../host/data/bpe";
import { type HuggingFaceTokenizer, loadTokenizer } from "../../host/data/huggingface";
import type { TokenizerJSON } from "../../host/data/tokenizer";
import { HeedError } from "../../host/errors";
import { published } from "./patterns";
import { hasShared, needsShared, sharedText } from "./shared";

const base = trainBPE(["low lower lowest low lower"], { vocabularySize: 270, prefixSpace: false }).toJSON();
const load = (changes: object): HuggingFaceTokenizer => loadTokenizer({ ...base, ...changes } as TokenizerJSON) as HuggingFaceTokenizer;
const byteLevel = { type: "ByteLevel", add_prefix_space: false, use_regex: false };
const split = (Regex: string, more: object = {}): object => ({
  pre_tokenizer: { type: "Sequence", pretokenizers: [{ type: "Split", pattern: { Regex }, behavior: "Isolated", invert: false, ...more }, byteLevel] },
});
const nested = (depth: number): object => (depth === 0 ? { type: "NFC" } : { type: "Sequence", normalizers: [nested(depth - 1)] });
const replace = (content: string): object => ({ type: "Replace", pattern: { String: "a" }, content });
const unigram = (vocab: unknown): object => ({ model: { type: "Unigram", unk_id: 0, vocab }, decoder: null, pre_tokenizer: null, added_tokens: [] });

describe("a hostile tokenizer.json", () => {
  it.each<[string, object, RegExp]>([
    ["a reference to a group", split("(a)\\1"), /^tokenizer\.json: the pattern "\(a\)\\\\1" is not supported: references/],
    ["a loop whose body can be empty", split("(a*)*b"), /the pattern "\(a\*\)\*b" is not supported/],
    ["a pattern that is not valid", split("(a"), /cannot be used: Invalid regular expression/],
    ["a pattern of 5,000 characters", split("a".repeat(5000)), /pattern: expected .*at most 4096, got/],
    ["patterns with too many steps", { normalizer: { type: "Sequence", normalizers: Array.from({ length: 5 }, () => ({ type: "Replace", pattern: { Regex: "a{300}" }, content: "" })) } }, /at most 1024 steps in all patterns/],
    ["no pattern", { normalizer: { type: "Replace", pattern: {}, content: "a" } }, /normalizer: Replace: pattern: expected/],
    ["an empty literal", { normalizer: { type: "Replace", pattern: { String: "" }, content: "a" } }, /pattern: expected/],
    ["a long Prepend", { normalizer: { type: "Prepend", prepend: "a".repeat(100_000) } }, /^tokenizer\.json: normalizer: Prepend: prepend: expected a string of at most 256 characters, got "a{100,}…"$/],
    ["a text that grows without bound", { normalizer: { type: "Sequence", normalizers: [replace("a".repeat(9)), replace("a".repeat(9))] } }, /at most 64 times as long, got 81/],
    ["a behavior nested 20,000 deep", split("a", { behavior: JSON.parse("[".repeat(20_000) + "]".repeat(20_000)) as unknown }), /behavior: expected one of/],
    ["sequences nested 100 deep", { normalizer: nested(100) }, /nested at most 8 deep/],
    ["a thousand components", { normalizer: { type: "Sequence", normalizers: new Array(1000).fill({ type: "NFC" }) } }, /at most 64 components/],
    ["pieces of length 0", { pre_tokenizer: { type: "FixedLength", length: 0 } }, /length: expected an integer of at least 1, got 0/],
    ["a normalizer that is a number", { normalizer: 3 }, /normalizer: expected an object with "type", got 3/],
    ["a sequence with a hole", { normalizer: { type: "Sequence", normalizers: [null] } }, /normalizer\.0: expected an object/],
    ["a template with the second text", { post_processor: { type: "TemplateProcessing", single: [{ Sequence: { id: "B" } }] } }, /single: expected/],
    ["words of any length", { model: { type: "WordPiece", unk_token: "[UNK]", continuing_subword_prefix: "##", max_input_chars_per_word: 1e9, vocab: { a: 0 } } }, /from 0 to 256/],
    ["merges that are numbers", { model: { ...base.model, merges: [1] } }, /merges: expected lines like "a b", got 1 at index 0/],
    ["merges of two kinds", { model: { ...base.model, merges: [["l", "o"], "l o"] } }, /merges: expected pairs of tokens, got "l o" at index 1/],
    ["no model type", { model: { vocab: { a: 0 } } }, /model: type: expected one of BPE, WordPiece, Unigram, got nothing/],
    ["a vocabulary of the other kind", { model: { type: "Unigram", vocab: { a: 0 } } }, /vocab: expected a list for Unigram/],
    ["an empty Unigram", unigram([]), /from 1 to 16777216 tokens, got 0/],
    ["a score that is text", unigram([["a", "x"]]), /expected a token and its score for id 0/],
    ["an unknown id out of range", { ...unigram([["a", 0]]), model: { type: "Unigram", unk_id: 9, vocab: [["a", 0]] } }, /unk_id: expected an id in \[0, 1\)/],
    ["tokens that begin with 100 others", unigram(Array.from({ length: 100 }, (_, i) => ["a".repeat(i + 1), -i])), /at most 64 beginnings/],
    ["a token of 2,000 characters", { added_tokens: [{ id: 300, content: "a".repeat(2000), special: true }] }, /at most 1024 characters, got 2000/],
  ])("with %s is refused in a bounded message", (_, changes, message) => {
    const error = thrown(() => load(changes));
    expect(error).toBeInstanceOf(HeedError);
    expect(error).toMatchObject({ code: "format", message: expect.stringMatching(message) as unknown });
    expect((error as Error).message.length).toBeLessThan(600);
  });

  it.each(["(a|a)*c", "(a+)+c", "a*a*a*c", "([a-z]+ ?)+!", "(?i:(x|X)*)y", "(?:a|b|ab)*c"])("with the pattern %s encodes 20,000 characters in less than 3 s", (regex) => {
    const tokenizer = load(split(regex));
    const started = performance.now();
    for (const text of ["a".repeat(20_000), "xX".repeat(10_000), "ab ".repeat(7000)]) expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
    expect(performance.now() - started).toBeLessThan(3000);
  });
});

describe("published patterns", () => {
  const texts = ["It's 2024, and we'll see…\r\n\n  漢字 ÉTÉ don't", "   leading", "trailing  \n", "🦉🦉 x  y"];

  it.each(Object.entries(published))("%s: splits as the package does", (_, source) => {
    const tokenizer = load(split(source));
    for (const text of texts) {
      const words: string[] = [];
      let end = 0;
      for (const match of text.matchAll(new RegExp(source, "gu"))) {
        words.push(text.slice(end, match.index), match[0]);
        end = match.index + match[0].length;
      }
      words.push(text.slice(end));
      const plain = load({ pre_tokenizer: byteLevel });
      expect(tokenizer.encode(text)).toEqual(words.flatMap((word) => plain.encode(word)));
    }
  });

  it.skipIf(!hasShared)(`RoBERTa's file from 2020, whose model has no type, gives GPT-2's ids in its own numbering ${needsShared}`, () => {
    const roberta = loadTokenizer(sharedText("tokenizers/roberta-base/tokenizer.json")) as HuggingFaceTokenizer;
    expect(roberta.encode("Hello world", { specials: true })).toEqual([0, 31414, 232, 2]);
  });

  it.skipIf(!hasShared)(`T5's file gives T5's ids ${needsShared}`, () => {
    expect(loadTokenizer(sharedText("tokenizers/t5-small/tokenizer.json")).encode("the house is wonderful")).toEqual([8, 629, 19, 1627]);
  });

  it("a Unigram encodes a text of 300,000 pieces without a pre-tokenizer: they do not pass through the stack", () => {
    expect(load(unigram([["<unk>", 0], ["a", -1]])).encode("a".repeat(300_000))).toHaveLength(300_000);
  });
});

describe("byte-level BPE", () => {
  const { z: _, ...vocab } = base.model.vocab as Record<string, number>;
  const model = { ...base.model, vocab };

  it.each<[string, object]>([
    ["with GPT-2's pattern", {}], ["with a pattern of its own", split("\\s+|\\S+")], ["with a prefix space", { pre_tokenizer: { type: "ByteLevel", add_prefix_space: true } }],
    ["without a pre-tokenizer", { pre_tokenizer: null }],
  ])("%s throws for a byte that is not in the vocabulary", (_, changes) => {
    const tokenizer = load({ ...changes, model });
    for (const options of [{}, { specials: true }]) {
      expect(() => tokenizer.encode("lowz", options)).toThrow(new HeedError("data", 'the token "z" is not in the tokenizer\'s vocabulary'));
    }
    expect(tokenizer.encode("low").length).toBeGreaterThan(0);
  });

  it("throws for a token with a character that is no byte, instead of decoding it as zero", () => {
    const tokenizer = load({ model: { ...base.model, vocab: { ...base.model.vocab as object, "日": 400 } } });
    expect(() => tokenizer.decode([400])).toThrow(new HeedError("format", 'the token "日": "日" is not in the alphabet of bytes'));
  });
});

function thrown(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  return undefined;
}
