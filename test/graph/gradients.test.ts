import { expect, it, describe } from "vitest";
import { Graph } from "../../host/graph/graph";
import { compile } from "../../host/graph/program";
import type { Tensor } from "../../host/graph/tensor";
import { crossAttention, selfAttention } from "../../host/graph/ops/attention";
import { Activation, gelu, geluTanh, relu, silu } from "../../host/graph/ops/activation";
import { crossEntropy } from "../../host/graph/ops/crossentropy";
import { add, scale, transpose } from "../../host/graph/ops/elementwise";
import { addPositions, embedding } from "../../host/graph/ops/embedding";
import { layerNorm } from "../../host/graph/ops/layernorm";
import { linear, matmul } from "../../host/graph/ops/linear";
import { softmax } from "../../host/graph/ops/softmax";
import { Cells } from "../../host/train/cells";
import { expectAllclose } from "../allclose";
import { randomArray } from "../random";
import * as oracle from "./oracle";
import { createRuntime } from "./runtime";

const runtime = await createRuntime();
const RELATIVE = 1e-4;

interface Case {
  title: string;
  shapes: number[][];
  op: (...inputs: Tensor[]) => Tensor;
  oracle: (...inputs: Float64Array[]) => ArrayLike<number>;
}

/** Compares an op's output and gradients, under a random dOut, with the oracle's and its central differences. */
function check({ shapes, op, oracle }: Case): void {
  const graph = new Graph(runtime, { training: true });
  const inputs = shapes.map((shape) => graph.input(shape, "f32", true));
  const out = graph.keep(op(...inputs));
  const dOut = graph.input(out.shape);
  graph.backward([out, dOut]);
  const gradients = inputs.map((input) => graph.keep(graph.gradient(input)!));
  const program = compile(graph);

  const values = inputs.map((input, i) => randomArray(input.size, 10 + i));
  const dValues = randomArray(out.size, 99);
  inputs.forEach((input, i) => program.write(input, values[i]!));
  program.write(dOut, dValues);
  program.run();

  const exact = values.map((array) => Float64Array.from(array));
  expectAllclose(program.read(out), oracle(...exact), { rtol: 1e-5, atol: 1e-5 });
  const loss = (arrays: Float64Array[]): number => Array.from(oracle(...arrays)).reduce((sum, y, i) => sum + y * dValues[i]!, 0);
  numeric(loss, exact).forEach((expected, i) => {
    const largest = Math.max(...expected.map(Math.abs));
    expectAllclose(program.read(gradients[i]!), expected, { rtol: RELATIVE, atol: RELATIVE * Math.max(largest, 1e-3) });
  });
}
const numeric = oracle.differentiate;

const [R, C] = [5, 7];
const each = (f: (x: number) => number) => (x: Float64Array): Float64Array => x.map(f);
const columns = (x: Float64Array, width: number, from: number, count: number): number[] =>
  Array.from({ length: (x.length / width) * count }, (_, i) => x[Math.floor(i / count) * width + from + (i % count)]!);
const shape = { B: 2, H: 2, Tq: 5, Tk: 5, D: 3 };
const cross = { B: 2, H: 2, Tq: 3, Tk: 6, D: 3 };

