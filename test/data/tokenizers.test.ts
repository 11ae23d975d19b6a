import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { trainBPE } from "../../host/data/bpe";
import { BYTE_ALPHABET, toAlphabet } from "../../host/data/bytelevel";
import { CharacterTokenizer } from "../../host/data/characters";
import { type HuggingFaceTokenizer, loadTokenizer } from "../../host/data/huggingface";
import { parallelCorpus } from "../../host/data/parallel";
import { SPECIALS, type TokenizerJSON } from "../../host/data/tokenizer";
import { HeedError } from "../../host/errors";

const read = (name: string) => readFileSync(new URL(`../vectors/tokenizers/${name}`, import.meta.url), "utf8");
/** The ids that Hugging Face's library (Rust) produces for the same texts; see generate.py in that folder. */
const expected = JSON.parse(read("encodings.json")) as { texts: string[]; strange: string[]; bpe: number[][]; characters: number[][] };
const all = [...expected.texts, ...expected.strange];
const hard = ["", "\n", "  a  ", "\u0000\u007f\u0080\uffff", "é e\u0301", "👩‍👩‍👧 𝔘", "<pad> <eos>", "\ufeffx", "a\r\nb", "\u00a0"];

describe("trainBPE", () => {
  const tokenizer = trainBPE(expected.texts, { vocabularySize: 360 });

  it("learns the merges and ids that Hugging Face's trainer learns", () => {
    const theirs = (JSON.parse(read("bpe.json")) as TokenizerJSON).model;
    expect(tokenizer.toJSON().model.merges).toEqual(theirs.merges);
    expect(tokenizer.toJSON().model.vocab).toEqual(theirs.vocab);
    expect([tokenizer.size, tokenizer.specials]).toEqual([360, { pad: 0, bos: 1, eos: 2, unk: 3 }]);
  });

  it("encodes as Hugging Face's library does", () => {
    expect(all.map((text) => tokenizer.encode(text))).toEqual(expected.bpe);
  });

  it("restores any text, including names of special tokens, leading spaces and unseen scripts", () => {
    for (const text of [...all, ...hard]) expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
  });

  it("encodes the first word as it does within a sentence", () => {
    expect(tokenizer.encode("the third")).toEqual([...tokenizer.encode("the"), ...tokenizer.encode("third")]);
    const bare = trainBPE(["the third third"], { vocabularySize: 300, prefixSpace: false });
    expect(bare.encode("third")).not.toEqual(bare.encode(" third"));
    expect(bare.decode(bare.encode(" third"))).toBe(" third");
  });

  it("stops when no remaining pair is frequent enough", () => {
    expect(trainBPE(["ab ab cd"], { vocabularySize: 1000, specials: [] }).size).toBe(256 + 2);
    expect(trainBPE(["ab ab cd"], { vocabularySize: 1000, specials: [], minFrequency: 1 }).size).toBe(256 + 4);
    expect(trainBPE([], { vocabularySize: 1000 }).size).toBe(260);
  });

  it("resolves ties between equally frequent pairs by the smaller ids", () => {
    const { merges } = trainBPE(["dc ba"], { vocabularySize: 257, specials: [], prefixSpace: false, minFrequency: 1 }).toJSON().model;
    expect(merges).toEqual([["b", "a"]]);
  });

  it("reports its progress, and finally the size reached", () => {
    const told: number[] = [];
    trainBPE(expected.texts, { vocabularySize: 360, onProgress: (tokens) => told.push(tokens) });
    expect(told.at(-1)).toBe(360);
    expect(told.length).toBeGreaterThan(1);
  });

  it("rejects a vocabulary without room for the bytes, and one with more ids than fit in a pair's key", () => {
    expect(() => trainBPE(["a"], { vocabularySize: 259 })).toThrow("at least 260 (256 bytes and 4 special tokens), got 259");
    expect(() => trainBPE(["a"], { vocabularySize: 2 ** 20 + 1 })).toThrow("trainBPE: vocabularySize must be at most 1048576, got 1048577");
  });
});

describe("the byte alphabet", () => {
  it("has 256 different characters, with Ġ for the space and Ċ for the newline", () => {
    expect(new Set(BYTE_ALPHABET).size).toBe(256);
    expect(toAlphabet(" \né~")).toBe("ĠĊÃ©~");
  });
});

