import { describe, expect, it } from "vitest";
import { Op } from "../../assembly/opcodes";
import { ProgramCache } from "../../host/graph/cache";
import { Graph } from "../../host/graph/graph";
import { add, scale } from "../../host/graph/ops/elementwise";
import { compile, type Program } from "../../host/graph/program";
import { State, type Tensor } from "../../host/graph/tensor";
import { createRuntime } from "./runtime";

const runtime = await createRuntime();
const { memory } = runtime;
const allocate = (bytes: number): ReturnType<typeof memory.allocate> => memory.allocate(bytes, "test", "cells");

/** A program that adds 1, 2, … to a state. */
function counting(state: State): Program {
  const graph = new Graph(runtime);
  const [cells, steps] = [graph.use(state), graph.use(new State(stepBlock, state.shape))];
  graph.emit(Op.Add, { out: cells, a: cells, b: steps, n: state.size });
  return compile(graph);
}
const stepBlock = allocate(4 * 8);
stepBlock.f32().set([1, 2, 3, 4, 5, 6, 7, 8]);

describe("a state", () => {
  it("keeps its elements across runs of any program, and can be used by several graphs", () => {
    const state = new State(allocate(16), [4]);
    const [one, other] = [counting(state), counting(state)];
    const graph = new Graph(runtime);
    const doubled = graph.keep(scale(graph.use(state), 2));
    const reading = compile(graph);
    one.run();
    other.run();
    reading.run();
    expect([...reading.read(doubled)]).toEqual([4, 8, 12, 16]);
    one.run();
    expect([...state.read()]).toEqual([3, 6, 9, 12]);
  });

  it("is one tensor in a graph, however often it is used", () => {
    const graph = new Graph(runtime);
    const state = new State(allocate(16), [2, 2]);
    expect(graph.use(state)).toBe(graph.use(state));
    expect(graph.use(state).shape).toEqual([2, 2]);
  });

  it("can be written and read by the host, in whole or in part, between runs and while another program uses the arena", () => {
    const state = new State(allocate(16), [4]);
    const graph = new Graph(runtime);
    const symbol = graph.use(state);
    graph.emit(Op.Scale, { out: symbol, x: symbol, n: 4, factor: 2 });
    const program = compile(graph);
    state.write([1, 2, 3, 4]);
    state.write([7, 8], 2);
    program.run();
    expect([...state.read()]).toEqual([2, 4, 14, 16]);
    program.write(symbol, [1, 1, 1, 1]);
    counting(new State(stepBlock, [8])).describe();
    expect([...program.read(symbol)]).toEqual([1, 1, 1, 1]);
    expect(() => state.write([1, 2], 3)).toThrow(new RangeError("cells: expected at most 1 values from element 3, got 2"));
    for (const from of [-1, 0.5, NaN]) expect(() => state.write([1], from)).toThrow(RangeError);
    expect(() => state.write([1, "2" as never])).toThrow(new TypeError("cells: expected numbers, got 2 at position 1"));
    expect([...state.read()]).toEqual([1, 1, 1, 1]);
  });

  it("of i32 accepts only 32-bit integers", () => {
    const state = new State(allocate(8), [2], "i32");
    state.write([-(2 ** 31), 2 ** 31 - 1]);
    for (const bad of [1.5, NaN, 2 ** 31, Infinity]) expect(() => state.write([0, bad])).toThrow(new TypeError(`cells: expected 32-bit integers, got ${bad} at position 1`));
    expect([...state.read()]).toEqual([-(2 ** 31), 2 ** 31 - 1]);
  });

  it("gives access to some of its rows, in the same memory", () => {
    const state = new State(allocate(64), [4, 2], "f64");
    state.write([1, 2, 3, 4, 5, 6, 7, 8]);
    const rows = state.rowsFrom(1, 2);
    expect([rows.shape, [...rows.read()]]).toEqual([[2, 2], [3, 4, 5, 6]]);
    rows.write([9], 3);
    expect([...state.read()]).toEqual([1, 2, 3, 4, 5, 9, 7, 8]);
    expect(() => state.rowsFrom(3, 2)).toThrow(RangeError);
  });

  it("must fit in its block and have a valid shape and dtype", () => {
    const block = allocate(16);
    expect(new State(block, [2], "f32", 8).size).toBe(2);
    expect(() => new State(block, [5])).toThrow(new RangeError("test: cells: expected a range within its 16 bytes, got 0 to 20"));
    expect(() => new State(block, [3], "f32", 8)).toThrow(RangeError);
    expect(() => new State(block, [2], "f32", -8)).toThrow(RangeError);
    for (const shape of [[0], [-1], [1.5], [NaN], 4]) expect(() => new State(block, shape as number[])).toThrow(RangeError);
    expect(() => new State(block, [2], "f16" as "f32")).toThrow(new TypeError('State: expected one of the dtypes f32, i32, f64, bf16, panels, int8, int8row, int4, got "f16"'));
    block.free();
    expect(() => new State(block, [2])).toThrow("test: cells: this memory was freed; its owner was disposed");
  });
});

