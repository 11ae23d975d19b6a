import { beforeAll, describe, expect, it } from "vitest";
import { generate, type GenerateOptions } from "../../host/decode/generate";
import { greedy } from "../../host/decode/greedy";
import { linear } from "../../host/graph/ops/linear";
import { GPT } from "../../host/models/gpt";
import type { Batch } from "../../host/batch";
import { Transformer, transformerPresets } from "../../host/models/transformer";
import { Trainer } from "../../host/train/trainer";
import { createRuntime } from "../graph/runtime";
import { uniform } from "../random";

const [START, END] = [1, 2];
const VOCABULARY = 10;

/** Sources of 1 to 6 ids from 3 to 9; the target is the source. */
function sourcesAt(seed: number, rows: number): number[][] {
  const next = uniform(seed);
  return Array.from({ length: rows }, () => Array.from({ length: 1 + Math.floor(6 * next()) }, () => 3 + Math.floor(7 * next())));
}

function copyBatch(step: number): Batch {
  const sources = sourcesAt(step + 1, 32);
  const rows = (length: number, row: (source: number[]) => number[]): { shape: number[]; data: Int32Array } => ({
    shape: [32, length],
    data: Int32Array.from(sources.flatMap((source) => Array.from({ length }, (_, i) => row(source)[i] ?? 0))),
  });
  return {
    source: rows(6, (ids) => ids), sourceLengths: { shape: [32], data: Int32Array.from(sources, ({ length }) => length) },
    target: rows(7, (ids) => [START, ...ids]), targets: rows(7, (ids) => [...ids, END]),
  };
}

describe("greedy", () => {
  let model: Transformer;
  beforeAll(async () => {
    model = new Transformer({ ...transformerPresets.tiny, maxLength: 16, encoderLayers: 1, width: 32, hidden: 64, vocabulary: VOCABULARY });
    model.place(await createRuntime(), { seed: 1 });
    const options = { steps: 300, seed: 1, clip: 1, schedule: { kind: "cosine", peak: 5e-3, warmup: 20 }, optimizer: { kind: "adamw" } } as const;
    for await (const _ of new Trainer(model, { batch: copyBatch }, options).run()) void _;
  });
  const decode = (sources: number[][], options = {}): Promise<number[][]> => greedy(model, sources, { start: START, end: END, ...options });

  it("copies at least 38 of 40 unseen sources, after 300 steps on the copy task", async () => {
    const sources = sourcesAt(5000, 40);
    const copies = await decode(sources);
    expect(sources.filter((source, row) => source.join() === copies[row]!.join()).length).toBeGreaterThanOrEqual(38);
  });

  it("gives a batch of different lengths what it gives each source alone", async () => {
    const sources = [[3], [4, 5, 6, 7, 8, 9], [9, 8], [3, 3, 4, 4]];
    const alone = [];
    for (const source of sources) alone.push(...(await decode([source])));
    expect(await decode(sources)).toEqual(alone);
  });

  it("stops after maxTokens, and gives no source no target", async () => {
    expect((await decode([[3, 4, 5, 6]], { maxTokens: 2 }))[0]).toHaveLength(2);
    expect(await decode([])).toEqual([]);
  });

  it.each<[number[], object, string]>([
    [[3, 10], {}, "greedy: source 0: token ids must lie in [0, 10), got 10 at position 1"],
    [[3.5], {}, "greedy: source 0: token ids must lie in [0, 10), got 3.5 at position 0"],
    [[], {}, "greedy: source 0 has 0 tokens; the model takes 1 to 16"],
    [new Array<number>(17).fill(3), {}, "greedy: source 0 has 17 tokens; the model takes 1 to 16"],
    [[3], { start: 10 }, "greedy: start: token ids must lie in [0, 10), got 10 at position 0"],
    [[3], { end: 10 }, "greedy: end: token ids must lie in [0, 10), got 10 at position 0"],
    [[3], { maxTokens: NaN }, "greedy: maxTokens must be a whole number, got NaN"],
    [[3], { maxTokens: -1 }, "greedy: maxTokens must be a whole number, got -1"],
  ])("refuses %j with %j", async (source, options, message) => {
    await expect(decode([source], options)).rejects.toThrow(message);
  });

  it("stops at its signal", async () => {
    await expect(decode([[3]], { signal: AbortSignal.abort(new Error("enough")) })).rejects.toThrow("enough");
  });

  it("throws HeedError where the weights are NaN", async () => {
    const before = model.weights.read();
    model.weights.runtime.memory.f32(model.weights.address, 64).fill(NaN);
    await expect(decode([[3]])).rejects.toMatchObject({ name: "HeedError", code: "data" });
    model.weights.write(before);
  });
});

