import { describe, expect, it } from "vitest";
import * as heed from "../../host/index";
import { createRuntime } from "../graph/runtime";

const runtime = await createRuntime();

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- the point is to pass what the types reject
const { Graph, KeyValues, ...loose } = heed as any;
const block = { width: 8, heads: 2, hidden: 4, norm: "pre" };
const attention = { width: 8, heads: 4 };
const feedForward = { width: 8, hidden: 4 };

type Case = [title: string, attempt: () => unknown, error: Error];
const axes = (what: string, got: string): RangeError => new RangeError(`${what}: every axis must be a positive integer, got [${got}]`);

const layers: Case[] = [
  ["Linear(-1, 2)", () => new loose.Linear(-1, 2), axes("Linear(inputs, outputs)", "-1,2")],
  ["Linear()", () => new loose.Linear(), axes("Linear(inputs, outputs)", "undefined,undefined")],
  ["Linear(2.5, 1)", () => new loose.Linear(2.5, 1), axes("Linear(inputs, outputs)", "2.5,1")],
  ["Linear with a misspelt option", () => new loose.Linear(2, 2, { bais: false }), new TypeError('Linear: unknown field "bais"; did you mean "bias"?')],
  ["Linear with null", () => new loose.Linear(2, 2, null), new TypeError("Linear: expected an object, got null")],
  ["Linear with a name for an initializer", () => new loose.Linear(2, 2, { initializer: "zero" }), new TypeError('Linear: initializer: expected an initializer, such as normal(0.02), got "zero"')],
  ["Embedding()", () => new loose.Embedding(), axes("Embedding(vocabulary, width)", "undefined,undefined")],
  ["Embedding with a scale of NaN", () => new loose.Embedding(2, 2, { scale: NaN }), new RangeError("Embedding: scale: expected a number, got NaN")],
  ["LearnedPositions()", () => new loose.LearnedPositions(), axes("LearnedPositions(length, width)", "undefined,undefined")],
  ["SinusoidalPositions()", () => new loose.SinusoidalPositions(), axes("SinusoidalPositions(length, width)", "undefined,undefined")],
  ["RotaryPositions of an odd size", () => new loose.RotaryPositions(4, 3), new RangeError("RotaryPositions: expected an even head size, got 3")],
  ["RotaryPositions of a negative base", () => new loose.RotaryPositions(4, 4, -1), new RangeError("RotaryPositions: expected a base above 0, got -1")],
  ["RotaryPositions of no size", () => new loose.RotaryPositions(4), axes("RotaryPositions(length, headSize)", "4,undefined")],
  ["LayerNorm(-1)", () => new loose.LayerNorm(-1), axes("LayerNorm(width)", "-1")],
  ["LayerNorm with ε = 0", () => new loose.LayerNorm(3, { epsilon: 0 }), new RangeError("LayerNorm: epsilon: expected a number above 0, got 0")],
  ["RMSNorm()", () => new loose.RMSNorm(), axes("RMSNorm(width)", "undefined")],
  ["RMSNorm with ε = NaN", () => new loose.RMSNorm(3, { epsilon: NaN }), new RangeError("RMSNorm: epsilon: expected a number above 0, got NaN")],
  ["SelfAttention()", () => new loose.SelfAttention(), new TypeError("SelfAttention: expected an object with width, heads, got nothing")],
  ["SelfAttention of a width that its heads do not divide", () => new loose.SelfAttention({ width: 7, heads: 2 }), new RangeError("attention: the width must be divisible by the number of heads, got width=7 heads=2")],
  ["SelfAttention without heads", () => new loose.SelfAttention({ width: 8, heads: 0 }), new RangeError("SelfAttention: heads: expected an integer of at least 1, got 0")],
  ["SelfAttention of 3 key-value heads for 4", () => new loose.SelfAttention({ ...attention, keyValueHeads: 3 }), new RangeError("attention: the heads must be divisible by the key-value heads, got heads=4 keyValueHeads=3")],
  ["SelfAttention with dropout 2", () => new loose.SelfAttention({ ...attention, dropout: 2 }), new RangeError("SelfAttention: dropout: expected a number in [0, 1), got 2")],
  ["CrossAttention with a misspelt field", () => new loose.CrossAttention({ ...attention, dropuot: 0.1 }), new TypeError('CrossAttention: unknown field "dropuot"; did you mean "dropout"?')],
  ["FeedForward()", () => new loose.FeedForward(), new TypeError("FeedForward: expected an object with width, hidden, got nothing")],
  ["FeedForward with activation 99", () => new loose.FeedForward({ ...feedForward, activation: 99 }), new TypeError("FeedForward: activation: expected a member of Activation, got 99")],
  ["FeedForward with dropout 1", () => new loose.FeedForward({ ...feedForward, dropout: 1 }), new RangeError("FeedForward: dropout: expected a number in [0, 1), got 1")],
  ["EncoderLayer without a norm", () => new loose.EncoderLayer({ width: 8, heads: 2, hidden: 4 }), new TypeError('EncoderLayer: norm: expected "pre" or "post", got nothing')],
  ["DecoderLayer({})", () => new loose.DecoderLayer({}), new TypeError("DecoderLayer: width: expected an integer of at least 1, got nothing")],
  ["Encoder()", () => new loose.Encoder(), new TypeError("Encoder: depth: expected an integer from 1 to 1000, got nothing")],
  ["Encoder of half a layer", () => new loose.Encoder(0.5, block), new RangeError("Encoder: depth: expected an integer from 1 to 1000, got 0.5")],
  ["Encoder with the norm mid", () => new loose.Encoder(1, { ...block, norm: "mid" }), new RangeError('Encoder: norm: expected "pre" or "post", got "mid"')],
  ["Decoder(1)", () => new loose.Decoder(1), new TypeError("Decoder: expected an object with width, heads, hidden, norm, got nothing")],
  ["Parameter of an empty axis", () => new loose.Parameter([2, 0], loose.constant(1)), axes("Parameter", "2,0")],
  ["Parameter without an initializer", () => new loose.Parameter([2]), new TypeError("Parameter: expected an initializer, such as normal(0.02), got undefined")],
  ["Table without a rule", () => new loose.Table([2, 2]), new TypeError("Table: expected a rule of kind sinusoidal or rotary, got undefined")],
  ["normal(-1)", () => loose.normal(-1), new RangeError("normal: expected a deviation of at least 0, got -1")],
  ["constant()", () => loose.constant(), new RangeError("constant: expected a finite number, got undefined")],
  ["Graph()", () => new Graph(), new TypeError("Graph: expected a runtime (await Runtime.create()), got undefined")],
  ["Graph with a misspelt option", () => new Graph(runtime, { trainig: true }), new TypeError('Graph: unknown field "trainig"; did you mean "training"?')],
  ["place()", () => new loose.GPT({ vocabulary: 4, block: 4, layers: 1, heads: 1, width: 4 }).place(), new TypeError("place: expected a runtime (await Runtime.create()), got undefined")],
  ["place with a misspelt option", () => new loose.GPT({ vocabulary: 4, block: 4, layers: 1, heads: 1, width: 4 }).place(runtime, { sed: 1 }), new TypeError('place: unknown field "sed"; did you mean "seed"?')],
];

