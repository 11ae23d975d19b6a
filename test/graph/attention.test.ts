import { describe, expect, it } from "vitest";
import { Graph } from "../../host/graph/graph";
import { type AttentionOptions, crossAttention, selfAttention } from "../../host/graph/ops/attention";
import { scale } from "../../host/graph/ops/elementwise";
import type { Tensor } from "../../host/graph/tensor";
import { type Case, checkGradients, constantLike } from "./differences";
import * as oracle from "./oracle";
import { createRuntime } from "./runtime";

const runtime = await createRuntime();

const columns = (x: Float64Array, width: number, from: number, count: number): number[] =>
  Array.from({ length: (x.length / width) * count }, (_, i) => x[Math.floor(i / count) * width + from + (i % count)]!);

interface Example extends Omit<oracle.AttentionShape, "bias"> {
  /** The shape of a bias with a gradient. */
  bias?: readonly [number, number];
}

/** Attention of the example: on one tensor of queries, keys and values, or on two tensors if Tq and Tk differ. */
function caseOf(title: string, example: Example): Case {
  const { bias: biasShape, ...shape } = example;
  const { B, H, Hkv = H, Tq, Tk, D } = shape;
  const [query, keyValue] = [H * D, Hkv * D];
  const options = (x: Tensor, bias: Tensor | undefined): AttentionOptions => {
    const { scale, causal, window, past, lengths } = shape;
    const ids = (values: number[] | undefined): Tensor<"i32"> | undefined => values && constantLike(x, [B], values, "i32");
    return { heads: H, keyValueHeads: Hkv, headSize: D, scale, causal, window, past: ids(past), lengths: ids(lengths), bias };
  };
  const biasShapes = biasShape ? [[...biasShape, Tq, Tk]] : [];
  const biasOf = (values: Float64Array | undefined): oracle.AttentionShape["bias"] => values && { values, shape: biasShape! };
  if (Tq !== Tk) {
    return {
      title, shapes: [[B, Tq, query], [B, Tk, 2 * keyValue], ...biasShapes],
      op: (q, kv, bias) => crossAttention(q, kv!, options(q, bias)),
      oracle: (q, kv, bias) => oracle.attention(q, columns(kv!, 2 * keyValue, 0, keyValue), columns(kv!, 2 * keyValue, keyValue, keyValue), { ...shape, bias: biasOf(bias) }),
    };
  }
  const width = query + 2 * keyValue;
  return {
    title, shapes: [[B, Tq, width], ...biasShapes],
    op: (x, bias) => selfAttention(x, options(x, bias)),
    oracle: (x, bias) => oracle.attention(columns(x, width, 0, query), columns(x, width, query, keyValue), columns(x, width, query + keyValue, keyValue), { ...shape, bias: biasOf(bias) }),
  };
}

const self = { B: 2, H: 2, Tq: 5, Tk: 5, D: 3 };
const cross = { B: 2, H: 2, Tq: 3, Tk: 6, D: 3 };

describe("attention and its gradients match finite differences of the f64 oracle to 1e-4:", () => {
  it.each([
    caseOf("of a sequence to itself", self),
    caseOf("causal", { ...self, causal: true }),
    caseOf("from one sequence to another", cross),
    caseOf("causal, with more keys than queries", { ...cross, causal: true }),
    caseOf("lengths, one of them 0", { ...self, lengths: [3, 0] }),
    caseOf("four query heads that share two key-value heads", { ...self, H: 4, Hkv: 2 }),
    caseOf("three query heads that share one", { ...cross, H: 3, Hkv: 1, causal: true }),
    caseOf("a custom scale", { ...self, scale: 1.5 }),
    caseOf("a head size other than width/heads", { ...self, D: 5 }),
    caseOf("a window of two to the left and one to the right", { ...self, window: { left: 2, right: 1 } }),
    caseOf("a causal window of two", { ...cross, causal: true, window: { left: 2 } }),
    caseOf("a window of zero to both sides", { ...self, window: { left: 0, right: 0 } }),
    caseOf("a past for each row, causal", { ...cross, past: [0, 2], causal: true }),
    caseOf("a past for each row, in a window, with lengths", { ...cross, past: [1, 3], window: { left: 1, right: 1 }, lengths: [4, 5] }),
    caseOf("a past for which the first queries attend to no key", { ...cross, past: [-2, -1], causal: true }),
    caseOf("a bias for each row and head", { ...self, bias: [2, 2] }),
    caseOf("a bias for each head, shared by the rows, causal", { ...self, causal: true, bias: [1, 2] }),
    caseOf("a bias for each row, shared by the heads", { ...cross, bias: [2, 1], lengths: [4, 6] }),
    caseOf("one bias for all", { ...cross, bias: [1, 1], window: { left: 3 } }),
    caseOf("a bias with shared key-value heads", { ...self, H: 4, Hkv: 2, bias: [1, 4], causal: true }),
    caseOf("more keys than a block holds, and many queries", { B: 1, H: 1, Tq: 14, Tk: 66, D: 2, causal: true, window: { left: 60 } }),
  ].map((example) => [example.title, example] as const))("%s", (_, example) => checkGradients(runtime, example));

  it("queries, keys and values from one tensor that is also used elsewhere", () => {
    const { title, shapes, oracle } = caseOf("", { ...self, causal: true });
    checkGradients(runtime, {
      title, shapes, op: (x) => selfAttention(scale(scale(x, 2), 0.5), { heads: 2, causal: true }), oracle,
    });
  });
});

describe("attention counts", () => {
  const flops = (options: Partial<AttentionOptions>, [Tq, Tk] = [4, 4]): number => {
    const graph = new Graph(runtime);
    crossAttention(graph.input([1, Tq, 6]), graph.input([1, Tk, 12]), { heads: 2, ...options });
    return graph.instructions[0]!.flops;
  };

  it("four operations per channel for each pair of a query and a key it attends to", () => {
    expect(flops({})).toBe(4 * 6 * 16);
    expect(flops({ causal: true })).toBe(4 * 6 * (1 + 2 + 3 + 4));
    expect(flops({ causal: true }, [2, 4])).toBe(4 * 6 * (3 + 4));
    expect(flops({ window: { left: 1, right: 1 } })).toBe(4 * 6 * (2 + 3 + 3 + 2));
    expect(flops({ causal: true, window: { left: 1 } })).toBe(4 * 6 * (1 + 2 + 2 + 2));
  });
});