describe("generate", () => {
  let model: GPT;
  beforeAll(async () => {
    model = new GPT({ vocabulary: 23, block: 8, layers: 1, heads: 2, width: 16 }).place(await createRuntime(), { seed: 4 });
    const { memory } = model.weights.runtime;
    const { address, size } = model.embedding.weight;
    const spread = memory.f32(address, size);
    spread.forEach((value, i) => (spread[i] = 40 * value)); // logits far enough apart that ids differ in likelihood
  });
  const collect = async (prompts: number[][], options: GenerateOptions): Promise<number[][]> => {
    const steps: number[][] = [];
    for await (const ids of generate(model, prompts, options)) steps.push(ids);
    return prompts.map((_, row) => steps.map((ids) => ids[row]!));
  };
  /** The logits of the token after `ids`. */
  const logitsAfter = (ids: number[]): number[] => {
    const window = ids.slice(-8);
    const { program, tensors } = model.program(`logits ${window.length}`, (graph) => {
      const tokens = graph.input([1, window.length], "i32");
      return { tokens, logits: graph.keep(linear(model.forward(tokens), model.embedding.weight)) };
    });
    program.write(tensors.tokens, window);
    program.run();
    return [...program.read(tensors.logits)].slice(-23);
  };
  const ranks = (logits: number[]): number[] => logits.map((_, id) => id).sort((a, b) => logits[b]! - logits[a]!);

  it("gives the same tokens for the same seed, others for another", async () => {
    const run = (seed: number): Promise<number[][]> => collect([[1, 2]], { maxTokens: 20, temperature: 5, seed });
    expect(await run(1)).toEqual(await run(1));
    expect(await run(1)).not.toEqual(await run(2));
    expect(await run(1)).not.toEqual(await run(1 + 2 ** 32));
  });

  it.each([0, 1e-50])("is greedy at temperature %d, over the last 8 tokens once the block is full", async (temperature) => {
    const ids = [3, 1];
    const [row] = await collect([[...ids]], { maxTokens: 14, temperature });
    for (const id of row!) {
      expect(id).toBe(ranks(logitsAfter(ids))[0]);
      ids.push(id);
    }
  });

  it("takes a k beyond 32 bits for all of the vocabulary", async () => {
    const all = await collect([[5]], { maxTokens: 20, temperature: 5 });
    expect(await collect([[5]], { maxTokens: 20, temperature: 5, topK: 2 ** 32 + 1 })).toEqual(all);
  });

  it("draws from the top k only", async () => {
    for (const [topK, seed] of [[1, 1], [3, 2], [3, 3]] as const) {
      const ids = [5];
      const [row] = await collect([[5]], { maxTokens: 20, temperature: 5, topK, seed });
      for (const id of row!) {
        expect(ranks(logitsAfter(ids)).slice(0, topK)).toContain(id);
        ids.push(id);
      }
    }
  });

  it("continues prompts of different lengths in a batch as each alone, greedily", async () => {
    const prompts = [[1], [2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12, 13, 14, 15, 16]];
    const alone = [];
    for (const prompt of prompts) alone.push(...(await collect([prompt], { maxTokens: 9, temperature: 0 })));
    expect(await collect(prompts, { maxTokens: 9, temperature: 0 })).toEqual(alone);
  });

  it("gives −1 for a row that has ended, and stops when all have", async () => {
    const [[end]] = (await collect([[3, 1]], { maxTokens: 1, temperature: 0 })) as [[number]];
    expect(await collect([[3, 1]], { maxTokens: 5, temperature: 0, end })).toEqual([[end]]);
    const [first, second] = await collect([[3, 1], [4]], { maxTokens: 3, temperature: 0, end });
    expect(first).toEqual([end, ...second!.slice(1).map(() => -1)]);
  });

  it("changes no prompt it is given, and may be left at any token", async () => {
    const prompt = [1, 2];
    for await (const _ of generate(model, [prompt], { maxTokens: 5 })) break;
    expect(prompt).toEqual([1, 2]);
    expect(await collect([], { maxTokens: 5 })).toEqual([]);
  });

  it("throws HeedError where the weights are NaN, greedy or not", async () => {
    const before = model.weights.read();
    model.weights.runtime.memory.f32(model.weights.address, 64).fill(NaN);
    for (const temperature of [0, 1]) {
      await expect(collect([[1]], { maxTokens: 1, temperature })).rejects.toMatchObject({ name: "HeedError", code: "data" });
    }
    model.weights.write(before);
  });

  it.each<[number[], Partial<GenerateOptions>, string]>([
    [[], {}, "generate: prompt 0 is empty; give at least one token"],
    [[23], {}, "generate: prompt 0: token ids must lie in [0, 23), got 23 at position 0"],
    [[1.5], {}, "generate: prompt 0: token ids must lie in [0, 23), got 1.5 at position 0"],
    [[1], { maxTokens: -1 }, "generate: maxTokens must be a whole number, got -1"],
    [[1], { temperature: NaN }, "generate: temperature must be 0 or more, got NaN"],
    [[1], { temperature: -1 }, "generate: temperature must be 0 or more, got -1"],
    [[1], { topK: 1.5 }, "generate: topK must be a whole number, got 1.5"],
    [[1], { seed: NaN }, "seed: expected an integer in [0, 2^53), got NaN"],
  ])("refuses %j with %j", async (prompt, options, message) => {
    await expect(collect([prompt], { maxTokens: 1, ...options })).rejects.toThrow(message);
  });
});
