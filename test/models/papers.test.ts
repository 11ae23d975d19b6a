import { describe, expect, it } from "vitest";
import { GPT, gptPresets } from "../../host/models/gpt";
import type { Model } from "../../host/models/model";
import { Transformer, transformerPresets } from "../../host/models/transformer";
import { lossProgram } from "../../host/train/evaluate";
import { createRuntime } from "../graph/runtime";

const runtime = await createRuntime();
const count = (model: Model): number => [...model.parameters().values()].reduce((sum, { size }) => sum + size, 0);

/** Root mean square and largest magnitude of a weight. */
function statistics(model: Model, name: string): { rms: number; largest: number } {
  const { data } = model.weights.read().get(name)!;
  return { rms: Math.sqrt(data.reduce((sum, x) => sum + x * x, 0) / data.length), largest: data.reduce((largest, x) => Math.max(largest, Math.abs(x)), 0) };
}

/** Kernels and layers of a training program's forward pass. */
function recorded(model: Model, names: Record<string, number[]>): string[] {
  const batch = Object.fromEntries(Object.entries(names).map(([name, shape]) => [name, { shape, data: new Int32Array(shape.reduce((a, b) => a * b)) }]));
  const { instructions } = lossProgram(model, batch, model.cells(), true).program.describe();
  return instructions.filter(({ backward }) => !backward).map(({ name, layer }) => `${layer}: ${name}`);
}

describe("GPT, as Radford et al. 2019 and nanoGPT have it", () => {
  it("has 124,439,808 parameters in GPT-2's shape", () => {
    expect(count(new GPT({ ...gptPresets.gpt2, vocabulary: 50257 }))).toBe(124_439_808);
  });

  it("starts from N(0, 0.02²), projections into the residual stream from 0.02/√(2·layers), and decays matrices only", () => {
    const model = new GPT({ vocabulary: 65, block: 64, layers: 8, heads: 2, width: 64, bias: true }).place(runtime, { seed: 1 });
    for (const name of ["embedding", "positions", "layers.0.attention.queryKeyValue", "layers.7.feedForward.up"]) {
      expect(statistics(model, `${name}.weight`).rms / 0.02).toBeCloseTo(1, 1);
    }
    for (const name of ["layers.0.attention.output", "layers.7.feedForward.down"]) expect(statistics(model, `${name}.weight`).rms / (0.02 / 4)).toBeCloseTo(1, 1);
    for (const [name, { decays }] of model.parameters()) expect([name, decays]).toEqual([name, !/bias$|norm\d?\.weight$/.test(name)]);
    model.dispose();
  });

  it("normalises before each sublayer, drops embeddings, attention weights and what each sublayer adds, and takes GELU by erf", () => {
    const model = new GPT({ vocabulary: 65, block: 8, layers: 1, heads: 2, width: 8, dropout: 0.1 }).place(runtime);
    expect(recorded(model, { tokens: [1, 8], targets: [1, 8] })).toEqual([
      "embedding: embeddingForward", "positions: positionsForward", ": dropout",
      "layers.0.norm1: layerNormForward", "layers.0.attention.queryKeyValue: matmulNT", "layers.0.attention: attentionForward",
      "layers.0.attention.output: matmulNT", "layers.0: dropout",
      "layers.0.norm2: layerNormForward", "layers.0.feedForward.up: matmulNT", "layers.0.feedForward.up: geluForward",
      "layers.0.feedForward.down: matmulNT", "layers.0: dropout",
      "norm: layerNormForward", "loss: matmulNT", "loss: crossEntropy", "loss: matmulNN", "loss: matmulTN", "loss: lossSum",
    ]);
    model.dispose();
  });
});

describe("the Transformer of Vaswani et al. 2017", () => {
  it("has 63 million parameters as base with the paper's 37,000 tokens (table 3: 65 million)", () => {
    expect(count(new Transformer({ ...transformerPresets.base, vocabulary: 37_000 }))).toBe(63_045_632);
  });

  it("starts each projection from Glorot's uniform distribution for its own shape, and embeddings from N(0, 1/width)", () => {
    const model = new Transformer({ ...transformerPresets.tiny, vocabulary: 99 }).place(runtime, { seed: 1 });
    const bounds = { "encoder.layers.0.attention.queryKeyValue": [64, 64], "decoder.layers.0.crossAttention.keyValue": [64, 64], "encoder.layers.1.feedForward.up": [64, 128] };
    for (const [name, [inputs, outputs]] of Object.entries(bounds)) {
      const bound = Math.sqrt(6 / (inputs! + outputs!));
      const { rms, largest } = statistics(model, `${name}.weight`);
      expect(largest).toBeLessThanOrEqual(bound);
      expect(largest).toBeGreaterThan(0.99 * bound);
      expect(rms / (bound / Math.sqrt(3))).toBeCloseTo(1, 1);
    }
    expect(statistics(model, "embedding.weight").rms * 8).toBeCloseTo(1, 1);
    model.dispose();
  });

  it("normalises after each residual, and drops the sums of embeddings and positions and each sublayer's output", () => {
    const config = { ...transformerPresets.base, vocabulary: 9, encoderLayers: 1, decoderLayers: 1, width: 16, hidden: 16, heads: 2 };
    const model = new Transformer(config).place(runtime);
    const lines = recorded(model, { source: [1, 4], sourceLengths: [1], target: [1, 3], targets: [1, 3] });
    const embedded = ["embedding: embeddingForward", "positions: sinusoidalPositions", "positions: positionsForward", ": dropout"];
    const of = (part: string): string[] => lines.filter((line) => line.startsWith(part)).map((line) => line.slice(part.length));
    expect(lines.slice(0, 4)).toEqual(embedded);
    expect(lines.filter((line) => line === ": dropout")).toHaveLength(2);
    expect(of("encoder.")).toEqual([
      "layers.0.attention.queryKeyValue: matmulNT", "layers.0.attention: attentionForward", "layers.0.attention.output: matmulNT", "layers.0: dropout",
      "layers.0.norm1: layerNormForward",
      "layers.0.feedForward.up: matmulNT", "layers.0.feedForward.down: matmulNT", "layers.0: dropout", "layers.0.norm2: layerNormForward",
    ]);
    expect(of("decoder.").filter((line) => /norm|dropout|attentionForward/.test(line))).toEqual([
      "layers.0.selfAttention: attentionForward", "layers.0: dropout", "layers.0.norm1: layerNormForward",
      "layers.0.crossAttention: attentionForward", "layers.0: dropout", "layers.0.norm2: layerNormForward",
      "layers.0: dropout", "layers.0.norm3: layerNormForward",
    ]);
    model.dispose();
  });
});
