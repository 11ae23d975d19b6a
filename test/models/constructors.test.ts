import { describe, expect, it } from "vitest";
import { Graph } from "../../host/graph/graph";
import { compile } from "../../host/graph/program";
import { GPT } from "../../host/models/gpt";
import { Llama } from "../../host/models/llama";
import { Transformer, transformerPresets } from "../../host/models/transformer";
import { LayerNorm } from "../../host/nn/layernorm";
import { RMSNorm } from "../../host/nn/rmsnorm";
import { Weights } from "../../host/nn/weights";
import { expectAllclose } from "../allclose";
import { createRuntime } from "../graph/runtime";
import { randomArray } from "../random";

const configs = {
  GPT: { vocabulary: 11, block: 8, layers: 1, heads: 2, width: 8 },
  Llama: { vocabulary: 11, block: 8, layers: 1, heads: 2, width: 8, hidden: 8 },
  Transformer: { ...transformerPresets.tiny, vocabulary: 11 },
};
type Family = keyof typeof configs;
const makers: Record<Family, new (config: never) => GPT | Llama | Transformer> = { GPT, Llama, Transformer };
const make = (family: Family, config: unknown): unknown => new makers[family](config as never);

const ofAll = (change: object, kind: ErrorConstructor, message: string): [Family, object, ErrorConstructor, string][] =>
  (Object.keys(configs) as Family[]).map((family) => [family, change, kind, message]);

describe("a model's constructor", () => {
  it.each<[Family, object, ErrorConstructor, string]>([
    ...ofAll({ vocabulary: undefined }, TypeError, "vocabulary: expected an integer of at least 1, got nothing"),
    ...ofAll({ vocabulary: 0 }, RangeError, "vocabulary: expected an integer of at least 1, got 0"),
    ...ofAll({ heads: "2" }, TypeError, 'heads: expected an integer of at least 1, got "2"'),
    ...ofAll({ width: -8 }, RangeError, "width: expected an integer of at least 1, got -8"),
    ...ofAll({ hidden: 1.5 }, RangeError, "hidden: expected an integer of at least 1, got 1.5"),
    ...ofAll({ dropout: 2 }, RangeError, "dropout: expected a number in [0, 1), got 2"),
    ...ofAll({ dropout: 1 }, RangeError, "dropout: expected a number in [0, 1), got 1"),
    ...ofAll({ dropout: NaN }, RangeError, "dropout: expected a number in [0, 1), got NaN"),
    ...ofAll({ dropout: "0.1" }, TypeError, 'dropout: expected a number in [0, 1), got "0.1"'),
    ...ofAll({ widht: 8 }, TypeError, 'unknown field "widht"; did you mean "width"?'),
    ["GPT", { n_layer: 12 }, TypeError, 'unknown field "n_layer"; did you mean "layers"?'],
    ["GPT", { layers: 0 }, RangeError, "layers: expected an integer from 1 to 1000, got 0"],
    ["GPT", { bias: 1 }, TypeError, "bias: expected true or false, got 1"],
    ["GPT", { activation: "gelu_new" }, RangeError, 'activation: expected "relu" or "gelu" or "geluTanh" or "silu", got "gelu_new"'],
    ["GPT", { tied: "no" }, TypeError, 'tied: expected true or false, got "no"'],
    ["GPT", { epsilon: 0 }, RangeError, "epsilon: expected a number above 0, got 0"],
    ["GPT", { block: Infinity }, RangeError, "block: expected an integer of at least 1, got Infinity"],
    ["GPT", { bloc: 8 }, TypeError, 'unknown field "bloc"; did you mean "block"?'],
    ["Llama", { hidden: undefined }, TypeError, "hidden: expected an integer of at least 1, got nothing"],
    ["Llama", { keyValueHead: 1 }, TypeError, 'unknown field "keyValueHead"; did you mean "keyValueHeads"?'],
    ["Llama", { keyValueHeads: 0 }, RangeError, "keyValueHeads: expected an integer of at least 1, got 0"],
    ["Llama", { rotaryBase: -1 }, RangeError, "rotaryBase: expected a number above 0, got -1"],
    ["Transformer", { encoderLayers: 0 }, RangeError, "encoderLayers: expected an integer from 1 to 1000, got 0"],
    ["Transformer", { decoderLayers: 1.5 }, RangeError, "decoderLayers: expected an integer from 1 to 1000, got 1.5"],
    ["Transformer", { norm: "none" }, RangeError, 'norm: expected "pre" or "post", got "none"'],
    ["Transformer", { smoothing: 1 }, RangeError, "smoothing: expected a number in [0, 1), got 1"],
    ["Transformer", { attentionDropout: -0.1 }, RangeError, "attentionDropout: expected a number in [0, 1), got -0.1"],
    ["Transformer", { block: 64 }, TypeError, 'unknown field "block"; the fields are vocabulary, maxLength, encoderLayers, decoderLayers, heads, width, hidden, norm, dropout, attentionDropout, hiddenDropout, smoothing, padding'],
  ])("%s refuses %j", (family, change, kind, message) => {
    expect(() => make(family, { ...configs[family], ...change })).toThrow(new kind(`${family}: ${message}`));
  });

  it.each((Object.keys(configs) as Family[]).flatMap((family) => [[family, undefined, "nothing"], [family, null, "null"], [family, [], "[]"], [family, 65, "65"]] as const))(
    "%s refuses %j as its config", (family, config, got) => {
      const fields = {
        GPT: "vocabulary, block, layers, heads, width", Llama: "vocabulary, block, layers, heads, width, hidden",
        Transformer: "vocabulary, maxLength, encoderLayers, decoderLayers, heads, width, hidden",
      }[family];
      expect(() => make(family, config)).toThrow(new TypeError(`${family}: expected an object with ${fields}, got ${got}`));
    },
  );

  it.each<[Family, object, string]>([
    ["GPT", { heads: 3 }, "attention: the width must be divisible by the number of heads, got width=8 heads=3"],
    ["Llama", { heads: 3 }, "attention: the width must be divisible by the number of heads, got width=8 heads=3"],
    ["Llama", { heads: 4, keyValueHeads: 3 }, "attention: the heads must be divisible by the key-value heads, got heads=4 keyValueHeads=3"],
    ["Transformer", { heads: 5 }, "attention: the width must be divisible by the number of heads, got width=64 heads=5"],
    ["Llama", { headSize: 3 }, "RotaryPositions: expected an even head size, got 3"],
  ])("%s refuses the heads of %j", (family, change, message) => {
    expect(() => make(family, { ...configs[family], ...change })).toThrow(new RangeError(message));
  });
});

