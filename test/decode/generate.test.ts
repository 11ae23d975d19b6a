import { beforeAll, describe, expect, it } from "vitest";
import { generate, type GenerateOptions } from "../../host/decode/generate";
import { Session } from "../../host/decode/session";
import { GPT } from "../../host/models/gpt";
import { Llama } from "../../host/models/llama";
import { Transformer, transformerPresets } from "../../host/models/transformer";
import { createRuntime } from "../graph/runtime";
import { logitsOf } from "../models/logits";

const CONTEXT = 8;

describe("generate", () => {
  let model: GPT;
  beforeAll(async () => {
    model = new GPT({ vocabulary: 23, block: CONTEXT, layers: 1, heads: 2, width: 16 }).place(await createRuntime(), { seed: 4 });
    for (const { state } of [model.embedding.weight, model.positions.weight, model.layers[0]!.attention.queryKeyValue.weight]) {
      state!.write((state!.read() as Float32Array).map((value) => 20 * value)); // logits far enough apart that ids differ in likelihood
    }
  });
  const collect = async (prompts: readonly (readonly number[])[], options: GenerateOptions, from: GPT | Session<GPT> = model): Promise<number[][]> => {
    const steps: number[][] = [];
    for await (const ids of generate(from, prompts, options)) steps.push(ids);
    return prompts.map((_, row) => steps.map((ids) => ids[row]!));
  };
  /** Next ids after `ids`, most likely first. `ids` must fit in the context. */
  const ranks = (ids: number[]): number[] => {
    const logits = logitsOf(model, { tokens: { shape: [1, ids.length], data: Int32Array.from(ids) } }).subarray(-23);
    return Array.from(logits.keys()).sort((a, b) => logits[b]! - logits[a]!);
  };
  /** What the model reads before each of n tokens. Beyond the context, it restarts from the last half of it. */
  const windows = (prompt: number[], generated: number[]): number[][] => {
    let window = prompt.length > CONTEXT ? prompt.slice(-4) : [...prompt];
    return generated.map((id) => {
      if (window.length > CONTEXT) window = window.slice(-4);
      const read = [...window];
      window.push(id);
      return read;
    });
  };

  it("gives the same tokens for the same seed, and others for another seed", async () => {
    const run = (seed: number): Promise<number[][]> => collect([[1, 2]], { maxTokens: 20, temperature: 5, seed });
    expect(await run(1)).toEqual(await run(1));
    expect(await run(1)).not.toEqual(await run(2));
    expect(await run(1)).not.toEqual(await run(1 + 2 ** 32));
  });

  it("draws a number of its own for every token, also after a restart from the last half of the context", async () => {
    // With weights of 0 all tokens are equally likely, so they follow from the random numbers alone.
    const [short, long] = await Promise.all([CONTEXT, 64].map(async (block) => {
      const even = new GPT({ vocabulary: 23, block, layers: 1, heads: 2, width: 16 }).place(await createRuntime());
      even.weights.write(new Map(Array.from(even.weights.read(), ([name, { shape, data }]) => [name, { shape, data: data.fill(0) }])));
      return collect([[1, 2], [3]], { maxTokens: 40, seed: 7 }, even);
    }));
    expect(short).toEqual(long);
    expect(new Set(long![0]).size).toBeGreaterThan(12);
  });

  it("continues 140,000 prompts, more than a function takes arguments", async () => {
    const tiny = new GPT({ vocabulary: 3, block: 2, layers: 1, heads: 1, width: 4 }).place(await createRuntime());
    const prompts = Array.from({ length: 140_000 }, (_, i) => [i % 3]);
    const ids = (await collect(prompts, { maxTokens: 1, temperature: 0 }, tiny)).flat();
    expect(ids).toEqual(Array.from(prompts, (_, i) => ids[i % 3]));
  });

  it("samples from all tokens at temperature 1 with seed 0 by default", async () => {
    expect(await collect([[1, 2]], { maxTokens: 20 })).toEqual(await collect([[1, 2]], { maxTokens: 20, temperature: 1, topK: 0, seed: 0, pastContext: "restart" }));
  });

  it.each([[0, 2], [1e-50, 2], [0, 8], [0, 9], [0, 30]])("is greedy at temperature %d, and restarts from the last half of the context, with a prompt of %i tokens", async (temperature, length) => {
    const prompt = Array.from({ length }, (_, i) => (5 * i + 3) % 23);
    const [row] = await collect([prompt], { maxTokens: 24, temperature });
    expect(row).toHaveLength(24);
    for (const [i, window] of windows(prompt, row!).entries()) expect([i, row![i]]).toEqual([i, ranks(window)[0]]);
  });

  it("stops at the context with pastContext \"stop\"", async () => {
    const restarting = await collect([[3, 1]], { maxTokens: 30, temperature: 0 });
    expect(await collect([[3, 1]], { maxTokens: 30, temperature: 0, pastContext: "stop" })).toEqual([restarting[0]!.slice(0, 7)]); // the context, and one more token
    const rows = await collect([[3, 1], [3, 1, 4, 1, 5, 9]], { maxTokens: 30, temperature: 0, pastContext: "stop" });
    expect(rows[0]).toEqual(restarting[0]!.slice(0, 7));
    expect(rows[1]!.slice(3)).toEqual([-1, -1, -1, -1]);
    expect(rows[1]!.slice(0, 3)).toEqual((await collect([[3, 1, 4, 1, 5, 9]], { maxTokens: 3, temperature: 0 }))[0]);
  });

  it("treats a k beyond 32 bits as the whole vocabulary", async () => {
    const all = await collect([[5]], { maxTokens: 20, temperature: 5 });
    expect(await collect([[5]], { maxTokens: 20, temperature: 5, topK: 2 ** 32 + 1 })).toEqual(all);
  });

  it.each([[1, 1], [3, 2], [3, 3]])("samples only from the top %i with seed %i, also past the context", async (topK, seed) => {
    const [row] = await collect([[5]], { maxTokens: 20, temperature: 5, topK, seed });
    for (const [i, window] of windows([5], row!).entries()) expect(ranks(window).slice(0, topK)).toContain(row![i]);
    if (topK > 1) expect(new Set(windows([5], row!).map((window, i) => ranks(window).indexOf(row![i]!))).size).toBe(topK);
  });

  it("seeds row i with seed + i, whatever the other rows: row 2 of seed 5 is row 0 of seed 7", async () => {
    const rows = await collect([[5], [6], [7]], { maxTokens: 20, temperature: 3, seed: 5 });
    expect([rows[2]]).toEqual(await collect([[7]], { maxTokens: 20, temperature: 3, seed: 7 }));
    expect([rows[0]]).toEqual(await collect([[5]], { maxTokens: 20, temperature: 3, seed: 5 }));
  });

  it("continues prompts of different lengths in a batch as it does each alone, also past the context", async () => {
    const prompts = [[1], [2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12, 13, 14, 15, 16], [7, 8, 9, 10, 11, 12, 13, 14]];
    const alone = [];
    for (const prompt of prompts) alone.push(...(await collect([prompt], { maxTokens: 19, temperature: 0 })));
    expect(await collect(prompts, { maxTokens: 19, temperature: 0 })).toEqual(alone);
  });

  it("yields −1 for a row that has ended, and stops when all have ended", async () => {
    const [[end]] = (await collect([[3, 1]], { maxTokens: 1, temperature: 0 })) as [[number]];
    expect(await collect([[3, 1]], { maxTokens: 5, temperature: 0, end })).toEqual([[end]]);
    const [first, second] = await collect([[3, 1], [4]], { maxTokens: 3, temperature: 0, end });
    expect(second).not.toContain(end);
    expect(first).toEqual([end, ...second!.slice(1).map(() => -1)]);
  });

  it("gives the same tokens on a reused session, whose rows are closed afterwards and on an early exit", async () => {
    const expected = await collect([[3, 1], [4]], { maxTokens: 20, temperature: 2 });
    const session = new Session(model, { rows: 2, poison: true });
    for (let i = 0; i < 3; i++) {
      expect(await collect([[3, 1], [4]], { maxTokens: 20, temperature: 2 }, session)).toEqual(expected);
      for await (const _ of generate(session, [[5]], { maxTokens: 5 })) break;
    }
    expect(session["openRows"].size + session["pool"].used).toBe(0);
    session.dispose();
  });

  it("does not change its prompts, accepts typed arrays, and can be abandoned at any token", async () => {
    const prompt = [1, 2];
    for await (const _ of generate(model, [prompt], { maxTokens: 5 })) break;
    expect(prompt).toEqual([1, 2]);
    expect(await collect([Int32Array.of(1, 2) as unknown as number[]], { maxTokens: 5 })).toEqual(await collect([[1, 2]], { maxTokens: 5 }));
    expect(await collect([], { maxTokens: 5 })).toEqual([]);
    expect(await collect([[1]], { maxTokens: 0 })).toEqual([[]]);
  });

  it("is aborted by its signal, at once or between tokens", async () => {
    await expect(collect([[1]], { maxTokens: 5, signal: AbortSignal.abort(new Error("enough")) })).rejects.toThrow("enough");
    const abort = new AbortController();
    const iterate = async (): Promise<void> => {
      for await (const _ of generate(model, [[1]], { maxTokens: 5, signal: abort.signal })) abort.abort(new Error("enough"));
    };
    await expect(iterate()).rejects.toThrow("enough");
  });

  it("throws HeedError if the weights are NaN, greedy or not", async () => {
    const before = model.weights.read();
    model.embedding.weight.state!.write(new Float32Array(64).fill(NaN));
    for (const temperature of [0, 1]) {
      await expect(collect([[1]], { maxTokens: 1, temperature })).rejects.toMatchObject({ name: "HeedError", code: "data" });
    }
    model.weights.write(before);
  });

  it.each<[unknown[], object, ErrorConstructor, string]>([
    [[], {}, RangeError, "generate: prompt 0 is empty; give at least one token"],
    [[23], {}, RangeError, "generate: prompt 0: token ids must be integers in [0, 23), got 23 at position 0"],
    [[1.5], {}, RangeError, "generate: prompt 0: token ids must be integers in [0, 23), got 1.5 at position 0"],
    [[undefined], {}, RangeError, "generate: prompt 0: token ids must be integers in [0, 23), got undefined at position 0"],
    [[1], { maxTokens: undefined }, TypeError, "generate: maxTokens: expected an integer of at least 0, got nothing"],
    [[1], { maxTokens: -1 }, RangeError, "generate: maxTokens: expected an integer of at least 0, got -1"],
    [[1], { temperature: NaN }, RangeError, "generate: temperature: expected a number of at least 0, got NaN"],
    [[1], { temperature: -1 }, RangeError, "generate: temperature: expected a number of at least 0, got -1"],
    [[1], { topK: 1.5 }, RangeError, "generate: topK: expected an integer of at least 0, got 1.5"],
    [[1], { seed: NaN }, RangeError, "generate: seed: expected an integer in [0, 2^53), got NaN"],
    [[1], { end: 1.5 }, RangeError, "generate: end: token ids must be integers in [0, 23), got 1.5 at position 0"],
    [[1], { pastContext: "slide" }, RangeError, 'generate: pastContext: expected "restart" or "stop", got "slide"'],
    [[1], { max: 5 }, TypeError, 'generate: unknown field "max"; the fields are logitBias, banned, repetitionPenalty, presencePenalty, frequencyPenalty, noRepeatNGram, minTokens, forced, temperature, topK, topP, minP, typicalP, seed, maxTokens, samples, end, pastContext, signal'],
    [[1], { topk: 5 }, TypeError, 'generate: unknown field "topk"; did you mean "topK"?'],
  ])("refuses %j with %j", async (prompt, options, kind, message) => {
    await expect(collect([prompt as number[]], { maxTokens: 1, ...options })).rejects.toThrow(new kind(message));
  });

  it.each<[string, unknown]>([["ids without the outer list", [1, 2]], ["nothing", undefined], ["a text", "ROMEO:"], ["texts", ["ROMEO:"]], ["undefined as a prompt", [undefined]]])(
    "refuses %s", async (_, prompts) => {
      const message = "generate: expected a list of prompts, each a list of token ids: [[5, 6, 7]]";
      await expect(generate(model, prompts as number[][], { maxTokens: 1 }).next()).rejects.toThrow(new TypeError(message));
    },
  );

  it.each<[unknown, string]>([[undefined, "nothing"], [null, "null"], [5, "5"]])("refuses %j as options", async (options, got) => {
    await expect(generate(model, [[1]], options as GenerateOptions).next()).rejects.toThrow(new TypeError(`generate: expected an object with maxTokens, got ${got}`));
  });

  it("refuses a prompt without a source for a Transformer, and values that are not models, and says what it expects", async () => {
    const { runtime } = model.weights;
    const transformer = new Transformer({ ...transformerPresets.tiny, vocabulary: 9 }).place(runtime);
    const expected = "generate: expected a model that continues text, such as GPT, or a model that decodes from a source, such as Transformer, got";
    const prompts = "generate: expected a list of prompts, each { source, tokens }";
    const others: [unknown, string][] = [
      [transformer, prompts], [new Session(transformer), prompts],
      [undefined, `${expected} undefined`], [{}, `${expected} Object`], [runtime, `${expected} Runtime`],
    ];
    for (const [other, message] of others) await expect(generate(other as GPT, [[3]], { maxTokens: 1 }).next()).rejects.toThrow(new TypeError(message));
  });

  it("also continues a Llama's prompts past its context", async () => {
    const llama = new Llama({ vocabulary: 23, block: 8, layers: 1, heads: 2, keyValueHeads: 1, width: 16, hidden: 16 }).place(model.weights.runtime, { seed: 1 });
    const steps: number[] = [];
    for await (const [id] of generate(llama, [[3, 1]], { maxTokens: 30, temperature: 1, seed: 2 })) steps.push(id!);
    expect(steps).toHaveLength(30);
  });
});
