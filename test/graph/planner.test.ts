import { describe, expect, it } from "vitest";
import { align } from "../../host/core/memory";
import { type Lifetime, lifetimes, plan } from "../../host/graph/planner";
import { compile } from "../../host/graph/program";
import { randomArray } from "../random";
import { randomGraph, seeds } from "./random";
import { createRuntime } from "./runtime";

const runtime = await createRuntime();

describe("the planner", () => {
  it("never lets two storages that live at the same time overlap, on 100 random graphs", () => {
    for (const seed of seeds) {
      const alive = lifetimes(randomGraph(runtime, seed).graph);
      const { offsets, bytes } = plan(alive);
      alive.forEach((a, i) => {
        const start = offsets.get(a.storage)!;
        const end = start + align(a.storage.bytes);
        expect(start % 64).toBe(0);
        expect(end).toBeLessThanOrEqual(bytes);
        for (const b of alive.slice(i + 1)) {
          if (a.last < b.first || b.last < a.first) continue;
          const other = offsets.get(b.storage)!;
          expect(end <= other || other + align(b.storage.bytes) <= start, `seed ${seed}: [${start},${end}) and ${other}`).toBe(true);
        }
      });
    }
  });

  it("changes no bit of any result, on 100 random graphs", () => {
    for (const seed of seeds) {
      const results = [true, false].map((reuse) => {
        const { graph, inputs, kept } = randomGraph(runtime, seed);
        const program = compile(graph, { reuse });
        inputs.forEach((input, i) => program.write(input, randomArray(input.size, seed + i)));
        program.run();
        const result = kept.map((tensor) => program.read(tensor));
        program.dispose();
        return result;
      });
      expect(results[0]).toEqual(results[1]);
    }
  });

  it("puts a storage into the smallest gap that is large enough, or after the last storage if there is no such gap", () => {
    const lines = (size: number, first: number, last: number): Lifetime => ({ storage: { bytes: 64 * size } as Lifetime["storage"], first, last });
    // Two gaps, of 8 and 6 lines, between the storages of 7 and 5 lines that live throughout.
    const alive = [lines(8, 0, 1), lines(7, 0, 9), lines(6, 0, 1), lines(5, 0, 9), lines(4, 5, 6), lines(3, 5, 6), lines(2, 5, 6), lines(1, 0, 9)];
    const { offsets, bytes } = plan(alive);
    expect(alive.map(({ storage }) => offsets.get(storage)! / 64)).toEqual([0, 8, 15, 21, 15, 0, 19, 26]);
    expect(bytes).toBe(64 * 27);
  });

  it("needs less memory than separate addresses for all tensors", () => {
    const { graph } = randomGraph(runtime, 7);
    expect(plan(lifetimes(graph)).bytes).toBeLessThan(plan(lifetimes(graph), { reuse: false }).bytes);
  });
});