describe("CharacterTokenizer", () => {
  const tokenizer = CharacterTokenizer.of(expected.texts, { specials: SPECIALS });

  it("assigns the same ids as Hugging Face's library", () => {
    expect(expected.texts.map((text) => tokenizer.encode(text))).toEqual(expected.characters);
    expect(tokenizer.toJSON()).toEqual(JSON.parse(read("characters.json")));
  });

  it("restores any text of its characters: newlines, spaces, surrogate pairs", () => {
    for (const text of expected.texts) expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
    expect(tokenizer.encode("🎉\n").length).toBe(2);
  });

  it("encodes an unknown character as <unk>, or else reports it and its position", () => {
    expect(tokenizer.encode("aŵ")[1]).toBe(tokenizer.specials.unk);
    const strict = CharacterTokenizer.of(["ab🎉"]);
    expect(() => strict.encode("🎉bŵ")).toThrow('character "ŵ" (U+0175) at position 2 is not one of the tokenizer\'s 3 characters, and there is no <unk> token');
    expect(strict.specials).toEqual({ pad: undefined, bos: undefined, eos: undefined, unk: undefined });
  });

  it("omits special tokens from the text by default", () => {
    const ids = [1, ...tokenizer.encode("low"), 2, 0];
    expect(tokenizer.decode(ids)).toBe("low");
    expect(tokenizer.decode(ids, { specials: true })).toBe("<bos>low<eos><pad>");
  });

  it("does not treat an ordinary character as a special token", () => {
    expect(new CharacterTokenizer(["a", "b"]).decode([0, 1])).toBe("ab");
  });
});

describe("loadTokenizer", () => {
  it("restores a saved tokenizer: the same kind, ids and texts", () => {
    for (const saved of [trainBPE(expected.texts, { vocabularySize: 300 }), CharacterTokenizer.of(all, { specials: ["<pad>"] })]) {
      const loaded = loadTokenizer(JSON.stringify(saved));
      expect(loaded.constructor).toBe(saved.constructor);
      expect([loaded.size, loaded.specials]).toEqual([saved.size, saved.specials]);
      for (const text of all) expect(loaded.encode(text)).toEqual(saved.encode(text));
      expect(JSON.stringify(loaded)).toBe(JSON.stringify(saved));
    }
  });

  it("loads files saved by Hugging Face's library", () => {
    const tokenizer = loadTokenizer(read("bpe.json"));
    expect(all.map((text) => tokenizer.encode(text))).toEqual(expected.bpe);
    expect(loadTokenizer(read("characters.json"))).toBeInstanceOf(CharacterTokenizer);
  });

  it("recognizes special tokens in a text only on request", () => {
    const tokenizer = loadTokenizer(read("bpe.json")) as HuggingFaceTokenizer;
    expect(tokenizer.encode("<eos>", { specials: true })).toEqual([2]);
    expect(tokenizer.encode("<eos>")).not.toContain(2);
    expect(tokenizer.decode([1, ...tokenizer.encode("low"), 2])).toBe("low");
    expect(tokenizer.decode([2], { specials: true })).toBe("<eos>");
  });

  it.each<[object, string]>([
    [{ model: { vocab: null } }, 'not a Hugging Face tokenizer.json: "model.vocab" or "added_tokens" is missing'],
    [{ model: { vocab: { a: -1 } } }, 'the token "a": expected an id in [0, 16777216), got -1'],
    [{ model: { vocab: { a: 4e9 } } }, 'the token "a": expected an id in [0, 16777216), got 4000000000'],
    [{ model: { vocab: { a: "0" } } }, 'the token "a": expected an id in [0, 16777216), got "0"'],
    [{ model: { vocab: { a: 0, b: 0 } } }, 'the token "b" has the same id as "a": 0'],
    [{ added_tokens: [null] }, 'added_tokens: expected objects with "id" and "content", got null'],
    [{ added_tokens: [{ id: 0 }] }, 'added_tokens: expected objects with "id" and "content", got {"id":0}'],
    [{ added_tokens: [{ id: 1, content: "<cls>" }] }, 'the token "<cls>" has the same id as "<bos>": 1'],
    [{ normalizer: { type: "Magic" } }, 'normalizer: unknown type "Magic"; the types are BertNormalizer, Precompiled, NFC, NFD, NFKC, NFKD, StripAccents, Lowercase, Replace, Strip, Prepend, Sequence'],
  ])("rejects a file with %j, naming the file", (flaw, message) => {
    const json = JSON.parse(read("characters.json")) as Record<string, unknown> & { model: object };
    const { model, ...rest } = flaw as { model?: object };
    const broken = JSON.stringify({ ...json, ...rest, model: { ...json.model, ...model } });
    expect(() => loadTokenizer(broken, "x.json")).toThrow(new HeedError("format", `x.json: ${message}`, { file: "x.json" }));
  });

  it("does not load a character tokenizer whose ids have gaps", () => {
    const json = CharacterTokenizer.of(["ab"]).toJSON();
    const sparse = { ...json, model: { ...json.model, vocab: { a: 0, b: 5 } } };
    expect(loadTokenizer(sparse)).not.toBeInstanceOf(CharacterTokenizer);
  });

  it("reports what is wrong with a file or an id", () => {
    expect(() => loadTokenizer("{", "x.json")).toThrow("x.json: not JSON");
    expect(() => loadTokenizer("{}", "x.json")).toThrow('x.json: not a Hugging Face tokenizer.json: "model.vocab"');
    expect(() => loadTokenizer("null", "x.json")).toThrow(expect.objectContaining({ code: "format" }));
    for (const file of ["bpe.json", "characters.json"]) {
      const tokenizer = loadTokenizer(read(file));
      expect(() => tokenizer.decode([5, tokenizer.size])).toThrow(`got ${tokenizer.size} at position 1`);
      expect(tokenizer.decode([])).toBe("");
    }
  });
});

