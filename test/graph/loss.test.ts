import { afterAll, describe, expect, it } from "vitest";
import { Graph } from "../../host/graph/graph";
import type { Loss } from "../../host/graph/loss";
import { crossEntropy } from "../../host/graph/ops/crossentropy";
import { linear } from "../../host/graph/ops/linear";
import { compile } from "../../host/graph/program";
import type { Tensor } from "../../host/graph/tensor";
import { Cells } from "../../host/train/cells";
import { expectAllclose } from "../allclose";
import { randomArray } from "../random";
import * as oracle from "./oracle";
import { createRuntime } from "./runtime";

const runtime = await createRuntime();
const cells = new Cells(runtime, "test");
afterAll(() => cells.dispose());

const [R, K, C, V, W] = [6, 4, 5, 7, 3];
const words = [0, 6, -1, 3, 3, 2];
const kinds = [1, -1, -1, 2, 0, 0];
const counted = (targets: readonly number[]): number => targets.filter((target) => target >= 0).length;

/** Leaves: x [R, K], a shared layer [C, K], and the matrices of two heads [V, C] and [W, C]. */
const shapes = [[R, K], [C, K], [V, C], [W, C]];
const data = shapes.map(([rows = 0, columns = 0], i) => randomArray(rows * columns, i + 1));

type Record = (heads: { word: () => Loss; kind: () => Loss }) => Loss;

/** Runs a loss of two heads on a shared layer; returns its sum, its tokens and, with `training`, the gradients of the leaves. */
function run(record: Record, training = true): { sum: number; tokens: number; gradients: Float32Array[] } {
  const graph = new Graph(runtime, { training });
  const leaves = shapes.map((shape) => graph.input(shape, "f32", true));
  const [x, shared, wordHead, kindHead] = leaves as [Tensor, Tensor, Tensor, Tensor];
  const [wordTargets, kindTargets] = [graph.input([R], "i32"), graph.input([R], "i32")];
  const states = linear(x, shared);
  const loss = record({ word: () => crossEntropy(states, wordHead, wordTargets, { smoothing: 0.1 }), kind: () => crossEntropy(states, kindHead, kindTargets) });
  if (training) loss.backward(graph.use(cells.state));
  else loss.forward(graph.use(cells.state));
  const gradients = leaves.map((leaf) => graph.gradient(leaf)).map((gradient) => gradient && graph.keep(gradient));
  const program = compile(graph);
  leaves.forEach((leaf, i) => program.write(leaf, data[i]!));
  program.write(wordTargets, words);
  program.write(kindTargets, kinds);
  program.run();
  const read = gradients.map((gradient, i) => (gradient ? program.read(gradient) : new Float32Array(data[i]!.length)));
  program.dispose();
  return { ...cells.takeLoss(), gradients: read };
}

const exact = data.map((array) => Float64Array.from(array));
const states64 = ([x, shared]: Float64Array[]): number[] => oracle.linear(x!, shared!, null, R, C, K);
const word64 = (leaves: Float64Array[]): number => oracle.crossEntropy(states64(leaves), leaves[2]!, words, V, C, 0.1, -1);
const kind64 = (leaves: Float64Array[]): number => oracle.crossEntropy(states64(leaves), leaves[3]!, kinds, W, C, 0, -1);

function expectLoss(record: Record, loss: (leaves: Float64Array[]) => number, tokens: number): void {
  const { gradients, ...total } = run(record);
  expectAllclose([total.sum], [loss(exact)], { rtol: 1e-5 });
  expect(total.tokens).toBe(tokens);
  oracle.differentiate(loss, exact).forEach((expected, i) => expectAllclose(gradients[i]!, expected, { rtol: 1e-4, atol: 1e-5 }));
  expect(run(record, false)).toMatchObject(total); // forward only, as in evaluation
}

