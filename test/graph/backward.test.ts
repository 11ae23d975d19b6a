import { expect, it } from "vitest";
import { Graph } from "../../host/graph/graph";
import { relu, silu } from "../../host/graph/ops/activation";
import { add, scale } from "../../host/graph/ops/elementwise";
import { layerNorm } from "../../host/graph/ops/layernorm";
import { linear } from "../../host/graph/ops/linear";
import { softmax } from "../../host/graph/ops/softmax";
import { compile } from "../../host/graph/program";
import type { Tensor } from "../../host/graph/tensor";
import { randomArray, uniform } from "../random";
import * as oracle from "./oracle";
import { createRuntime } from "./runtime";

const [R, C] = [3, 4];
const runtime = await createRuntime();

/** One op of a random graph: on tensors, and in f64. */
interface Step {
  record(values: Tensor[]): Tensor;
  compute(values: number[][]): number[];
}

/** Leaves: x and y [R, C], a matrix w [C, C], a gain n [C]; each step's operands are leaves 0 and 1 or earlier results. */
function randomSteps(next: () => number): Step[] {
  const count = 3 + Math.floor(14 * next());
  return Array.from({ length: count }, (_, step): Step => {
    const results = [0, 1, ...Array.from({ length: step }, (_, i) => 4 + i)];
    const pick = (): number => (next() < 0.5 ? results.at(-1)! : results[Math.floor(next() * results.length)]!);
    const [a, b] = [pick(), pick()];
    const kinds: Step[] = [
      { record: (v) => add(v[a]!, v[b]!), compute: (v) => v[a]!.map((x, i) => x + v[b]![i]!) },
      { record: (v) => add(v[b]!, v[a]!), compute: (v) => v[a]!.map((x, i) => x + v[b]![i]!) },
      { record: (v) => scale(v[a]!, -0.75), compute: (v) => v[a]!.map((x) => -0.75 * x) },
      { record: (v) => relu(v[a]!), compute: (v) => v[a]!.map(oracle.activations.relu) },
      { record: (v) => silu(v[a]!), compute: (v) => v[a]!.map(oracle.activations.silu) },
      { record: (v) => softmax(v[a]!), compute: (v) => oracle.softmax(v[a]!, R, C) },
      { record: (v) => linear(v[a]!, v[2]!), compute: (v) => oracle.linear(v[a]!, v[2]!, null, R, C, C) },
      { record: (v) => layerNorm(v[a]!, v[3]!), compute: (v) => oracle.layerNorm(v[a]!, v[3]!, null, R, C) },
    ];
    return kinds[Math.floor(next() * kinds.length)]!;
  });
}

it("gradients of 200 random graphs, with tensors shared by ops and weights shared by layers, match central differences in f64", () => {
  const shapes = [[R, C], [R, C], [C, C], [C]];
  for (let seed = 1; seed <= 200; seed++) {
    const steps = randomSteps(uniform(seed));
    const data = shapes.map((shape, i) => [...randomArray(shape.reduce((a, b) => a * b), 10 * seed + i)]);
    const dOut = [...randomArray(R * C, 10 * seed + 9)];

    const graph = new Graph(runtime, { training: true });
    const leaves = shapes.map((shape) => graph.input(shape, "f32", true));
    const out = steps.reduce<Tensor[]>((values, step) => [...values, step.record(values)], leaves).at(-1)!;
    const dOutInput = graph.input([R, C]);
    graph.backward([out, dOutInput]);
    const gradients = leaves.map((leaf) => graph.gradient(leaf)).map((gradient) => gradient && graph.keep(gradient));
    const program = compile(graph);
    leaves.forEach((leaf, i) => program.write(leaf, data[i]!));
    program.write(dOutInput, dOut);
    program.run();

    const loss = (): number => steps.reduce<number[][]>((values, step) => [...values, step.compute(values)], data).at(-1)!.reduce((sum, x, i) => sum + x * dOut[i]!, 0);
    gradients.forEach((gradient, leaf) => {
      const actual = gradient ? [...program.read(gradient)] : data[leaf]!.map(() => 0); // the last op need not depend on every leaf
      const values = data[leaf]!;
      const expected = values.map((value, i) => {
        const difference = [1e-6, -1e-6].map((step) => ((values[i] = value + step), loss()));
        values[i] = value;
        return (difference[0]! - difference[1]!) / 2e-6;
      });
      const largest = Math.max(0.01, ...expected.map(Math.abs));
      expected.forEach((value, i) => expect(Math.abs(actual[i]! - value) / largest, `seed ${seed}, leaf ${leaf}[${i}]`).toBeLessThan(1e-3));
    });
    program.dispose();
  }
});
