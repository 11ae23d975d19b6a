import { describe, expect, it } from "vitest";
import { pairBatch } from "../../host/data/pairbatch";
import { attentionWeights } from "../../host/models/attention";
import { GPT } from "../../host/models/gpt";
import { Llama } from "../../host/models/llama";
import { Transformer, transformerPresets } from "../../host/models/transformer";
import { createRuntime } from "../graph/runtime";

const runtime = await createRuntime();
const batch = { tokens: { shape: [1, 5], data: Int32Array.of(3, 4, 5, 6, 7) }, targets: { shape: [1, 5], data: new Int32Array(5) } };

/** The sums of the weights of each query. */
const sums = ({ shape, data }: { shape: readonly number[]; data: Float32Array }): number[] =>
  Array.from({ length: data.length / shape[3]! }, (_, row) => data.subarray(row * shape[3]!, (row + 1) * shape[3]!).reduce((a, b) => a + b, 0));

describe("attentionWeights", () => {
  it.each([
    ["GPT", new GPT({ vocabulary: 11, block: 8, layers: 2, heads: 2, width: 8 })],
    ["Llama", new Llama({ vocabulary: 11, block: 8, layers: 2, heads: 4, keyValueHeads: 2, width: 16, hidden: 16 })],
  ])("gives the weights of every layer and head of a %s: each query's sum to 1, and none looks ahead", (_, model) => {
    model.place(runtime, { seed: 1 });
    const weights = attentionWeights(model, batch);
    expect([...weights.keys()]).toEqual(["layers.0.attention", "layers.1.attention"]);
    for (const layer of weights.values()) {
      expect(layer.shape).toEqual([1, model.config.heads, 5, 5]);
      for (const sum of sums(layer)) expect(sum).toBeCloseTo(1, 5);
      layer.data.forEach((value, at) => expect(value > 0).toBe(at % 5 <= Math.floor(at / 5) % 5));
    }
    model.dispose();
  });

  it("gives a Transformer's self- and cross-attention, 0 for padding, for the layers chosen", () => {
    const model = new Transformer({ ...transformerPresets.tiny, vocabulary: 20 }).place(runtime, { seed: 1 });
    const pairs = pairBatch([{ source: [5, 6, 7], target: [8, 9] }, { source: [5], target: [8] }], { pad: 0, bos: 1, eos: 2 });
    const all = attentionWeights(model, pairs);
    expect([...all.keys()]).toEqual(["encoder.layers.0.attention", "encoder.layers.1.attention", "decoder.layers.0.selfAttention", "decoder.layers.0.crossAttention"]);
    const cross = all.get("decoder.layers.0.crossAttention")!;
    const S = pairs.source.shape[1]!;
    for (const sum of sums(cross)) expect(sum).toBeCloseTo(1, 5);
    cross.data.forEach((value, at) => expect(value > 0).toBe(at % S < (at < cross.data.length / 2 ? 3 : 1)));
    const chosen = attentionWeights(model, pairs, { layers: (path) => path.endsWith("crossAttention") });
    expect([...chosen.keys()]).toEqual(["decoder.layers.0.crossAttention"]);
    expect(chosen.get("decoder.layers.0.crossAttention")!.data).toEqual(cross.data);
    model.dispose();
  });

  it("refuses a batch that does not fit the model, and unknown options", () => {
    const model = new GPT({ vocabulary: 11, block: 4, layers: 1, heads: 2, width: 8 }).place(runtime);
    expect(() => attentionWeights(model, batch)).toThrow(RangeError);
    expect(() => attentionWeights(model, batch, { layer: 1 } as never)).toThrow(new TypeError('attentionWeights: unknown field "layer"; did you mean "layers"?'));
    model.dispose();
  });
});
