import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { Op } from "../assembly/opcodes";
import { Graph } from "../host/graph/graph";
import { SIGNATURES } from "../host/graph/instructions";
import { kernelOf, operandsOf } from "../host/graph/operands";
import { Slice } from "../host/graph/tensor";
import { createRuntime } from "./graph/runtime";

const root = new URL("../", import.meta.url);
interface Kernel {
  readonly name: string;
  readonly file: string;
  readonly operands: readonly { readonly name: string; readonly type: string; readonly dtype?: string }[];
}
const { generate, readKernels } = (await import(new URL("generate.mjs", root).href)) as { generate(kernels?: readonly Kernel[]): Record<string, string>; readKernels(): Kernel[] };
const runtime = await createRuntime();

describe("generate.mjs", () => {
  it.each(Object.entries(generate()))("produces %s exactly as committed", (path, text) => {
    expect(readFileSync(new URL(path, root), "utf8"), "run: node generate.mjs").toBe(text);
  });

  it("reads each kernel's name, file and operands from its signature", () => {
    const kernels = readKernels();
    expect(kernels.length).toBeGreaterThan(40);
    expect(kernels.find(({ name }) => name === "layerNormForward")).toEqual({
      name: "layerNormForward", file: "layernorm",
      operands: [
        { name: "out", type: "Out", dtype: "f32" }, { name: "mean", type: "Out", dtype: "f32" }, { name: "rstd", type: "Out", dtype: "f32" },
        { name: "x", type: "In", dtype: "f32" }, { name: "weight", type: "In", dtype: "f32" }, { name: "bias", type: "MaybeIn", dtype: "f32" },
        { name: "R", type: "Count", dtype: undefined }, { name: "C", type: "Count", dtype: undefined }, { name: "epsilon", type: "Scalar", dtype: undefined },
      ],
    });
  });

  it("rejects two kernels with the same name", () => {
    const [kernel] = readKernels();
    expect(() => generate([kernel!, { ...kernel!, file: "other" }])).toThrow(`${kernel!.name}: two kernels have this name`);
  });
});

describe("operandsOf", () => {
  it("matches the kernel's signature, for every instruction", () => {
    const kernels = readKernels();
    expect(Object.keys(SIGNATURES).length).toBe(kernels.length);
    kernels.forEach((kernel, i) => {
      const op = (i + 1) as Op; // Op.End is 0
      expect(kernelOf(op)).toBe(kernel.name);
      expect(operandsOf(op).map(({ name, kind, dtype, isOptional }) => `${name}: ${isOptional ? "maybe " : ""}${kind} ${dtype}`)).toEqual(
        kernel.operands.map(({ name, type, dtype }) => {
          const kind = type.replace("Maybe", "");
          return `${name}: ${type.startsWith("Maybe") ? "maybe " : ""}${kind[0]!.toLowerCase() + kind.slice(1)} ${dtype}`;
        }),
      );
    });
  });
});

