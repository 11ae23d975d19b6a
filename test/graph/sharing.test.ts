import { afterAll, describe, expect, it } from "vitest";
import { Op } from "../../assembly/opcodes";
import type { Block } from "../../host/core/memory";
import { nodeWorkers } from "../../host/platform/node-workers";
import { Runtime } from "../../host/core/runtime";
import { accessesOf, Graph } from "../../host/graph/graph";
import { add, scale } from "../../host/graph/ops/elementwise";
import { matmul } from "../../host/graph/ops/linear";
import { kernelOf } from "../../host/graph/operands";
import { lifetimes, plan, type Plan } from "../../host/graph/planner";
import { compile } from "../../host/graph/program";
import { share } from "../../host/graph/sharing";
import { type Address, State, tensorOf } from "../../host/graph/tensor";
import { GPT } from "../../host/models/gpt";
import type { Batch } from "../../host/batch";
import type { Model } from "../../host/models/model";
import { Transformer, transformerPresets } from "../../host/models/transformer";
import { Cells } from "../../host/train/cells";
import { randomArray } from "../random";
import { randomGraph, seeds } from "./random";

const [alone, three] = await Promise.all([1, 3].map((threads) => Runtime.create({ build: "simd", threads, workers: nodeWorkers })));
afterAll(() => three!.dispose());

/** The arena's 64-byte lines that addresses cover. Working memory, of which each thread has its own part, is identified by its size. */
function lines(addresses: readonly Address[], { offsets }: Plan): { all: Set<number>; scratch: Map<number, number> } {
  const [all, scratch] = [new Set<number>(), new Map<number, number>()];
  for (const address of addresses) {
    const { storage } = tensorOf(address);
    const start = offsets.get(storage)! / 64;
    for (let line = start; line < start + storage.bytes / 64; line++) {
      if (storage.isScratch) scratch.set(line, storage.bytes);
      else all.add(line);
    }
  }
  return { all, scratch };
}

