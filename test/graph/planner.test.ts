import { describe, expect, it } from "vitest";
import { align } from "../../host/core/memory";
import { Graph } from "../../host/graph/graph";
import { add, scale, transpose } from "../../host/graph/ops/elementwise";
import { linear } from "../../host/graph/ops/linear";
import { softmax } from "../../host/graph/ops/softmax";
import { lifetimes, plan } from "../../host/graph/planner";
import { compile } from "../../host/graph/program";
import type { Tensor } from "../../host/graph/tensor";
import { randomArray, uniform } from "../random";
import { createRuntime } from "./runtime";

const runtime = await createRuntime();

/** A random chain of ops over a growing pool of matrices, differentiated from its last one. */
function randomGraph(seed: number): { graph: Graph; inputs: Tensor[]; kept: Tensor[] } {
  const next = uniform(seed);
  const pick = <T>(items: readonly T[]): T => items[Math.floor(next() * items.length)]!;
  const n = 4 + Math.floor(next() * 9);
  const graph = new Graph(runtime, { training: true });
  const inputs = [graph.input([n, n], "f32", true), graph.input([n, n], "f32", true)];
  const pool = [...inputs];
  const ops = [
    () => add(pick(pool), pick(pool)),
    () => scale(pick(pool), 0.5),
    () => transpose(pick(pool)),
    () => linear(pick(pool), pick(pool)),
    () => softmax(pick(pool)),
  ];
  for (let i = 0; i < 5 + next() * 25; i++) pool.push(pick(ops)());
  const out = graph.keep(add(pool.at(-1)!, pick(pool)));
  const dOut = graph.input(out.shape);
  graph.backward(out, dOut);
  const gradients = inputs.map((input) => graph.gradient(input)).filter((tensor) => tensor !== undefined);
  return { graph, inputs: [...inputs, dOut], kept: [out, ...gradients.map((tensor) => graph.keep(tensor))] };
}

const seeds = Array.from({ length: 100 }, (_, i) => i + 1);

describe("the planner", () => {
  it("never lets two storages that live at the same time overlap, on 100 random graphs", () => {
    for (const seed of seeds) {
      const alive = lifetimes(randomGraph(seed).graph);
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
        const { graph, inputs, kept } = randomGraph(seed);
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

  it("needs less memory than one address for each tensor", () => {
    const { graph } = randomGraph(7);
    expect(plan(lifetimes(graph)).bytes).toBeLessThan(plan(lifetimes(graph), { reuse: false }).bytes);
  });
});