describe("emit", () => {
  const graph = new Graph(runtime);
  const [out, x, ids, exact] = [graph.tensor([4]), graph.input([4]), graph.input([4], "i32"), graph.input([4], "f64")];
  const [weight, table] = [graph.input([3, 4]), graph.input([3, 4], "bf16")];
  const norm = { out, mean: graph.tensor([1]), rstd: graph.tensor([1]), x, weight: out, bias: null, R: 1, C: 4, epsilon: 1e-5 };
  const lookup = { out: graph.tensor([4, 4]), ids, weight, N: 4, V: 3, C: 4, scale: 1, format: 0 };

  it("accepts operands in any order, slices, booleans for flags, and null for optional arrays", () => {
    const before = graph.instructions.length;
    graph.emit(Op.Scale, { n: 2, factor: 3, x: new Slice(x, 1, 2), out: new Slice(out, 2, 2) });
    graph.emit(Op.LayerNormForward, norm);
    graph.emit(Op.Multiply, { out, a: x, b: x, n: 4, accumulate: true });
    graph.emit(Op.EmbeddingForward, { ...lookup, weight: table as never, format: 1 });
    expect(graph.instructions.slice(before).map(({ operands }) => operands.map((operand) => (typeof operand === "object" && operand !== null ? "array" : operand)))).toEqual([
      ["array", "array", 2, 3],
      ["array", "array", "array", "array", "array", null, 1, 4, 1e-5],
      ["array", "array", "array", 4, 1],
      ["array", "array", "array", 4, 3, 4, 1, 1],
    ]);
  });

  const refused: [string, () => void, string][] = [
    // @ts-expect-error missing
    ["a missing array", () => graph.emit(Op.Scale, { out, n: 4, factor: 2 }), "scale: x: expected a tensor, got undefined"],
    // @ts-expect-error missing
    ["a missing count", () => graph.emit(Op.Scale, { out, x, factor: 2 }), "scale: n: expected a 32-bit integer, got undefined"],
    // @ts-expect-error missing
    ["a missing scalar", () => graph.emit(Op.Scale, { out, x, n: 4 }), "scale: factor: expected a number, got undefined"],
    // @ts-expect-error missing
    ["a missing flag", () => graph.emit(Op.Multiply, { out, a: x, b: x, n: 4 }), "multiply: accumulate: expected a 32-bit integer, got undefined"],
    // @ts-expect-error missing: an absent optional array must be null
    ["a missing optional array", () => graph.emit(Op.LayerNormForward, { ...norm, bias: undefined }), "layerNormForward: bias: expected a tensor, got undefined"],
    // @ts-expect-error missing
    ["missing scratch", () => graph.emit(Op.Sample, { out: ids, logits: x, settings: ids, history: null, past: null, bias: null, R: 1, V: 4, L: 0 }), "sample: scratch: expected a number of bytes, got undefined"],
    // @ts-expect-error swapped
    ["a count for an array", () => graph.emit(Op.Scale, { out, x: 4, n: x, factor: 2 }), "scale: x: expected a tensor, got 4"],
    // @ts-expect-error swapped
    ["an array for a count", () => graph.emit(Op.Scale, { out, x, n: x, factor: 4 }), "scale: n: expected a 32-bit integer, got [object Object]"],
    // @ts-expect-error swapped
    ["ids for a weight", () => graph.emit(Op.LayerNormForward, { ...norm, weight: ids }), "layerNormForward: weight: expected f32, got i32"],
    // @ts-expect-error swapped
    ["f32 for ids", () => graph.emit(Op.EmbeddingForward, { ...lookup, ids: x }), "embeddingForward: ids: expected i32, got f32"],
    // @ts-expect-error f64
    ["f64 for f32", () => graph.emit(Op.Scale, { out, x: exact, n: 4, factor: 2 }), "scale: x: expected f32, got f64"],
    ["not a weight format", () => graph.emit(Op.EmbeddingForward, { ...lookup, weight: ids }), "embeddingForward: weight: expected a weight format, got i32"],
    // @ts-expect-error null
    ["null for an array that must be there", () => graph.emit(Op.Scale, { out, x: null, n: 4, factor: 2 }), "scale: x: expected a tensor, got null"],
    // @ts-expect-error null
    ["null for a count", () => graph.emit(Op.Scale, { out, x, n: null, factor: 2 }), "scale: n: expected a 32-bit integer, got null"],
    // @ts-expect-error unknown
    ["an unknown operand", () => graph.emit(Op.Scale, { out, x, n: 4, factor: 2, m: 1 }), "scale: there is no operand m; its operands are out, x, n, factor"],
    // @ts-expect-error a string
    ["a string for a scalar", () => graph.emit(Op.Scale, { out, x, n: 4, factor: "2" }), "scale: factor: expected a number, got 2"],
    // @ts-expect-error a boolean
    ["a boolean for a count", () => graph.emit(Op.Scale, { out, x, n: true, factor: 2 }), "scale: n: expected a 32-bit integer, got true"],
    ["half a count", () => graph.emit(Op.Scale, { out, x, n: 2.5, factor: 2 }), "scale: n: expected a 32-bit integer, got 2.5"],
    ["a count beyond 32 bits", () => graph.emit(Op.Scale, { out, x, n: 2 ** 31, factor: 2 }), "scale: n: expected a 32-bit integer, got 2147483648"],
    ["a count of NaN", () => graph.emit(Op.Scale, { out, x, n: NaN, factor: 2 }), "scale: n: expected a 32-bit integer, got NaN"],
    ["an array of another graph", () => graph.emit(Op.Scale, { out, x: new Graph(runtime).input([4]), n: 4, factor: 2 }), "scale: a tensor of another graph cannot be used here"],
    ["a slice of another graph", () => graph.emit(Op.Scale, { out, x: new Slice(new Graph(runtime).input([4]), 1), n: 4, factor: 2 }), "scale: a tensor of another graph cannot be used here"],
  ];

  it.each(refused)("rejects %s, as does the compiler where it can, and records nothing", (_, attempt, message) => {
    const before = graph.instructions.length;
    expect(attempt).toThrow(TypeError);
    expect(attempt).toThrow(message);
    expect(graph.instructions.length).toBe(before);
  });
});
