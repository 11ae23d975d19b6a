import { beforeEach, describe, expect, it } from "vitest";
import type { Runtime } from "../../host/core/runtime";
import { Graph } from "../../host/graph/graph";
import { dropout } from "../../host/graph/ops/dropout";
import { add, scale } from "../../host/graph/ops/elementwise";
import { linear } from "../../host/graph/ops/linear";
import { compile, type Program } from "../../host/graph/program";
import type { Tensor } from "../../host/graph/tensor";
import { GPT } from "../../host/models/gpt";
import { randomGraph, seeds } from "./random";
import { createRuntime } from "./runtime";
import { randomArray } from "../random";

let runtime: Runtime;
beforeEach(async () => void (runtime = await createRuntime()));

interface Doubling {
  program: Program;
  x: Tensor;
  y: Tensor;
}

/** A program that doubles n numbers. */
function doubling(n: number): Doubling {
  const graph = new Graph(runtime);
  const x = graph.input([n]);
  const y = graph.keep(scale(x, 2));
  return { program: compile(graph), x, y };
}

const run = ({ program, x, y }: Doubling, values: number[]): number[] => {
  program.write(x, values);
  program.run();
  return [...program.read(y)];
};

describe("inputs that are written once", () => {
  it("serve any number of runs: a chain of three scales gives the same result each time", () => {
    const graph = new Graph(runtime);
    const x = graph.input([2]);
    const y = graph.keep(scale(scale(scale(x, 2), 2), 2));
    const program = compile(graph);
    program.write(x, [1, 2]);
    for (let i = 0; i < 3; i++) {
      program.run();
      expect([...program.read(y)]).toEqual([8, 16]);
    }
  });

  it("serve any number of runs of a GPT: token ids give the same logits each time", () => {
    const model = new GPT({ vocabulary: 11, block: 8, layers: 2, heads: 2, width: 16 }).place(runtime, { seed: 1 });
    const graph = new Graph(runtime);
    const tokens = graph.input([2, 8], "i32");
    const logits = graph.keep(model.logits(model.forward(tokens)));
    const program = compile(graph);
    program.write(tokens, [1, 2, 3, 4, 5, 6, 7, 8, 10, 9, 8, 7, 6, 5, 4, 3]);
    program.run();
    const first = program.read(logits);
    expect(first.every(Number.isFinite)).toBe(true);
    for (let i = 0; i < 3; i++) {
      program.run();
      expect(program.read(logits)).toEqual(first);
    }
    model.dispose();
  });

  it("give the same bits in a second run, forward and backward, on 100 random graphs", () => {
    for (const seed of seeds) {
      const { graph, inputs, kept } = randomGraph(runtime, seed);
      const program = compile(graph);
      inputs.forEach((input, i) => program.write(input, randomArray(input.size, seed + i)));
      const results = [1, 2].map(() => {
        program.run();
        return kept.map((tensor) => program.read(tensor));
      });
      expect(results[1], `seed ${seed}`).toEqual(results[0]);
      program.dispose();
    }
  });

  it("are not changed by accumulating gradients: dY of a residual around two layers", () => {
    const graph = new Graph(runtime);
    const [x, constant] = [graph.input([3], "f32", true), graph.input([3])];
    const branch = scale(scale(x, 2), 2);
    const y = add(add(x, constant), branch);
    const dY = graph.input([3]);
    graph.backward([y, dY]);
    const dX = graph.keep(graph.gradient(x)!);
    const program = compile(graph);
    program.write(x, [0, 0, 0]);
    program.write(constant, [0, 0, 0]);
    program.write(dY, [1, 2, 3]);
    for (let i = 0; i < 3; i++) {
      program.run();
      expect([...program.read(dX)]).toEqual([5, 10, 15]);
    }
  });

  it("can be written one at a time between runs", () => {
    const graph = new Graph(runtime);
    const [a, b] = [graph.input([1]), graph.input([1])];
    const sum = graph.keep(add(a, b));
    const program = compile(graph);
    program.write(a, [1]);
    program.write(b, [10]);
    program.run();
    program.write(b, [20]);
    program.run();
    expect([...program.read(sum)]).toEqual([21]);
  });

  it("take no more memory than necessary: an input that only the first instruction reads costs its own size", () => {
    const arena = (record: (x: Tensor) => Tensor): number => {
      const graph = new Graph(runtime);
      graph.keep(record(graph.input([1024])));
      return compile(graph).describe().arenaBytes;
    };
    expect(arena((x) => scale(x, 2))).toBe(2 * 4096);
    expect(arena((x) => scale(scale(scale(x, 2), 2), 2))).toBe(3 * 4096);
  });
});