describe("Model.place", () => {
  it("says how much memory is needed by a model that does not fit in 4 GiB", async () => {
    const model = new Transformer({ ...transformerPresets.base, width: 8192, hidden: 32768, vocabulary: 32000 });
    const runtime = await createRuntime();
    expect(() => model.place(runtime)).toThrow(/the model's weights need \d+\.\d GiB; WebAssembly's 32-bit memory ends at 4\.00 GiB/);
  });

  it("refuses a model that is already placed, and places it again after dispose", async () => {
    const runtime = await createRuntime();
    const model = new GPT(configs.GPT).place(runtime, { seed: 1 });
    expect(() => model.place(runtime)).toThrow(new TypeError("place: the model already has memory; dispose it first"));
    model.dispose();
    expect(() => model.weights).toThrow(new TypeError("the model has no memory yet: call model.place(runtime) first"));
    model.place(runtime, { seed: 1 });
  });

  it.each([-1, 1.5, NaN, 2 ** 53])("refuses the seed %d, and leaks no memory", async (seed) => {
    const runtime = await createRuntime();
    expect(() => new GPT(configs.GPT).place(runtime, { seed })).toThrow(RangeError);
    expect(runtime.memory.report().filter(({ owner }) => owner === "GPT")).toEqual([]);
  });
});

describe("norms", () => {
  const [rows, width] = [3, 10];
  const x = randomArray(rows * width, 1, -0.01, 0.01); // small enough for ε to matter

  it.each([1e-5, 1e-3, 1, undefined])("compute with ε = %s, to 1e-6", async (epsilon) => {
    const runtime = await createRuntime();
    const graph = new Graph(runtime);
    const input = graph.input([rows, width]);
    const layers = [new LayerNorm(width, { epsilon }), new RMSNorm(width, { epsilon })];
    for (const layer of layers) new Weights(runtime, layer.parameters()).initialize(0);
    const [layerNorm, rmsNorm] = layers.map((layer) => graph.keep(layer.forward(input)));
    const program = compile(graph);
    program.write(input, x);
    program.run();
    const expected = (centred: boolean): number[] => Array.from({ length: rows }, (_, r) => {
      const row = [...x.subarray(r * width, (r + 1) * width)];
      const mean = centred ? row.reduce((a, b) => a + b) / width : 0;
      const variance = row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / width;
      return row.map((value) => (value - mean) / Math.sqrt(variance + (epsilon ?? 1e-5)));
    }).flat();
    expectAllclose(program.read(layerNorm!), expected(true), { rtol: 1e-6, atol: 1e-6 });
    expectAllclose(program.read(rmsNorm!), expected(false), { rtol: 1e-6, atol: 1e-6 });
  });

  it.each([0, -1, NaN, Infinity])("refuse ε = %d", (epsilon) => {
    expect(() => new LayerNorm(8, { epsilon })).toThrow(new RangeError(`LayerNorm: epsilon: expected a number above 0, got ${epsilon}`));
    expect(() => new RMSNorm(8, { epsilon })).toThrow(new RangeError(`RMSNorm: epsilon: expected a number above 0, got ${epsilon}`));
  });
});