const graph = new Graph(runtime);
const f32 = (...shape: number[]): heed.Tensor => graph.input(shape);
const i32 = (...shape: number[]): heed.Tensor<"i32"> => graph.input(shape, "i32");
const settings = { temperature: 1, topK: 0, seed: 1 };
const layout = { layers: 1, keyValueHeads: 1, headSize: 4 };

const ops: Case[] = [
  ["an input of f16", () => graph.input([2], "f16"), new TypeError('tensor: expected one of the dtypes f32, i32, f64, bf16, panels, int8, int8row, int4, got "f16"')],
  ["an input without a shape", () => graph.input(), new RangeError("tensor: every axis must be a positive integer, got undefined")],
  ["an input of a negative shape", () => f32(-2), axes("tensor", "-2")],
  ["the gradient of integers", () => graph.input([2], "i32", true), new TypeError("tensor: only f32 tensors have gradients, got i32")],
  ["activate(x, 99)", () => loose.activate(f32(2), 99), new TypeError("activate: expected a member of Activation, got 99")],
  ["activate(x, 'relu')", () => loose.activate(f32(2), "relu"), new TypeError("activate: expected a member of Activation, got relu")],
  ["linear with activation 7", () => loose.linear(f32(1, 2), f32(2, 2), null, 7), new TypeError("linear: expected a member of Activation, got 7")],
  ["sample with settings of another number of rows", () => loose.sample(f32(2, 4), i32(3, 16)), new RangeError("sample: expected settings of shape [2,16], got [3,16]")],
  ["sample with settings of another width", () => loose.sample(f32(2, 4), i32(2, 4)), new RangeError("sample: expected settings of shape [2,16], got [2,4]")],
  ["sample with settings of f32", () => loose.sample(f32(2, 4), f32(2, 16)), new TypeError("sample: settings: expected i32, got f32")],
  ["sample without settings", () => loose.sample(f32(2, 4)), new TypeError("sample: expected settings, got undefined")],
  ["settings of a negative seed", () => loose.samplerSettings({ ...settings, seed: -1 }), new RangeError("samplerSettings: seed: expected an integer in [0, 2^53), got -1")],
  ["settings of a temperature of NaN", () => loose.samplerSettings({ ...settings, temperature: NaN }), new RangeError("samplerSettings: temperature: expected a number of at least 0, got NaN")],
  ["settings of half a topK", () => loose.samplerSettings({ ...settings, topK: 1.5 }), new RangeError("samplerSettings: topK: expected an integer of at least 0, got 1.5")],
  ["keep of another graph's tensor", () => new Graph(runtime).keep(f32(2)), new TypeError("keep: a tensor of another graph cannot be used here; record both ops in one graph")],
  ["keep()", () => graph.keep(), new TypeError("keep: expected a tensor, got undefined")],
  ["use of something else", () => graph.use({}), new TypeError("use: expected a tensor, a parameter, a table or a state, got [object Object]")],
  ["scale of an array", () => loose.scale([1, 2], 2), new TypeError("scale: expected a tensor, got 1,2")],
  ["scale by a string", () => loose.scale(f32(2), "2"), new TypeError("scale: factor: expected a number, got 2")],
  ["add of one tensor", () => loose.add(f32(2)), new TypeError("add: expected b, got undefined")],
  ["layerNorm with ε = −1", () => loose.layerNorm(f32(2, 3), f32(3), null, -1), new RangeError("layerNorm: epsilon must be a positive number, got -1")],
  ["rmsNorm with ε = 0", () => loose.rmsNorm(f32(2, 3), f32(3), 0), new RangeError("rmsNorm: epsilon must be a positive number, got 0")],
  ["dropout by a string", () => loose.dropout(f32(2), "0.5"), new RangeError("dropout: expected a probability in [0, 1), got 0.5")],
  ["crossEntropy with smoothing 2", () => loose.crossEntropy(f32(2, 3), f32(5, 3), i32(2), { smoothing: 2 }), new RangeError("crossEntropy: smoothing: expected a number in [0, 1), got 2")],
  ["crossEntropy that ignores half an id", () => loose.crossEntropy(f32(2, 3), f32(5, 3), i32(2), { ignored: 1.5 }), new RangeError("crossEntropy: ignored: expected a 32-bit integer, got 1.5")],
  ["attention without options", () => loose.selfAttention(f32(2, 3, 12)), new TypeError("selfAttention: expected an object with heads, got nothing")],
  ["attention with a misspelt option", () => loose.selfAttention(f32(2, 3, 12), { heads: 2, casual: true }), new TypeError('selfAttention: unknown field "casual"; did you mean "causal"?')],
  ["attention with a scale of NaN", () => loose.crossAttention(f32(2, 3, 4), f32(2, 3, 8), { heads: 2, scale: NaN }), new RangeError("crossAttention: scale: expected a number above 0, got NaN")],
  ["attention with a negative window", () => loose.selfAttention(f32(2, 3, 12), { heads: 2, window: { left: -1 } }), new RangeError("selfAttention: window: left: expected an integer from 0 to 2^30, got -1")],
  ["attention with a bias of another shape", () => loose.selfAttention(f32(2, 3, 12), { heads: 2, bias: f32(3, 3) }), new RangeError("selfAttention: expected a bias of shape [2 or 1,2 or 1,3,3], got [3,3]")],
  ["keys and values in pages of another size", () => new KeyValues(layout, f32(2, 100), i32(2, 1), i32(2)), new RangeError("KeyValues: expected a pool of shape [pages,512], got [2,100]")],
  ["keys and values without a page table", () => new KeyValues(layout, f32(2, 512), i32(2), i32(2)), new RangeError("KeyValues: expected pages of shape [B,P], got [2]")],
  ["a layer that the layout does not have", () => new KeyValues(layout, f32(2, 512), i32(2, 1), i32(2)).layer(1), new RangeError("KeyValues: expected a layer from 0 to 0, got 1")],
  ["a loss times NaN", () => loose.crossEntropy(f32(2, 3), f32(5, 3), i32(2)).times(NaN), new RangeError("Loss.times: expected a finite number, got NaN")],
  ["a loss plus a number", () => loose.crossEntropy(f32(2, 3), f32(5, 3), i32(2)).plus(3), new TypeError("Loss.plus: expected a loss, got 3")],
  ["compile of something else", () => loose.compile({}), new TypeError("compile: expected a graph, got [object Object]")],
];

describe("invalid arguments are rejected, and the message says what was expected:", () => {
  it.each([...layers, ...ops])("%s", (_, attempt, error) => expect(attempt).toThrow(error));
});
