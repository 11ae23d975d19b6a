import { afterAll, describe, expect, it } from "vitest";
import { nodeWorkers } from "../../host/cli/workers";
import { Runtime } from "../../host/core/runtime";
import { Graph, type Instruction, storageOf } from "../../host/graph/graph";
import { add, scale } from "../../host/graph/ops/elementwise";
import { matmul } from "../../host/graph/ops/linear";
import { lifetimes, plan, type Plan } from "../../host/graph/planner";
import { compile } from "../../host/graph/program";
import { share } from "../../host/graph/sharing";
import { randomArray } from "../random";
import { randomGraph, seeds } from "./random";

const [alone, three] = await Promise.all([1, 3].map((threads) => Runtime.create({ build: "simd", threads, workers: nodeWorkers })));
afterAll(() => three!.dispose());

/** The arena's 64-byte lines that an instruction touches. Working memory, of which each thread has its own, is told apart by its size. */
function lines(addresses: Instruction["inputs"], { offsets }: Plan): { all: Set<number>; scratch: Map<number, number> } {
  const [all, scratch] = [new Set<number>(), new Map<number, number>()];
  for (const address of addresses) {
    const storage = storageOf(address);
    if (!storage) continue;
    const start = offsets.get(storage)! / 64;
    for (let line = start; line < start + storage.bytes / 64; line++) {
      if (storage.isScratch) scratch.set(line, storage.bytes);
      else all.add(line);
    }
  }
  return { all, scratch };
}

describe("sharing", () => {
  it("lets threads wait between any two instructions of which one writes what the other touches, on 100 random graphs", () => {
    for (const seed of seeds) {
      const { graph } = randomGraph(three!, seed);
      const placed = plan(lifetimes(graph));
      const shared = share(graph, placed, 3, seed % 2 ? 0 : 5); // every instruction by all, or some by fewer
      const touched = graph.instructions.map(({ outputs, inputs }) => ({ outputs: lines(outputs, placed), inputs: lines(inputs, placed) }));
      graph.instructions.forEach((later, j) => {
        for (let i = j - 1; i >= 0 && shared[i]!.isFree; i--) {
          if (shared[i]!.takers === 1 && shared[j]!.takers === 1) continue;
          const [a, b] = [touched[i]!, touched[j]!];
          const meets = (x: Set<number>, y: Iterable<number>): boolean => [...y].some((line) => x.has(line));
          const clash =
            meets(a.outputs.all, [...b.outputs.all, ...b.inputs.all, ...b.inputs.scratch.keys()]) ||
            meets(b.outputs.all, [...a.inputs.all, ...a.inputs.scratch.keys()]) ||
            meets(a.inputs.all, b.inputs.scratch.keys()) || meets(b.inputs.all, a.inputs.scratch.keys()) ||
            [...b.inputs.scratch].some(([line, bytes]) => (a.inputs.scratch.get(line) ?? bytes) !== bytes);
          expect(clash, `seed ${seed}: ${graph.instructions[i]!.name} (${i}) and ${later.name} (${j})`).toBe(false);
        }
      });
    }
  });

  it("changes no bit of any result when three threads share every instruction, on 100 random graphs", () => {
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

  it("leaves what is too small to split to one thread, and lets independent instructions follow each other", () => {
    const graph = new Graph(three!);
    const [small, large] = [graph.input([4, 4]), graph.input([400, 400])];
    const products = [matmul(large, large), matmul(large, large)];
    [add(small, scale(small, 2)), add(products[0]!, products[1]!)].forEach((tensor) => graph.keep(tensor));
    const shared = share(graph, plan(lifetimes(graph), { reuse: false }), 3);
    expect(shared.map(({ takers }) => takers)).toEqual([3, 3, 1, 1, 3]);
    expect(shared.map(({ isFree }) => isFree)).toEqual([true, true, true, false, true]);
  });
});
