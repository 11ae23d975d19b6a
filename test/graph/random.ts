import type { Runtime } from "../../host/core/runtime";
import { Graph } from "../../host/graph/graph";
import { add, scale, transpose } from "../../host/graph/ops/elementwise";
import { linear } from "../../host/graph/ops/linear";
import { softmax } from "../../host/graph/ops/softmax";
import type { Tensor } from "../../host/graph/tensor";
import { uniform } from "../random";

/** A random chain of ops over a growing pool of matrices, with the backward pass of the last one. */
export function randomGraph(runtime: Runtime, seed: number): { graph: Graph; inputs: Tensor[]; kept: Tensor[] } {
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
  graph.backward([out, dOut]);
  const gradients = inputs.map((input) => graph.gradient(input)).filter((tensor) => tensor !== undefined);
  return { graph, inputs: [...inputs, dOut], kept: [out, ...gradients.map((tensor) => graph.keep(tensor))] };
}

export const seeds = Array.from({ length: 100 }, (_, i) => i + 1);