describe("a program refuses", () => {
  const missing = (op: string, input: number, of: number): TypeError => new TypeError(`${op}: input ${input} of ${of} was never written`);
  const stale = (op: string): TypeError => new TypeError(`${op}: another program has used the arena since the inputs were written; write all of them again`);
  const noResult = new TypeError("read: the arena holds no result of this program; run it, and read before another program is written to or run");

  it("to run, or to be timed, if an input was never written", () => {
    const graph = new Graph(runtime);
    const [a, b] = [graph.input([3]), graph.input([3])];
    graph.keep(add(a, b));
    const program = compile(graph);
    expect(() => program.run()).toThrow(missing("run", 0, 2));
    program.write(a, [1, 2, 3]);
    expect(() => program.run()).toThrow(missing("run", 1, 2));
    expect(() => program.time(() => 0)).toThrow(missing("time", 1, 2));
    program.write(b, [1, 2, 3]);
    program.run();
  });

  it("to draw random numbers without a seed", () => {
    const graph = new Graph(runtime, { training: true });
    const x = graph.input([3]);
    graph.keep(dropout(x, 0.5));
    const program = compile(graph);
    program.write(x, [1, 2, 3]);
    expect(() => program.run()).toThrow(new TypeError("run: input 1 of 2 was never written (it is the random cell: call program.seed)"));
    program.seed(1, 0);
    program.run();
  });

  it("to run on inputs that another program has overwritten by a write, a run or a larger arena", () => {
    const [a, b] = [doubling(3), doubling(3)];
    const overwriting: (() => void)[] = [
      () => b.program.write(b.x, [4, 5, 6]),
      () => run(b, [4, 5, 6]),
      () => void doubling(1_000_000), // moves the arena
    ];
    for (const overwrite of overwriting) {
      expect(run(a, [1, 2, 3])).toEqual([2, 4, 6]);
      overwrite();
      expect(() => a.program.run()).toThrow(stale("run"));
      expect(() => a.program.time(() => 0)).toThrow(stale("time"));
      expect(() => a.program.read(a.y)).toThrow(noResult);
    }
    expect(run(a, [1, 2, 3])).toEqual([2, 4, 6]);
  });

  it("to run when another program came between two writes", () => {
    const graph = new Graph(runtime);
    const [a, b] = [graph.input([3]), graph.input([3])];
    const sum = graph.keep(add(a, b));
    const program = compile(graph);
    const other = doubling(3);
    program.write(a, [1, 2, 3]);
    expect(run(other, [7, 7, 7])).toEqual([14, 14, 14]);
    program.write(b, [4, 5, 6]);
    expect(() => program.run()).toThrow(missing("run", 0, 2));
    program.write(a, [1, 2, 3]);
    program.run();
    expect([...program.read(sum)]).toEqual([5, 7, 9]);
  });

  it("to be read before it has run, even after a write, and after another program has run", () => {
    const [a, b] = [doubling(3), doubling(3)];
    run(b, [1, 1, 1]);
    expect(() => a.program.read(a.y)).toThrow(noResult);
    a.program.write(a.x, [1, 2, 3]);
    expect(() => a.program.read(a.y)).toThrow(noResult);
    a.program.run();
    expect([...a.program.read(a.y)]).toEqual([2, 4, 6]);
    run(b, [1, 1, 1]);
    expect(() => a.program.read(a.y)).toThrow(noResult);
    a.program.write(a.x, [1, 2, 3]);
    expect(() => a.program.read(a.y)).toThrow(noResult);
  });

  it("to be read after a failed run", async () => {
    const a = doubling(3);
    run(a, [1, 2, 3]);
    expect(() => a.program.time(() => { throw new Error("no clock"); })).toThrow("no clock");
    expect(() => a.program.read(a.y)).toThrow(noResult);
    await runtime.dispose();
    expect(() => a.program.run()).toThrow("the runtime was disposed");
    expect(() => a.program.read(a.y)).toThrow(noResult);
  });

  it("any use after it is disposed, so that it cannot be mistaken for another program", () => {
    const [a, b] = [doubling(3), doubling(3)];
    run(a, [1, 2, 3]);
    a.program.dispose();
    const gone = new TypeError("the program was disposed, or the model that it belongs to was");
    for (const use of [() => a.program.run(), () => a.program.time(() => 0), () => a.program.write(a.x, [1, 2, 3]), () => a.program.read(a.y)]) expect(use).toThrow(gone);
    expect(() => b.program.run()).toThrow(missing("run", 0, 1));
  });
});

describe("a program whose inputs are all states or parameters", () => {
  it("runs after any other program", () => {
    const model = new GPT({ vocabulary: 5, block: 4, layers: 1, heads: 1, width: 4 }).place(runtime, { seed: 1 });
    const graph = new Graph(runtime);
    const y = graph.keep(linear(graph.use(model.positions.weight), model.embedding.weight));
    const program = compile(graph);
    program.run();
    const expected = program.read(y);
    run(doubling(100), new Array<number>(100).fill(3));
    expect(() => program.read(y)).toThrow("read: the arena holds no result of this program");
    program.run();
    expect(program.read(y)).toEqual(expected);
    model.dispose();
  });
});

it("a program works after the arena has moved for a larger program", () => {
  const small = doubling(3);
  expect(run(small, [1, 2, 3])).toEqual([2, 4, 6]);
  const before = runtime.memory.used;
  const large = doubling(3_000_000);
  expect(runtime.memory.used).toBeGreaterThan(before);
  runtime.memory.allocate(64, "test", "bytes");
  expect(run(large, new Array<number>(3_000_000).fill(4)).at(-1)).toBe(8);
  expect(run(small, [1, 2, 3])).toEqual([2, 4, 6]);
});
