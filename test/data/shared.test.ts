import { describe, expect, it } from "vitest";
import { trainBPE } from "../../host/data/bpe";
import { gpt2JSON } from "../../host/data/bytelevel";
import { CharacterTokenizer } from "../../host/data/characters";
import { type HuggingFaceTokenizer, loadTokenizer } from "../../host/data/huggingface";
import { parseLines } from "../../host/data/lines";
import { parallelCorpus } from "../../host/data/parallel";
import { batchesByTokens } from "../../host/data/translation";
import { hasShared, needsShared, shared, sharedText } from "./shared";

const sharedIt = it.skipIf(!hasShared);
const lines = (file: string) => parseLines(shared(`multi30k/${file}`), file);

describe("GPT-2's tokenizer", () => {
  sharedIt(`gives llama.cpp's ids for its 46 hard strings, and the strings back ${needsShared}`, () => {
    const tokenizer = loadTokenizer(gpt2JSON(sharedText("tokenizers/gpt2/encoder.json"), sharedText("tokenizers/gpt2/vocab.bpe")));
    const texts = sharedText("tokenizers/llamacpp/ggml-vocab-gpt-2.gguf.inp").split("\n__ggml_vocab_test__\n").slice(0, 46);
    const ids = sharedText("tokenizers/llamacpp/ggml-vocab-gpt-2.gguf.out").split("\n");
    texts.forEach((text, i) => expect(tokenizer.encode(text).join(" "), JSON.stringify(text)).toBe(ids[i]!.trim()));
    for (const text of texts) expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
    expect([tokenizer.size, tokenizer.specials.eos]).toEqual([50257, 50256]);
  });
});

describe("roberta-base's tokenizer.json", () => {
  sharedIt(`encodes as transformers documents: <s> Hello world </s> is 0 31414 232 2 ${needsShared}`, () => {
    const tokenizer = loadTokenizer(sharedText("tokenizers/roberta-base/tokenizer.json")) as HuggingFaceTokenizer;
    expect(tokenizer.encode("Hello world", { specials: true })).toEqual([0, 31414, 232, 2]);
    expect(tokenizer.encode("Hello world")).toEqual([31414, 232]);
    expect(tokenizer.specials).toEqual({ pad: 1, bos: 0, eos: 2, unk: 3 });
    expect(tokenizer.decode([0, 31414, 232, 2])).toBe("Hello world");
  });
});

describe("tiny Shakespeare", () => {
  sharedIt(`has 65 characters and is restored from its ids ${needsShared}`, () => {
    const text = sharedText("text/tinyshakespeare.txt");
    const tokenizer = CharacterTokenizer.of([text]);
    expect(tokenizer.size).toBe(65);
    expect(tokenizer.encode("\n ")).toEqual([0, 1]);
    expect(tokenizer.decode(tokenizer.encode(text)) === text).toBe(true);
  });
});

describe("Multi30k", () => {
  sharedIt(`trains 8000 tokens, encodes 58000 sentences and batches them, each in less than 10 s ${needsShared}`, () => {
    const [source, target] = [lines("train.en.gz"), lines("train.de.gz")];
    const begin = performance.now();
    const tokenizer = trainBPE([...source.lines, ...target.lines], { vocabularySize: 8000 });
    const trained = performance.now();
    const options = { sourceTokenizer: tokenizer, targetTokenizer: tokenizer, maxLength: 64 };
    const { pairs } = parallelCorpus(source, target, options);
    const encoded = performance.now();
    const batches = batchesByTokens(pairs, { tokensPerBatch: 4096, specials: { pad: 0, bos: 1, eos: 2 } });
    const sizes = [...batches.epoch(0)].map(({ source }) => source!.data.length);
    const batched = performance.now();

    expect([tokenizer.size, pairs.length]).toEqual([8000, 29000]);
    expect(target.lines.slice(0, 500).map((line) => tokenizer.decode(tokenizer.encode(line)))).toEqual(target.lines.slice(0, 500));
    const real = pairs.reduce((sum, pair) => sum + pair.source.length + pair.target.length + 1, 0);
    expect(real / (2 * sizes.reduce((sum, size) => sum + size))).toBeGreaterThan(0.7);
    expect(batches.shapes.length).toBeLessThanOrEqual(8);
    for (const time of [trained - begin, encoded - trained, batched - encoded]) expect(time).toBeLessThan(10_000);
  });
});
