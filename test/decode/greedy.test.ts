import { beforeAll, describe, expect, it } from "vitest";
import { greedy, type GreedyOptions } from "../../host/decode/greedy";
import { Session } from "../../host/decode/session";
import { GPT } from "../../host/models/gpt";
import { Llama } from "../../host/models/llama";
import type { BatchOf } from "../../host/models/inputs";
import { Transformer, transformerPresets, type TranslationInputs } from "../../host/models/transformer";
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

function copyBatch(step: number): BatchOf<TranslationInputs> {
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
  const decode = (sources: readonly (readonly number[])[], options = {}): Promise<number[][]> => greedy(model, sources, { start: START, end: END, ...options });

  it("copies at least 38 of 40 unseen sources after 300 steps on the copy task", async () => {
    const sources = sourcesAt(5000, 40);
    const copies = await decode(sources);
    expect(sources.filter((source, row) => source.join() === copies[row]!.join()).length).toBeGreaterThanOrEqual(38);
  });

  it("gives the same targets for a batch of different lengths as for each source alone", async () => {
    const sources = [[3], [4, 5, 6, 7, 8, 9], [9, 8], [3, 3, 4, 4]];
    const alone = [];
    for (const source of sources) alone.push(...(await decode([source])));
    expect(await decode(sources)).toEqual(alone);
  });

  it("gives the same targets for more sources than a session has rows as for all at once, and closes its rows", async () => {
    const sources = sourcesAt(6000, 40);
    const expected = await decode(sources);
    const session = new Session(model, { rows: 7, poison: true });
    for (let i = 0; i < 3; i++) expect(await greedy(session, sources, { start: START, end: END })).toEqual(expected);
    expect(session["openRows"].size + session["pool"].used).toBe(0);
    await session.open([{ tokens: [START], source: [3] }]);
    session.dispose();
  });

  it("gives the same targets for two concurrent calls on one session as for each alone", async () => {
    const sets = [sourcesAt(1, 9), sourcesAt(2, 5)];
    const session = new Session(model, { poison: true });
    const both = await Promise.all(sets.map((sources) => greedy(session, sources, { start: START, end: END })));
    expect(both).toEqual([await decode(sets[0]!), await decode(sets[1]!)]);
    session.dispose();
  });

  it("stops after maxTokens, and returns no targets for no sources", async () => {
    expect((await decode([[3, 4, 5, 6]], { maxTokens: 2 }))[0]).toHaveLength(2);
    expect(await decode([[3, 4, 5, 6]], { maxTokens: 0 })).toEqual([[]]);
    expect(await decode([])).toEqual([]);
  });

  it("accepts typed arrays, and limits maxTokens to the model's context", async () => {
    const expected = await decode([[3, 4]]);
    expect(await decode([Int32Array.of(3, 4) as unknown as number[]])).toEqual(expected);
    expect(await decode([[3, 4]], { maxTokens: 1000 })).toEqual(expected);
    const endless = (await decode([[3, 4]], { end: 0 }))[0]!;
    expect(endless.length).toBeLessThanOrEqual(16);
  });

  it.each<[unknown[], object, ErrorConstructor, string]>([
    [[3, 10], {}, RangeError, "greedy: source 0: token ids must be integers in [0, 10), got 10 at position 1"],
    [[3.5], {}, RangeError, "greedy: source 0: token ids must be integers in [0, 10), got 3.5 at position 0"],
    [[undefined], {}, RangeError, "greedy: source 0: token ids must be integers in [0, 10), got undefined at position 0"],
    [[], {}, RangeError, "greedy: source 0 has 0 tokens; the model takes 1 to 16"],
    [new Array<number>(17).fill(3), {}, RangeError, "greedy: source 0 has 17 tokens; the model takes 1 to 16"],
    [[3], { start: 10 }, RangeError, "greedy: start: token ids must be integers in [0, 10), got 10 at position 0"],
    [[3], { end: 10 }, RangeError, "greedy: end: token ids must be integers in [0, 10), got 10 at position 0"],
    [[3], { start: undefined }, TypeError, "greedy: start: expected an integer of at least 0, got nothing"],
    [[3], { end: undefined }, TypeError, "greedy: end: expected an integer of at least 0, got nothing"],
    [[3], { start: 1.5 }, RangeError, "greedy: start: expected an integer of at least 0, got 1.5"],
    [[3], { maxTokens: NaN }, RangeError, "greedy: maxTokens: expected an integer of at least 0, got NaN"],
    [[3], { maxTokens: -1 }, RangeError, "greedy: maxTokens: expected an integer of at least 0, got -1"],
    [[3], { maxToken: 1 }, TypeError, 'greedy: unknown field "maxToken"; did you mean "maxTokens"?'],
    [[3], { eos: 2 }, TypeError, 'greedy: unknown field "eos"; did you mean "end"?'],
  ])("refuses %j with %j", async (source, options, kind, message) => {
    await expect(decode([source as number[]], options)).rejects.toThrow(new kind(message));
  });

  it.each<[string, unknown, string]>([
    ["a source without the list of sources", [3, 4], "greedy: expected a list of sources, each a list of token ids: [[5, 6, 7]]"],
    ["nothing", undefined, "greedy: expected a list of sources, each a list of token ids: [[5, 6, 7]]"],
    ["a text", "3.3.19", "greedy: expected a list of sources, each a list of token ids: [[5, 6, 7]]"],
    ["texts", ["3.3.19"], "greedy: expected a list of sources, each a list of token ids: [[5, 6, 7]]"],
    ["undefined as a source", [undefined], "greedy: expected a list of sources, each a list of token ids: [[5, 6, 7]]"],
  ])("refuses %s", async (_, sources, message) => {
    await expect(decode(sources as number[][])).rejects.toThrow(new TypeError(message));
  });

  it.each<[unknown, string]>([
    [undefined, "greedy: expected an object with start, end, got nothing"],
    [null, "greedy: expected an object with start, end, got null"],
    [2, "greedy: expected an object with start, end, got 2"],
  ])("refuses %j as options", async (options, message) => {
    await expect(greedy(model, [[3]], options as GreedyOptions)).rejects.toThrow(new TypeError(message));
  });

  it("refuses models that continue text and values that are not models, and says what it expects", async () => {
    const expected = "greedy: expected a model that decodes from a source, such as Transformer, got";
    const config = { vocabulary: 10, block: 8, layers: 1, heads: 1, width: 4, hidden: 4 };
    const runtime = model.weights.runtime;
    const others: [unknown, string][] = [
      [new GPT(config).place(runtime), `${expected} GPT; for a decoder-only model use generate`],
      [new Llama(config).place(runtime), `${expected} Llama; for a decoder-only model use generate`],
      [new Session(new GPT(config).place(runtime)), `${expected} GPT; for a decoder-only model use generate`],
      [undefined, `${expected} undefined`], [{}, `${expected} Object`], [runtime, `${expected} Runtime`],
    ];
    for (const [other, message] of others) await expect(greedy(other as Transformer, [[3]], { start: 1, end: 2 })).rejects.toThrow(new TypeError(message));
  });

  it("is aborted by its signal", async () => {
    await expect(decode([[3]], { signal: AbortSignal.abort(new Error("enough")) })).rejects.toThrow("enough");
  });

  it("throws HeedError if the weights are NaN", async () => {
    const before = model.weights.read();
    model.embedding.weight.state!.write(new Float32Array(64).fill(NaN));
    await expect(decode([[3]])).rejects.toMatchObject({ name: "HeedError", code: "data" });
    model.weights.write(before);
  });
});