describe("sharing", () => {
  it("makes threads wait between any two instructions of which one writes what the other accesses, on 100 random graphs", () => {
    for (const seed of seeds) {
      const { graph } = randomGraph(three!, seed);
      const placed = plan(lifetimes(graph));
      const shared = share(graph, placed, 3, seed % 2 ? 0 : 5); // all threads run every instruction, or fewer run some of them
      const touched = graph.instructions.map((instruction) => {
        const { writes, reads } = accessesOf(instruction);
        return { writes: lines(writes, placed), reads: lines(reads, placed) };
      });
      graph.instructions.forEach((later, j) => {
        for (let i = j - 1; i >= 0 && shared[i]!.isFree; i--) {
          if (shared[i]!.participants === 1 && shared[j]!.participants === 1) continue;
          const [a, b] = [touched[i]!, touched[j]!];
          const meets = (x: Set<number>, y: Iterable<number>): boolean => [...y].some((line) => x.has(line));
          const clash =
            meets(a.writes.all, [...b.writes.all, ...b.reads.all, ...b.reads.scratch.keys()]) ||
            meets(b.writes.all, [...a.reads.all, ...a.reads.scratch.keys()]) ||
            meets(a.reads.all, b.reads.scratch.keys()) || meets(b.reads.all, a.reads.scratch.keys()) ||
            [...b.reads.scratch].some(([line, bytes]) => (a.reads.scratch.get(line) ?? bytes) !== bytes);
          expect(clash, `seed ${seed}: ${kernelOf(graph.instructions[i]!.op)} (${i}) and ${kernelOf(later.op)} (${j})`).toBe(false);
        }
      });
    }
  });

  it("changes no bit of any result if three threads share every instruction, on 100 random graphs", () => {
    for (const seed of seeds) {
      const [expected, actual] = [alone!, three!].map((runtime) => {
        const { graph, inputs, kept } = randomGraph(runtime, seed);
        const program = compile(graph, { grain: 0 });
        inputs.forEach((input, i) => program.write(input, randomArray(input.size, seed + i)));
        program.run();
        const result = kept.map((tensor) => program.read(tensor));
        program.dispose();
        return result;
      });
      expect(actual, `seed ${seed}`).toEqual(expected);
    }
  });

  const dropout = { dropout: 0.1, attentionDropout: 0.1, hiddenDropout: 0.1 };
  const ids = (shape: number[], seed: number): Batch[string] => ({ shape, data: Int32Array.from(randomArray(shape[0]! * (shape[1] ?? 1), seed), (x) => 1 + Math.floor(Math.abs(100 * x)) % 18) });
  const lengths = { shape: [4], data: Int32Array.of(17, 3, 11, 1) };
  it.each<[string, () => Model, Batch]>([
    ["a GPT's", () => new GPT({ vocabulary: 19, block: 70, layers: 1, heads: 3, width: 39, dropout: 0.1 }), { tokens: ids([5, 70], 1), targets: ids([5, 70], 2) }],
    [
      "an encoder-decoder's", () => new Transformer({ ...transformerPresets.tiny, ...dropout, norm: "post", smoothing: 0.1, vocabulary: 19 }),
      { source: ids([4, 17], 1), sourceLengths: lengths, target: ids([4, 9], 2), targets: ids([4, 9], 3) },
    ],
  ])("changes no bit of %s loss and gradients when three threads share every instruction", (_, create, batch) => {
    const [expected, actual] = [alone!, three!].map((runtime) => {
      const model = create().place(runtime, { seed: 1 });
      const gradients = model.weights.gradientBlock();
      const graph = new Graph(runtime, { training: true });
      const cells = new Cells(runtime, "test");
      const inputs = Object.fromEntries(Object.entries(batch).map(([name, { shape }]) => [name, graph.input(shape, "i32")]));
      model.loss(inputs).backward(graph.use(cells.state));
      const program = compile(graph, { grain: 0 });
      for (let run = 0; run < 5; run++) {
        if (run === 0) for (const [name, tensor] of Object.entries(inputs)) program.write(tensor, batch[name]!.data);
        program.seed(5, run);
        program.run();
      }
      return { ...cells.takeLoss(), gradients: model.weights.read(gradients) };
    });
    expect(actual).toEqual(expected);
    expect(expected!.sum).toBeGreaterThan(0);
  });

  it("compares states by block and offset: threads wait if two overlap, whichever tensors refer to them", () => {
    const n = 100_000;
    const block = three!.memory.allocate(4 * 3 * n, "test", "states");
    const other = three!.memory.allocate(4 * 3 * n, "test", "states");
    const at = (block: Block, element: number): State => new State(block, [n], "f32", 4 * element);
    const frees = (first: State, second: State): boolean => {
      const graph = new Graph(three!);
      for (const state of [first, second]) graph.emit(Op.Fill, { out: graph.use(state), n, value: 0 });
      return share(graph, plan(lifetimes(graph)), 3, 0)[0]!.isFree;
    };
    expect(frees(at(block, 0), at(block, n))).toBe(true);
    expect(frees(at(block, 0), at(other, 0))).toBe(true);
    expect(frees(at(block, 0), at(block, 0))).toBe(false);
    expect(frees(at(block, n), at(block, 1))).toBe(false);
    expect(frees(at(block, n), at(block, 2 * n - 1))).toBe(false);
  });

  it("gives work that is too small to split to one thread, and lets independent instructions run without waiting", () => {
    const graph = new Graph(three!);
    const [small, large] = [graph.input([4, 4]), graph.input([400, 400])];
    const products = [matmul(large, large), matmul(large, large)];
    [add(small, scale(small, 2)), add(products[0]!, products[1]!)].forEach((tensor) => graph.keep(tensor));
    const shared = share(graph, plan(lifetimes(graph), { reuse: false }), 3);
    expect(shared.map(({ participants }) => participants)).toEqual([3, 3, 1, 1, 3]);
    expect(shared.map(({ isFree }) => isFree)).toEqual([true, true, true, false, true]);
  });
});