describe("losses can be added and scaled: values and gradients match finite differences in f64 to 1e-4", () => {
  it("for the sum of two heads, counted by the tokens of the first", () => {
    expectLoss(({ word, kind }) => word().plus(kind()), (leaves) => word64(leaves) + kind64(leaves), counted(words));
    expectLoss(({ word, kind }) => kind().plus(word()), (leaves) => word64(leaves) + kind64(leaves), counted(kinds));
  });

  it.each([0.5, -2, 1e-3])("for a loss times %d, with an unchanged number of tokens", (factor) => {
    expectLoss(({ word }) => word().times(factor), (leaves) => factor * word64(leaves), counted(words));
  });

  it("for sums of scaled losses, scaled again", () => {
    expectLoss(({ word, kind }) => word().times(3).plus(kind().times(0.5)).times(0.25), (leaves) => 0.25 * (3 * word64(leaves) + 0.5 * kind64(leaves)), counted(words));
    expectLoss(({ word, kind }) => word().plus(kind()).plus(word().times(-0.5)), (leaves) => 0.5 * word64(leaves) + kind64(leaves), counted(words));
  });

  it("for a loss added to itself: twice the loss, its tokens counted once", () => {
    expectLoss(({ word }) => { const loss = word(); return loss.plus(loss); }, (leaves) => 2 * word64(leaves), counted(words));
  });

  it("for a loss times 0: only its tokens", () => {
    const { sum, tokens, gradients } = run(({ word }) => word().times(0));
    expect([sum, tokens]).toEqual([0, counted(words)]);
    for (const gradient of gradients) expect(gradient.every((value) => value === 0)).toBe(true);
  });
});

describe("a loss over more rows than are computed at once", () => {
  it("has the gradients of its parts, added up, to 1e-5, also for a vocabulary matrix that is not a parameter", () => {
    const [R, C, V] = [100, 3, 22_000]; // 48 rows at a time
    const [x, w] = [randomArray(R * C, 1), randomArray(V * C, 2, -3, 3)];
    const gradients = (from: number, to: number): { sum: number; dX: Float32Array; dW: Float32Array } => {
      const graph = new Graph(runtime, { training: true });
      const [states, head, targets] = [graph.input([to - from, C], "f32", true), graph.input([V, C], "f32", true), graph.input([to - from], "i32")];
      crossEntropy(states, head, targets).backward(graph.use(cells.state));
      const [dX, dW] = [states, head].map((leaf) => graph.keep(graph.gradient(leaf)!)) as [Tensor, Tensor];
      const program = compile(graph);
      program.write(states, x.slice(C * from, C * to));
      program.write(head, w);
      program.write(targets, Array.from({ length: to - from }, (_, i) => (7 * (from + i)) % 50));
      program.run();
      const read = { dX: program.read(dX), dW: program.read(dW) };
      program.dispose();
      return { sum: cells.takeLoss().sum, ...read };
    };
    const [whole, parts] = [gradients(0, R), [gradients(0, 30), gradients(30, 75), gradients(75, R)]];
    expectAllclose([whole.sum], [parts.reduce((sum, part) => sum + part.sum, 0)], { rtol: 1e-6 });
    expectAllclose(whole.dX, parts.flatMap(({ dX }) => [...dX]), { rtol: 1e-5, atol: 1e-6 });
    expectAllclose(whole.dW, whole.dW.map((_, i) => parts.reduce((sum, { dW }) => sum + dW[i]!, 0)), { rtol: 1e-5, atol: 1e-6 });
  });
});

describe("a sum of losses", () => {
  it("has the sum of the gradients of its losses, to 1e-6", () => {
    const [word, kind, both] = [run(({ word }) => word()), run(({ kind }) => kind()), run(({ word, kind }) => word().plus(kind()))];
    expectAllclose([both.sum], [word.sum + kind.sum], { rtol: 1e-6 });
    both.gradients.forEach((gradient, i) => expectAllclose(gradient, word.gradients[i]!.map((value, j) => value + kind.gradients[i]![j]!), { rtol: 1e-6, atol: 1e-6 }));
  });

  it("leaves the added losses unchanged", () => {
    const { sum } = run(({ word, kind }) => {
      const loss = word();
      loss.plus(kind());
      loss.times(100);
      return loss;
    });
    expectAllclose([sum], [word64(exact)], { rtol: 1e-5 });
  });

  it("accumulates in the cells over runs until it is taken", () => {
    const graph = new Graph(runtime);
    const [x, head, targets] = [graph.input([R, C]), graph.input([V, C]), graph.input([R], "i32")];
    crossEntropy(x, head, targets).forward(graph.use(cells.state));
    const program = compile(graph);
    program.write(x, new Float32Array(R * C));
    program.write(head, new Float32Array(V * C));
    program.write(targets, words);
    for (let run = 0; run < 3; run++) program.run();
    const { sum, tokens } = cells.takeLoss();
    expectAllclose([sum], [3 * counted(words) * Math.log(V)], { rtol: 1e-6 });
    expect(tokens).toBe(3 * counted(words));
    expect(cells.takeLoss()).toEqual({ sum: 0, tokens: 0 });
  });
});
