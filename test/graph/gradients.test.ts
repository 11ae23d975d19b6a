import { expect, it, describe } from "vitest";
import { Graph } from "../../host/graph/graph";
import { compile } from "../../host/graph/program";
import { Activation, gelu, geluTanh, relu, silu } from "../../host/graph/ops/activation";
import { crossEntropy } from "../../host/graph/ops/crossentropy";
import { add, gatherRows, multiply, scale, transpose } from "../../host/graph/ops/elementwise";
import { addPositions, embedding } from "../../host/graph/ops/embedding";
import { layerNorm } from "../../host/graph/ops/layernorm";
import { linear, matmul } from "../../host/graph/ops/linear";
import { rmsNorm } from "../../host/graph/ops/rmsnorm";
import { rotary } from "../../host/graph/ops/rotary";
import { softmax } from "../../host/graph/ops/softmax";
import { Cells } from "../../host/train/cells";
import { expectAllclose } from "../allclose";
import { randomArray } from "../random";
import * as oracle from "./oracle";
import { type Case, checkGradients, constantLike, RELATIVE } from "./differences";
import { createRuntime } from "./runtime";

const runtime = await createRuntime();
const numeric = oracle.differentiate;

const [R, C] = [5, 7];
const each = (f: (x: number) => number) => (x: Float64Array): Float64Array => x.map(f);
/** A table [5, 6] of cosines and sines; any values will do. */
const angles = randomArray(30, 5);

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
  { title: "multiply", shapes: [[R, C], [R, C]], op: multiply, oracle: (a, b) => a.map((x, i) => x * b[i]!) },
  { title: "multiply of a tensor by itself", shapes: [[R, C]], op: (x) => multiply(x, x), oracle: each((x) => x * x) },
  { title: "a gate: silu(x)·y, y used twice", shapes: [[R, C], [R, C]], op: (x, y) => add(multiply(silu(x), y), y), oracle: (x, y) => x.map((x, i) => (oracle.activations.silu(x) + 1) * y[i]!) },
  { title: "rmsNorm", shapes: [[R, C], [C]], op: (x, w) => rmsNorm(x, w), oracle: (x, w) => oracle.rmsNorm(x, w, R, C) },
  { title: "rmsNorm with ε = 0.5", shapes: [[R, C], [C]], op: (x, w) => rmsNorm(x, w, 0.5), oracle: (x, w) => oracle.rmsNorm(x, w, R, C, 0.5) },
  { title: "rmsNorm in a residual", shapes: [[R, C], [C]], op: (x, w) => add(x, rmsNorm(x, w)), oracle: (x, w) => oracle.rmsNorm(x, w, R, C).map((y, i) => y + x[i]!) },
  {
    title: "gatherRows", shapes: [[3, 4, C]], op: (x) => gatherRows(x, constantLike(x, [3], [2, 0, 3], "i32")),
    oracle: (x) => [2, 0, 3].flatMap((t, b) => [...x.subarray((4 * b + t) * C, (4 * b + t + 1) * C)]),
  },
  {
    title: "gatherRows of a tensor that is used elsewhere", shapes: [[2, 2, C], [2, C]], op: (x, y) => add(gatherRows(scale(x, 2), constantLike(x, [2], [1, 0], "i32")), y),
    oracle: (x, y) => [1, 0].flatMap((t, b) => [...x.subarray((2 * b + t) * C, (2 * b + t + 1) * C)].map((value, c) => 2 * value + y[b * C + c]!)),
  },
  {
    title: "rotary of two heads, with the columns after them unchanged", shapes: [[2, 3, 15]], op: (x) => rotary(x, constantLike(x, [5, 6], angles), { heads: 2, headSize: 6 }),
    oracle: (x) => oracle.rotary(x, angles, { B: 2, T: 3, C: 15, H: 2, D: 6, rotated: 6 }),
  },
  {
    title: "rotary of part of each head, with a past", shapes: [[2, 2, 14]],
    op: (x) => rotary(x, constantLike(x, [5, 4], angles.slice(0, 20)), { heads: 2, headSize: 7 }, constantLike(x, [2], [3, 1], "i32")),
    oracle: (x) => oracle.rotary(x, angles.slice(0, 20), { B: 2, T: 2, C: 14, H: 2, D: 7, rotated: 4, past: [3, 1] }),
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
  it.each(cases.map((example) => [example.title, example] as const))("%s", (_, example) => checkGradients(runtime, example));

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

/** Too large for differences at every element: checks the loss, and dX of each chunk's last row. */
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