describe("a token without an id", () => {
  const base = { version: "1.0", truncation: null, padding: null, added_tokens: [], normalizer: null, pre_tokenizer: { type: "Whitespace" }, post_processor: null, decoder: null };
  const vocab = { a: 3, b: 4, "[CLS]": 0 };
  const models: Record<string, TokenizerJSON["model"]> = {
    WordPiece: { type: "WordPiece", unk_token: "[UNK]", continuing_subword_prefix: "##", max_input_chars_per_word: 100, vocab },
    "WordPiece, a word too long": { type: "WordPiece", unk_token: "[UNK]", continuing_subword_prefix: "##", max_input_chars_per_word: 1, vocab: { ...vocab, zz: 5 } },
    BPE: { type: "BPE", unk_token: "[UNK]", fuse_unk: false, vocab, merges: [] },
    "BPE that fuses": { type: "BPE", unk_token: "[UNK]", fuse_unk: true, vocab, merges: [] },
    Unigram: { type: "Unigram", unk_id: null, vocab: [["a", -1], ["b", -2]] },
  };

  it.each(Object.entries(models))("is an error that names it: %s", (name, model) => {
    const tokenizer = loadTokenizer({ ...base, model });
    expect(tokenizer.encode("a b")).toEqual([...Object.entries(model.vocab as object)].length === 2 ? [0, 1] : [3, 4]);
    const token = name === "Unigram" ? "zz" : "[UNK]";
    for (const options of [{}, { specials: true }]) {
      expect(() => (tokenizer as HuggingFaceTokenizer).encode("a zz b", options)).toThrow(new HeedError("data", `the token "${token}" is not in the tokenizer's vocabulary`));
    }
  });

  it("is an error that names it, in a template for special tokens", () => {
    const post_processor = {
      type: "TemplateProcessing",
      single: [{ SpecialToken: { id: "[SEP]", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }], pair: [], special_tokens: {},
    };
    const tokenizer = loadTokenizer({ ...base, post_processor, model: models.WordPiece! }) as HuggingFaceTokenizer;
    expect(() => tokenizer.encode("a", { specials: true })).toThrow(`the token "[SEP]" is not in the tokenizer's vocabulary`);
  });

  it("is an error in byte-level BPE too: a byte or a merged token that the vocabulary lacks", () => {
    const json = trainBPE(["low low"], { vocabularySize: 258, specials: [], prefixSpace: false, minFrequency: 1 }).toJSON();
    const without = (token: string) => {
      const { [token]: _, ...vocab } = json.model.vocab as Record<string, number>;
      return loadTokenizer({ ...json, model: { ...json.model, vocab } });
    };
    expect(() => without("z").encode("z")).toThrow(new HeedError("data", 'the token "z" is not in the tokenizer\'s vocabulary'));
    expect(() => without("low").encode("low")).toThrow(new HeedError("data", 'the token "low" is not in the tokenizer\'s vocabulary'));
    expect(without("z").encode("low")).toEqual(loadTokenizer(json).encode("low"));
  });

  it("is an error in a corpus, with file and line", () => {
    const tokenizer = loadTokenizer({ ...base, model: models.WordPiece! });
    const lines = { name: "train.de", lines: ["a", "zz"] };
    expect(() => parallelCorpus(lines, lines, { sourceTokenizer: tokenizer, targetTokenizer: tokenizer, maxLength: 8 })).toThrow('train.de, line 2: the token "[UNK]" is not');
  });

  it("cannot be decoded: an unused id is a RangeError", () => {
    const sparse = loadTokenizer({ ...base, model: models.BPE! });
    expect(sparse.decode([3, 4])).toBe("a b");
    expect(() => sparse.decode([3, 1])).toThrow(new RangeError("decode: no token has id 1, found at position 1"));
  });
});

describe("the types of special ids", () => {
  it("are number for each given special token, and undefined for the others", () => {
    const { pad, bos, eos, unk } = CharacterTokenizer.of(["a"], { specials: SPECIALS }).specials;
    const all: number[] = [pad, bos, eos, unk];
    const none: undefined = CharacterTokenizer.of(["a"]).specials.pad;
    const some: number = CharacterTokenizer.of(["a"], { specials: ["[PAD]"] }).specials.pad;
    const bpe: number = trainBPE(["a"], { vocabularySize: 260 }).specials.eos;
    const loaded: number | undefined = loadTokenizer(JSON.stringify(CharacterTokenizer.of(["a"]))).specials.pad;
    expect([all, none, some, bpe, loaded]).toEqual([[0, 1, 2, 3], undefined, 0, 2, undefined]);
  });
});