const cases: Case[] = [
  { title: "linear with a bias", shapes: [[3, 5], [4, 5], [4]], op: (x, w, b) => linear(x, w, b), oracle: (x, w, b) => oracle.linear(x, w, b!, 3, 4, 5) },
  { title: "linear without a bias", shapes: [[2, 3, 5], [4, 5]], op: (x, w) => linear(x, w), oracle: (x, w) => oracle.linear(x, w, null, 6, 4, 5) },
  {
    title: "linear with ReLU in the epilogue", shapes: [[6, 5], [9, 5], [9]],
    op: (x, w, b) => linear(x, w, b, Activation.Relu), oracle: (x, w, b) => oracle.linear(x, w, b!, 6, 9, 5).map(oracle.activations.relu),
  },
  {
    title: "linear with GELU", shapes: [[6, 5], [9, 5], [9]],
    op: (x, w, b) => linear(x, w, b, Activation.Gelu), oracle: (x, w, b) => oracle.linear(x, w, b!, 6, 9, 5).map(oracle.activations.gelu),
  },
  {
    title: "matmul, batched", shapes: [[2, 3, 5], [2, 5, 4]], op: (a, b) => matmul(a, b),
    oracle: (a, b) => [0, 1].flatMap((n) => oracle.matmul(a.subarray(15 * n), b.subarray(20 * n), 3, 4, 5)),
  },
  { title: "relu", shapes: [[R, C]], op: relu, oracle: each(oracle.activations.relu) },
  { title: "gelu", shapes: [[R, C]], op: gelu, oracle: each(oracle.activations.gelu) },
  { title: "geluTanh", shapes: [[R, C]], op: geluTanh, oracle: each(oracle.activations.geluTanh) },
  { title: "silu", shapes: [[R, C]], op: silu, oracle: each(oracle.activations.silu) },
  { title: "softmax", shapes: [[R, C]], op: softmax, oracle: (x) => oracle.softmax(x, R, C) },
  { title: "layerNorm with a bias", shapes: [[R, C], [C], [C]], op: (x, w, b) => layerNorm(x, w, b), oracle: (x, w, b) => oracle.layerNorm(x, w, b!, R, C) },
  { title: "layerNorm without a bias", shapes: [[R, C], [C]], op: (x, w) => layerNorm(x, w), oracle: (x, w) => oracle.layerNorm(x, w, null, R, C) },
  { title: "add", shapes: [[R, C], [R, C]], op: add, oracle: (a, b) => a.map((x, i) => x + b[i]!) },
  { title: "add of a tensor to itself", shapes: [[R, C]], op: (x) => add(x, x), oracle: each((x) => 2 * x) },
  { title: "scale", shapes: [[R, C]], op: (x) => scale(x, -1.5), oracle: each((x) => -1.5 * x) },
  { title: "transpose", shapes: [[R, C]], op: transpose, oracle: (x) => x.map((_, i) => x[(i % R) * C + Math.floor(i / R)]!) },
  { title: "addPositions", shapes: [[2, 3, C], [4, C]], op: (x, table) => addPositions(x, table), oracle: (x, table) => x.map((value, i) => value + table[i % (3 * C)]!) },
  {
    title: "selfAttention", shapes: [[2, 5, 18]], op: (x) => selfAttention(x, { heads: 2 }),
    oracle: (x) => oracle.attention(columns(x, 18, 0, 6), columns(x, 18, 6, 6), columns(x, 18, 12, 6), shape),
  },
  {
    title: "selfAttention, causal", shapes: [[2, 5, 18]], op: (x) => selfAttention(x, { heads: 2, causal: true }),
    oracle: (x) => oracle.attention(columns(x, 18, 0, 6), columns(x, 18, 6, 6), columns(x, 18, 12, 6), { ...shape, causal: true }),
  },
  {
    title: "crossAttention", shapes: [[2, 3, 6], [2, 6, 12]], op: (q, kv) => crossAttention(q, kv, { heads: 2 }),
    oracle: (q, kv) => oracle.attention(q, columns(kv, 12, 0, 6), columns(kv, 12, 6, 6), cross),
  },
  {
    title: "a pre-norm residual", shapes: [[R, C], [C], [C], [C, C]], op: (x, w, b, m) => add(x, linear(layerNorm(x, w, b), m!)),
    oracle: (x, w, b, m) => oracle.linear(oracle.layerNorm(x, w, b!, R, C), m!, null, R, C, C).map((y, i) => y + x[i]!),
  },
  {
    title: "a post-norm residual", shapes: [[R, C], [C], [C], [C, C]], op: (x, w, b, m) => layerNorm(add(x, linear(x, m!)), w, b),
    oracle: (x, w, b, m) => oracle.layerNorm(oracle.linear(x, m!, null, R, C, C).map((y, i) => y + x[i]!), w, b!, R, C),
  },
  {
    title: "two residuals around one input", shapes: [[R, C], [C, C]], op: (x, m) => add(add(x, linear(x, m)), relu(x)),
    oracle: (x, m) => oracle.linear(x, m, null, R, C, C).map((y, i) => y + x[i]! + Math.max(x[i]!, 0)),
  },
];

