import { describe, expect, it } from "vitest";
import { Cell } from "../../assembly/layouts";
import { Op } from "../../assembly/opcodes";
import { Graph } from "../../host/graph/graph";
import { Activation } from "../../host/graph/ops/activation";
import { crossAttention, selfAttention } from "../../host/graph/ops/attention";
import { crossEntropy } from "../../host/graph/ops/crossentropy";
import { add, gatherRows, scale } from "../../host/graph/ops/elementwise";
import { layerNorm } from "../../host/graph/ops/layernorm";
import { linear } from "../../host/graph/ops/linear";
import { compile } from "../../host/graph/program";
import { constant, Parameter } from "../../host/graph/parameter";
import type { Tensor } from "../../host/graph/tensor";
import { expectAllclose } from "../allclose";
import { randomArray } from "../random";
import * as oracle from "./oracle";
import { createRuntime } from "./runtime";

const runtime = await createRuntime();

/** Gradients of `out` = op(inputs) for a dOut of ones, in a graph with or without `training`. */
function gradients(shapes: number[][], op: (...inputs: Tensor[]) => Tensor, values: ArrayLike<number>[], training = true): Float32Array[] {
  const graph = new Graph(runtime, { training });
  const inputs = shapes.map((shape) => graph.input(shape, "f32", true));
  const out = op(...inputs);
  const dOut = graph.input(out.shape);
  graph.backward([out, dOut]);
  const kept = inputs.map((input) => graph.keep(graph.gradient(input)!));
  const program = compile(graph);
  inputs.forEach((input, i) => program.write(input, values[i]!));
  program.write(dOut, new Float32Array(out.size).fill(1));
  program.run();
  const read = kept.map((tensor) => program.read(tensor));
  program.dispose();
  return read;
}

describe("a gradient", () => {
  it("flows through an activation in a linear op's epilogue even outside training, to 1e-4", () => {
    const values = [randomArray(6, 1), randomArray(6, 2)];
    for (const [activation, f] of [[Activation.Gelu, oracle.activations.gelu], [Activation.Silu, oracle.activations.silu], [Activation.Relu, oracle.activations.relu]] as const) {
      const read = gradients([[2, 3], [2, 3]], (x, w) => linear(x, w, null, activation), values, false);
      const loss = ([x, w]: Float64Array[]): number => oracle.linear(x!, w!, null, 2, 2, 3).reduce((sum, y) => sum + f(y), 0);
      const expected = oracle.differentiate(loss, values.map((array) => Float64Array.from(array)));
      read.forEach((gradient, i) => expectAllclose(gradient, expected[i]!, { rtol: 1e-4, atol: 1e-5 }));
    }
  });

  it("reaches a layer norm's bias even if its weight needs none", () => {
    const graph = new Graph(runtime);
    const [x, w, b] = [graph.input([3, 4]), graph.input([4]), graph.input([4], "f32", true)];
    const out = layerNorm(x, w, b);
    const dOut = graph.input([3, 4]);
    graph.backward([out, dOut]);
    const dBias = graph.keep(graph.gradient(b)!);
    const program = compile(graph);
    for (const input of [x, w, b]) program.write(input, randomArray(input.size, 3));
    program.write(dOut, Float32Array.from({ length: 12 }, (_, i) => i));
    program.run();
    expect([...program.read(dBias)]).toEqual([12, 15, 18, 21]);
  });

  it("of a tensor that two ops share is the sum of both, whichever is recorded first", () => {
    const [x, y] = [randomArray(4, 1), randomArray(4, 2)];
    const shapes = [[4], [4]];
    for (const op of [
      (x: Tensor, y: Tensor) => add(add(scale(x, 2), y), x),
      (x: Tensor, y: Tensor) => add(x, add(y, scale(x, 2))),
      (x: Tensor, y: Tensor) => add(add(x, y), scale(add(x, x), 1)),
    ]) {
      const [dX, dY] = gradients(shapes, op, [x, y]);
      expect([...dX!]).toEqual([3, 3, 3, 3]);
      expect([...dY!]).toEqual([1, 1, 1, 1]);
    }
  });

  it("of several outputs is the sum of theirs, in one backward pass", () => {
    const graph = new Graph(runtime);
    const x = graph.input([3], "f32", true);
    const [double, triple] = [scale(x, 2), scale(x, 3)];
    const [dDouble, dTriple] = [graph.input([3]), graph.input([3])];
    graph.backward([double, dDouble], [triple, dTriple]);
    const dX = graph.keep(graph.gradient(x)!);
    const program = compile(graph);
    program.write(x, [0, 0, 0]);
    program.write(dDouble, [1, 10, 100]);
    program.write(dTriple, [1, 1, 2]);
    program.run();
    expect([...program.read(dX)]).toEqual([5, 23, 206]);
  });

  it("passed to backward, or kept, does not change when others are added", () => {
    const graph = new Graph(runtime);
    const [x, constant] = [graph.input([3], "f32", true), graph.input([3])];
    const dY = graph.keep(scale(constant, 2));
    const branch = scale(scale(x, 2), 2);
    const hidden = add(x, constant);
    let dHidden: Tensor | undefined;
    const spy = graph.tensor([3], { needsGradient: true }); // an op that passes its gradient on and keeps it
    graph.emit(Op.Copy, { out: spy, x: hidden, n: 3 });
    graph.differentiate(spy, (dOut) => {
      dHidden = graph.keep(scale(dOut, 1));
      graph.addGradient(hidden, dHidden);
    });
    graph.backward([add(spy, branch), dY]);
    const dX = graph.keep(graph.gradient(x)!);
    const program = compile(graph);
    program.write(x, [0, 0, 0]);
    program.write(constant, [1, 2, 3]);
    program.run();
    expect([...program.read(dX)]).toEqual([10, 20, 30]);
    expect([...program.read(dY)]).toEqual([2, 4, 6]);
    expect([...program.read(dHidden!)]).toEqual([2, 4, 6]);
  });

  it("is refused if it would be lost: a second backward pass, an intermediate, a cache", () => {
    const graph = new Graph(runtime);
    const x = graph.input([2, 3], "f32", true);
    const targets = graph.input([2], "i32");
    const hidden = scale(x, 2);
    const cells = graph.input([Cell.Bytes / 4]);
    const losses = [1, 2].map(() => crossEntropy(hidden, graph.input([5, 3], "f32", true), targets));
    losses[0]!.backward(cells);
    expect(graph.gradient(hidden)).toBeUndefined(); // its memory may hold another gradient by now
    const message = "backward: this graph already has a backward pass; pass all outputs in one call, or add the losses";
    expect(() => losses[1]!.backward(cells)).toThrow(new TypeError(message));
  });
});

