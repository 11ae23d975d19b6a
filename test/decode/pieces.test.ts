import { describe, expect, it } from "vitest";
import { trainBPE } from "../../host/data/bpe";
import { CharacterTokenizer } from "../../host/data/characters";
import { loadTokenizer } from "../../host/data/huggingface";
import { SPECIALS, type TokenizerJSON } from "../../host/data/tokenizer";
import { type TextDecoderLike, TextPieces } from "../../host/decode/pieces";
import { uniform } from "../random";

const empty = { version: "1.0", truncation: null, padding: null, added_tokens: [], normalizer: null, pre_tokenizer: null, post_processor: null };

/** A tokenizer as Llama 2 has it: words start with ▁, and unknown characters are spelled in byte tokens. */
function byteFallback(): TextDecoderLike {
  const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);
  const tokens = ["<unk>", ...bytes, "▁", "▁the", "▁a", "b", "é", "lo", "w", ",", "▁né"];
  const decoders = [
    { type: "Replace", pattern: { String: "▁" }, content: " " }, { type: "ByteFallback" }, { type: "Fuse" }, { type: "Strip", content: " ", start: 1, stop: 0 },
  ];
  const model = { type: "BPE", vocab: Object.fromEntries(tokens.map((token, id) => [token, id])), merges: [], unk_token: "<unk>", byte_fallback: true, fuse_unk: true };
  return loadTokenizer({ ...empty, decoder: { type: "Sequence", decoders }, model } as TokenizerJSON);
}

function wordPiece(): TextDecoderLike {
  const tokens = ["[UNK]", "do", "n", "'", "t", ".", ",", "##ing", "##s", "i", "'", "m", "he", "!", "?", "##e"];
  const vocab = Object.fromEntries([...new Set(tokens)].map((token, id) => [token, id]));
  const model = { type: "WordPiece", vocab, unk_token: "[UNK]", continuing_subword_prefix: "##", max_input_chars_per_word: 100 };
  return loadTokenizer({ ...empty, pre_tokenizer: { type: "BertPreTokenizer" }, decoder: { type: "WordPiece", prefix: "##", cleanup: true }, model } as TokenizerJSON);
}

const characters = CharacterTokenizer.of(["to be, or not to be 👩‍👩‍👧 é"]);
const tokenizers: Record<string, TextDecoderLike> = {
  "byte-level BPE": trainBPE(["the naïve café 👩‍👩‍👧 low lower lowest"], { vocabularySize: 280 }), "byte fallback": byteFallback(), WordPiece: wordPiece(), characters,
};

function stream(tokenizer: TextDecoderLike, ids: readonly number[], stops: readonly string[] = []): { pieces: string[]; stop?: string } {
  const pieces = new TextPieces(tokenizer, stops);
  const all = ids.map((id) => pieces.push(id));
  all.push(pieces.end());
  return { pieces: all, stop: pieces.stop };
}

describe("TextPieces", () => {
  it.each(Object.entries(tokenizers))("%s: the pieces of 2,500 random sequences, invalid UTF-8 included, are the whole text, and none ends inside a character", (_, tokenizer) => {
    const next = uniform(1);
    for (let round = 0; round < 2500; round++) {
      const ids = Array.from({ length: 1 + Math.floor(next() * 24) }, () => Math.floor(next() * tokenizer.size));
      const { pieces } = stream(tokenizer, ids);
      expect(pieces.join(""), `round ${round}: ${ids.join(" ")}`).toBe(tokenizer.decode(ids));
      for (const piece of pieces) expect(piece).not.toMatch(/[\uD800-\uDBFF]$/);
    }
  });

  it.each(Object.entries(tokenizers))("%s: sequences of 700 ids, far beyond the window, are the whole text", (_, tokenizer) => {
    const next = uniform(2);
    for (let round = 0; round < 4; round++) {
      const ids = Array.from({ length: 700 }, () => Math.floor(next() * tokenizer.size));
      expect(stream(tokenizer, ids).pieces.join("")).toBe(tokenizer.decode(ids));
    }
  });

  it("emits each character of valid text with its last byte, so nothing is held back for long", () => {
    const tokenizer = trainBPE(["ab"], { vocabularySize: 256 + SPECIALS.length, prefixSpace: false });
    const ids = tokenizer.encode("aé👩b");
    expect(stream(tokenizer, ids).pieces).toEqual(["a", "", "é", "", "", "", "👩", "b", ""]);
  });

  it("ends before a stop string, inside a token or across tokens, and holds back what may be the start of one", () => {
    const ids = characters.encode("to be, or not to be");
    // "o" waits for the character after it.
    expect(stream(characters, ids, ["or"])).toEqual({ pieces: ["t", "", "o ", "b", "e", ",", " ", ...new Array<string>(13).fill("")], stop: "or" });
    expect(stream(characters, ids, ["not to b?", "not to be"])).toMatchObject({ stop: "not to be" });
    expect(stream(characters, ids, ["not to b?", "not to be"]).pieces.join("")).toBe("to be, or ");
    expect(stream(characters, ids, ["be!"]).pieces.join("")).toBe("to be, or not to be");
    expect(stream(characters, ids, ["be, or", "e,"])).toMatchObject({ stop: "e," }); // the first to be complete
    const words = trainBPE(["alpha beta alpha beta"], { vocabularySize: 300, prefixSpace: false });
    const whole = words.encode("alpha beta");
    expect(whole.length).toBeLessThan(6);
    expect(stream(words, whole, ["pha b"])).toMatchObject({ stop: "pha b" });
    expect(stream(words, whole, ["pha b"]).pieces.join("")).toBe("al");
  });
});