describe("a program relinks its addresses", () => {
  it("after a state's block has grown and another owner uses the old range", () => {
    const block = allocate(4 * 4);
    const state = new State(block, [4]);
    const program = counting(state);
    program.run();
    const old = block.address;
    allocate(64); // prevents the block from growing in place
    block.resize(4 * 1000);
    expect(block.address).not.toBe(old);
    const others = Array.from({ length: 3 }, () => allocate(64));
    for (const other of others) other.f32().fill(100);
    program.run();
    expect([...state.read()]).toEqual([2, 4, 6, 8]);
    expect([...block.f32(16, 10)]).toEqual(new Array(10).fill(0));
    for (const other of others) expect([...other.f32()]).toEqual(new Array(16).fill(100));
  });

  it("and throws, without touching memory, if its block was freed or has become too small", () => {
    const block = allocate(4 * 4);
    const program = counting(new State(block, [4]));
    program.run();
    block.resize(12);
    const next = allocate(64);
    expect(() => program.run()).toThrow(new RangeError("test: cells: expected a range within its 12 bytes, got 0 to 16"));
    block.free();
    const successor = allocate(64);
    expect(() => program.run()).toThrow(new TypeError("test: cells: this memory was freed; its owner was disposed"));
    for (const other of [next, successor]) expect(other.f32().every((value) => value === 0)).toBe(true);
  });

  it("after a failed resize has left the block empty", () => {
    const block = allocate(4 * 4);
    const program = counting(new State(block, [4]));
    program.run();
    expect(() => block.resize(2 ** 32, { keep: false })).toThrow("test: cells needs 4.00 GiB");
    expect(() => program.run()).toThrow(new RangeError("test: cells: expected a range within its 0 bytes, got 0 to 16"));
  });
});

describe("ProgramCache", () => {
  const record = (factor: number) => (graph: Graph): { x: Tensor; y: Tensor } => {
    recorded.push(factor);
    const x = graph.input([2]);
    return { x, y: graph.keep(add(scale(x, factor), x)) };
  };
  const recorded: number[] = [];

  it("records a key once, disposes the least recently used program beyond its capacity, and finally all of them", () => {
    const before = memory.report();
    const programs = new ProgramCache(runtime, 2);
    const run = (factor: number): { program: Program; result: number[] } => {
      const { program, tensors } = programs.get(`times ${factor}`, record(factor));
      program.write(tensors.x, [1, 2]);
      program.run();
      return { program, result: [...program.read(tensors.y)] };
    };
    const [one, two] = [run(1), run(2)];
    expect([one.result, two.result]).toEqual([[2, 4], [3, 6]]);
    expect(run(1).program).toBe(one.program);
    const used = memory.used;
    run(3); // evicts 2
    expect(memory.used).toBe(used);
    expect(() => two.program.run()).toThrow("the program was disposed");
    expect(run(1).program).toBe(one.program);
    expect(run(2).result).toEqual([3, 6]);
    expect(recorded).toEqual([1, 2, 3, 2]);
    programs.dispose();
    expect(() => one.program.run()).toThrow("the program was disposed");
    const arena = "the arena of intermediate results";
    const apartFromArena = (blocks: typeof before): typeof before => blocks.filter(({ name }) => name !== arena);
    expect(apartFromArena(memory.report())).toEqual(apartFromArena(before));
  });
});