describe("gradients match finite differences of the f64 oracle to 1e-4", () => {
  it.each(cases)("$title", check);

  it("embedding", () => {
    const ids = [3, 1, 3, 0];
    const graph = new Graph(runtime, { training: true });
    const [tokens, weight] = [graph.input([4], "i32"), graph.input([5, C], "f32", true)];
    const out = embedding(tokens, weight, 2);
    const dOut = graph.input(out.shape);
    graph.backward([out, dOut]);
    const gradient = graph.keep(graph.gradient(weight)!);
    const program = compile(graph);
    const dValues = randomArray(out.size, 1);
    program.write(tokens, ids);
    program.write(weight, randomArray(weight.size, 2));
    program.write(dOut, dValues);
    program.run();
    const expected = new Float64Array(weight.size);
    ids.forEach((id, n) => dValues.subarray(n * C, (n + 1) * C).forEach((d, c) => (expected[id * C + c]! += 2 * d)));
    expectAllclose(program.read(gradient), expected, { rtol: RELATIVE });
  });

  it.each([
    { rows: 9, V: 11, smoothing: 0 },
    { rows: 9, V: 11, smoothing: 0.1 },
    { rows: 110, V: 21_000, smoothing: 0.1, title: "in three chunks of rows" },
  ])("crossEntropy of $rows rows over $V ids, smoothing $smoothing", ({ rows, V, smoothing }) => {
    const width = 3;
    const graph = new Graph(runtime, { training: true });
    const [x, w] = [graph.input([rows, width], "f32", true), graph.input([V, width], "f32", true)];
    const targets = graph.input([rows], "i32");
    const cells = new Cells(runtime, "test");
    crossEntropy(x, w, targets, { smoothing, ignored: 2 }).backward(graph.use(cells.state));
    const [dX, dW] = [graph.keep(graph.gradient(x)!), graph.keep(graph.gradient(w)!)];
    const program = compile(graph);
    const values = [randomArray(x.size, 1), randomArray(w.size, 2)];
    const ids = Int32Array.from({ length: rows }, (_, r) => (r * 7) % 11);
    program.write(x, values[0]!);
    program.write(w, values[1]!);
    program.write(targets, ids);
    program.run();

    const exact = values.map((array) => Float64Array.from(array));
    const { sum, tokens } = cells.takeLoss();
    expect(tokens).toBe(ids.filter((id) => id !== 2).length);
    if (V > 1000) return expectChunked(program.read(dX), exact, ids, { V, width, smoothing, sum });
    const loss = ([x, w]: Float64Array[]): number => oracle.crossEntropy(x!, w!, ids, V, width, smoothing, 2);
    expectAllclose([sum], [loss(exact)], { rtol: 1e-5 });
    const [expectedX, expectedW] = numeric(loss, exact);
    expectAllclose(program.read(dX), expectedX!, { rtol: RELATIVE, atol: 1e-5 });
    expectAllclose(program.read(dW), expectedW!, { rtol: RELATIVE, atol: 1e-5 });
  });
});

/** Too large for differences at every element: the loss, and dX of each chunk's last row. */
function expectChunked(
  dX: ArrayLike<number>, [x, w]: Float64Array[], ids: Int32Array, { V, width, smoothing, sum }: { V: number; width: number; smoothing: number; sum: number },
): void {
  const rows = ids.length;
  expectAllclose([sum], [oracle.crossEntropy(x!, w!, ids, V, width, smoothing, 2)], { rtol: 1e-5 });
  for (const row of [47, 95, rows - 1]) {
    const target = ids.subarray(row, row + 1);
    const loss = ([x]: Float64Array[]): number => oracle.crossEntropy(x!, w!, target, V, width, smoothing, 2);
    const [expected] = numeric(loss, [x!.slice(row * width, (row + 1) * width)]);
    expectAllclose(Array.from({ length: width }, (_, c) => dX[row * width + c]!), expected!, { rtol: RELATIVE, atol: 1e-5 });
  }
}