describe("a graph rejects", () => {
  const graph = new Graph(runtime);
  const other = new Graph(runtime);
  const f32 = (...shape: number[]): Tensor => graph.input(shape);

  it("tensors of another graph, in any op", () => {
    expect(() => add(f32(2), other.input([2]))).toThrow("add: a tensor of another graph cannot be used here; record both ops in one graph");
  });

  it("gradients of another shape", () => {
    expect(() => graph.backward([graph.input([2, 3], "f32", true), f32(3)])).toThrow(new RangeError("backward: expected a gradient of shape [2,3], got [3]"));
  });

  it("any change after it is compiled", () => {
    const graph = new Graph(runtime);
    const y = scale(graph.input([3]), 2);
    compile(graph);
    const message = "the graph is already compiled and cannot be changed; record a new one";
    expect(() => scale(y, 2)).toThrow(message);
    expect(() => graph.keep(y)).toThrow(message);
  });

  it("parameters without memory", () => {
    expect(() => linear(f32(1, 2), new Parameter([2, 2], constant(0)))).toThrow("the model has no memory yet: call model.place(runtime) first");
  });

  it.each<[string, () => unknown, string]>([
    ["keys that are not sequences", () => crossAttention(f32(2, 3, 4), f32(2, 8), { heads: 2 }), "crossAttention: expected keys and values of shape [2,Tk,8] for queries [2,3,4], got [2,8]"],
    ["a width that is not three projections", () => selfAttention(f32(2, 3, 8), { heads: 1 }), "selfAttention: expected [B,T,3·C], C divisible by 1 heads, got [2,3,8]"],
    ["half a head", () => selfAttention(f32(2, 3, 12), { heads: 0.5 }), "selfAttention: heads: expected an integer of at least 1, got 0.5"],
    ["negative heads", () => selfAttention(f32(2, 3, 12), { heads: -2 }), "selfAttention: heads: expected an integer of at least 1, got -2"],
    ["an attention dropout of 1", () => selfAttention(f32(2, 3, 12), { heads: 2, dropout: 1 }), "selfAttention: dropout: expected a number in [0, 1), got 1"],
    ["lengths in f32", () => selfAttention(f32(2, 3, 12), { heads: 2, lengths: f32(2) as never }), "selfAttention: expected i32 lengths, got f32"],
    ["targets in f32", () => crossEntropy(f32(2, 3), f32(5, 3), f32(2) as never), "crossEntropy: expected i32 targets, got f32"],
    ["an index in f32", () => gatherRows(f32(2, 3, 4), f32(2) as never), "gatherRows: expected an i32 index, got f32"],
    ["an axis of length 0", () => graph.input([2, 0]), "tensor: every axis must be a positive integer, got [2,0]"],
  ])("%s", (_, record, message) => {
    expect(record).toThrow(message);
  });
});
