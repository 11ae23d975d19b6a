import { describe, expect, it } from "vitest";
import { align } from "../../host/core/memory";
import { lifetimes, plan } from "../../host/graph/planner";
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

  it("needs less memory than separate addresses for all tensors", () => {
    const { graph } = randomGraph(runtime, 7);
    expect(plan(lifetimes(graph)).bytes).toBeLessThan(plan(lifetimes(graph), { reuse: false }).bytes);
  });
});
