import { expect, it } from "vitest";
import { trainBPE } from "../../host/data/bpe";
import { CharacterTokenizer } from "../../host/data/characters";
import { type HuggingFaceTokenizer, loadTokenizer } from "../../host/data/huggingface";
import { SPECIALS, type Tokenizer, type TokenizerJSON } from "../../host/data/tokenizer";
import { HeedError } from "../../host/errors";
import { published } from "../data/patterns";
import { attack, type Dice, mutateBytes, mutateJson } from "./mutate";
import { rounds } from "./settings";

/** The longest that a case may take, in seconds: a hundred times what the slowest needs. */
const LIMIT = 10;
const special = { special: true, single_word: false, lstrip: false, rstrip: false, normalized: false };
const plain = { version: "1.0", truncation: null, padding: null, added_tokens: [], normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null };
const byteLevel = trainBPE(["low lower lowest"], { vocabularySize: 266 }).toJSON();
const split = { type: "Split", pattern: { Regex: published["Llama 3"] }, behavior: "Isolated", invert: false };
const template = {
  type: "TemplateProcessing", pair: [], special_tokens: {},
  single: [{ SpecialToken: { id: "[CLS]", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }, { SpecialToken: { id: "[CLS]", type_id: 0 } }],
};

const sources: TokenizerJSON[] = [
  byteLevel,
  CharacterTokenizer.of(["to be or not"], { specials: SPECIALS }).toJSON(),
  { ...byteLevel, pre_tokenizer: { type: "Sequence", pretokenizers: [split, { type: "ByteLevel", use_regex: false, add_prefix_space: false }] } },
  {
    ...plain, added_tokens: [{ id: 0, content: "[CLS]", ...special }], post_processor: template, decoder: { type: "WordPiece", prefix: "##", cleanup: true },
    normalizer: { type: "BertNormalizer", clean_text: true, handle_chinese_chars: true, strip_accents: null, lowercase: true }, pre_tokenizer: { type: "BertPreTokenizer" },
    model: { type: "WordPiece", unk_token: "[UNK]", continuing_subword_prefix: "##", max_input_chars_per_word: 100, vocab: { "[CLS]": 0, "[UNK]": 1, a: 2, "##b": 3, low: 4 } },
  },
  {
    ...plain, normalizer: { type: "Sequence", normalizers: [{ type: "NFKC" }, { type: "Replace", pattern: { Regex: " {2,}" }, content: " " }, { type: "Prepend", prepend: "▁" }] },
    pre_tokenizer: { type: "Metaspace", replacement: "▁", add_prefix_space: true }, decoder: { type: "Metaspace", replacement: "▁" },
    model: { type: "Unigram", unk_id: 0, vocab: [["<unk>", 0], ["▁", -1], ["a", -2], ["▁low", -3], ["l", -4], ["o", -5]] },
  },
];

const texts = ["", "low lower", "  a\n\n漢字 🦉\u0000\ud800 <eos>[CLS]", "a".repeat(2000), "it's 12345 — ", " ".repeat(500)];

function expectTyped(error: unknown, ...others: (new () => Error)[]): void {
  if (error instanceof HeedError) expect(error.message.length).toBeLessThan(2000);
  else if (!others.some((kind) => error instanceof kind)) throw error;
}

/** Loads, encodes and decodes. Returns whether the file loads. */
function use(load: () => Tokenizer, dice: Dice): boolean {
  let tokenizer: Tokenizer;
  try {
    tokenizer = load();
  } catch (error) {
    expectTyped(error);
    return false;
  }
  for (const text of texts) {
    try {
      const ids = tokenizer.encode(text);
      (tokenizer as Partial<HuggingFaceTokenizer>).encode?.(text, { specials: true });
      for (const specials of [false, true]) expect(typeof tokenizer.decode(ids, { specials })).toBe("string");
      expect(ids.every((id) => Number.isInteger(id) && id >= 0 && id < tokenizer.size)).toBe(true);
    } catch (error) {
      expectTyped(error);
    }
  }
  try {
    tokenizer.decode(Array.from({ length: 8 }, () => dice.below(tokenizer.size)));
  } catch (error) {
    expectTyped(error, RangeError);
  }
  return true;
}

it("a mutated tokenizer.json loads, encodes and decodes, or ends in a HeedError", async () => {
  let loaded = 0;
  await attack("tokenizers", rounds(12_000), LIMIT, (dice) => {
    const json = mutateJson(dice, dice.pick(sources)) as TokenizerJSON;
    if (use(() => loadTokenizer(json), dice)) loaded++;
  });
  expect(loaded).toBeGreaterThan(rounds(12_000) / 10);
});

it("a tokenizer.json with mutated text does so too", async () => {
  const files = sources.map((source) => new TextEncoder().encode(JSON.stringify(source)));
  await attack("tokenizer texts", rounds(6000), LIMIT, (dice) => {
    const text = new TextDecoder().decode(mutateBytes(dice, dice.pick(files)));
    use(() => loadTokenizer(text), dice);
  });
});
