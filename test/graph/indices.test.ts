import { describe, expect, it } from "vitest";
import { Op } from "../../assembly/opcodes";
import { Graph } from "../../host/graph/graph";
import { crossEntropy } from "../../host/graph/ops/crossentropy";
import { gatherRows } from "../../host/graph/ops/elementwise";
import { embedding } from "../../host/graph/ops/embedding";
import { argmax, sample, samplerSettings } from "../../host/graph/ops/sampling";
import { compile } from "../../host/graph/program";
import { State, type Tensor } from "../../host/graph/tensor";
import { Cells } from "../../host/train/cells";
import { randomArray } from "../random";
import { createRuntime } from "./runtime";

const runtime = await createRuntime();
const WORDS = samplerSettings({ temperature: 1, topK: 0, seed: 0 }).length;

describe("ids that a program computes", () => {
  const choosers: [string, (logits: Tensor) => Tensor<"i32">][] = [["argmax", argmax], ["sample", (logits) => sample(logits, logits.graph.input([logits.rows, WORDS], "i32"))]];

  it.each(choosers)("by %s are rejected on recording if they may be out of range", (_, choose) => {
    const graph = new Graph(runtime);
    const ids = choose(graph.input([2, 8]));
    const refused = (op: string, below: number): RangeError => new RangeError(`${op}: expected indices in [0, ${below}), but the program computes them in [0, 8)`);
    expect(() => embedding(ids, graph.input([7, 4]))).toThrow(refused("embedding", 7));
    expect(() => gatherRows(graph.input([2, 5, 4]), ids)).toThrow(refused("gatherRows", 5));
    expect(() => crossEntropy(graph.input([2, 4]), graph.input([3, 4]), ids)).toThrow(refused("crossEntropy", 3));
    for (const V of [8, 9]) embedding(ids, graph.input([V, 4]));
    gatherRows(graph.input([2, 8, 4]), ids);
    crossEntropy(graph.input([2, 4]), graph.input([8, 4]), ids);
  });

  it("select rows of a table, rows of a sequence, and targets", () => {
    const graph = new Graph(runtime);
    const logits = graph.input([2, 5]);
    const ids = argmax(logits);
    const [table, x] = [graph.input([5, 3]), graph.input([2, 5, 3])];
    const [rows, gathered] = [graph.keep(embedding(ids, table)), graph.keep(gatherRows(x, ids))];
    const program = compile(graph);
    program.write(logits, [0, 1, 9, 2, 3, 4, 0, 0, 0, 1]);
    program.write(table, Float32Array.from({ length: 15 }, (_, i) => i));
    program.write(x, Float32Array.from({ length: 30 }, (_, i) => i));
    program.run();
    expect([...program.read(rows)]).toEqual([6, 7, 8, 0, 1, 2]);
    expect([...program.read(gathered)]).toEqual([6, 7, 8, 15, 16, 17]);
  });

  it("give rows of NaN and no gradient if the logits are NaN (id −1)", () => {
    const graph = new Graph(runtime, { training: true });
    const logits = graph.input([2, 5]);
    const ids = argmax(logits);
    const [table, x] = [graph.input([5, 3], "f32", true), graph.input([2, 5, 3], "f32", true)];
    const [rows, gathered] = [graph.keep(embedding(ids, table)), graph.keep(gatherRows(x, ids))];
    const dOut = graph.input([2, 3]);
    graph.backward([rows, dOut], [gathered, dOut]);
    const [dTable, dX] = [table, x].map((input) => graph.keep(graph.gradient(input)!)) as [Tensor, Tensor];
    const program = compile(graph);
    const count = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
    program.write(table, count(15));
    program.write(x, count(30));
    program.write(logits, [0, 1, 0, 0, 9, 0, NaN, 0, 0, 0]);
    program.write(dOut, [1, 2, 3, 100, 200, 300]);
    program.run();
    expect([...program.read(rows)]).toEqual([12, 13, 14, NaN, NaN, NaN]);
    expect([...program.read(gathered)]).toEqual([12, 13, 14, NaN, NaN, NaN]);
    expect([...program.read(dTable)]).toEqual(count(15).map((i) => Math.max(0, i - 11)));
    expect([...program.read(dX)]).toEqual(count(30).map((i) => (i >= 12 && i < 15 ? i - 11 : 0)));
  });

  it("make the loss and the gradient of their row NaN if they are targets and the logits are NaN (id −1)", () => {
    const graph = new Graph(runtime, { training: true });
    const logits = graph.input([2, 5]);
    const [x, weight] = [graph.input([2, 4], "f32", true), graph.input([5, 4])];
    const cells = new Cells(runtime, "test");
    crossEntropy(x, weight, argmax(logits), { ignored: 2 }).backward(graph.use(cells.state));
    const dX = graph.keep(graph.gradient(x)!);
    const program = compile(graph);
    program.write(x, randomArray(8, 1));
    program.write(weight, randomArray(20, 2));
    program.write(logits, [0, 1, 0, 0, 9, 0, NaN, 0, 0, 0]);
    program.run();
    expect([...program.read(dX)].map(Number.isNaN)).toEqual([false, false, false, false, true, true, true, true]);
    expect(cells.takeLoss()).toEqual({ sum: NaN, tokens: 2 });
    cells.dispose();
  });
});

describe("ids in a state, written by the host or another program,", () => {
  it.each([-1, 5, 2 ** 31 - 1, -(2 ** 31)])("give a row of NaN if they are out of range: %i", (bad) => {
    const block = runtime.memory.allocate(8, "test", "ids");
    const ids = new State(block, [2], "i32");
    const graph = new Graph(runtime);
    const table = graph.input([5, 3]);
    const rows = graph.keep(embedding(graph.use(ids), table));
    const program = compile(graph);
    program.write(table, Float32Array.from({ length: 15 }, (_, i) => i));
    ids.write([bad, 1]);
    program.run();
    expect([...program.read(rows)]).toEqual([NaN, NaN, NaN, 3, 4, 5]);
    expect(() => program.write(graph.use(ids), [bad, 1])).toThrow(`write: expected indices in [0, 5), got ${bad} at position 0`);
    block.free();
  });
});

describe("positions", () => {
  it("beyond their table give a row of NaN", () => {
    const graph = new Graph(runtime);
    const x = graph.input([2, 2, 3]);
    const past = graph.input([2], "i32");
    const table = graph.input([4, 3]);
    const out = graph.tensor([2, 2, 3]);
    graph.emit(Op.PositionsForward, { out, x, table, past, B: 2, T: 2, C: 3, L: 4 });
    graph.keep(out);
    const program = compile(graph);
    program.write(x, new Float32Array(12));
    program.write(table, Float32Array.from({ length: 12 }, (_, i) => i));
    program.write(past, [3, 1]);
    program.run();
    expect([...program.read(out)]).toEqual([9, 10, 11, NaN, NaN, NaN, 3, 4, 5, 6, 7, 8]);
  });
});
