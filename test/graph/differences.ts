import type { Runtime } from "../../host/core/runtime";
import type { DType } from "../../host/graph/formats";
import { Graph } from "../../host/graph/graph";
import { compile } from "../../host/graph/program";
import type { Tensor } from "../../host/graph/tensor";
import { expectAllclose } from "../allclose";
import { randomArray } from "../random";
import { differentiate } from "./oracle";

/** Tolerance of gradients against central differences. */
export const RELATIVE = 1e-4;

/** An op, and the same in f64. */
export interface Case {
  title: string;
  /** The shapes of the inputs that have gradients. */
  shapes: number[][];
  op: (...inputs: Tensor[]) => Tensor;
  oracle: (...inputs: Float64Array[]) => ArrayLike<number>;
}

const given = new WeakMap<Graph, [Tensor<DType>, ArrayLike<number>][]>();

/** For use within an op of a case: an input without a gradient that holds `values`. */
export function constantLike<D extends DType = "f32">({ graph }: Tensor, shape: readonly number[], values: ArrayLike<number>, dtype = "f32" as D): Tensor<D> {
  const tensor = graph.input(shape, dtype);
  given.set(graph, [...(given.get(graph) ?? []), [tensor, values]]);
  return tensor;
}

/** Compares an op's output with the oracle's, and its gradients for a random dOut with central differences of the oracle. */
export function checkGradients(runtime: Runtime, { shapes, op, oracle }: Case): void {
  const graph = new Graph(runtime, { training: true });
  const inputs = shapes.map((shape) => graph.input(shape, "f32", true));
  const out = graph.keep(op(...inputs));
  const dOut = graph.input(out.shape);
  graph.backward([out, dOut]);
  const gradients = inputs.map((input) => graph.keep(graph.gradient(input)!));
  const program = compile(graph);

  const values = inputs.map((input, i) => randomArray(input.size, 10 + i));
  const dValues = randomArray(out.size, 99);
  inputs.forEach((input, i) => program.write(input, values[i]!));
  for (const [tensor, values] of given.get(graph) ?? []) program.write(tensor, values);
  program.write(dOut, dValues);
  program.run();

  const exact = values.map((array) => Float64Array.from(array));
  expectAllclose(program.read(out), oracle(...exact), { rtol: 1e-5, atol: 1e-5 });
  const loss = (arrays: Float64Array[]): number => Array.from(oracle(...arrays)).reduce((sum, y, i) => sum + y * dValues[i]!, 0);
  differentiate(loss, exact).forEach((expected, i) => {
    const largest = Math.max(...expected.map(Math.abs));
    expectAllclose(program.read(gradients[i]!), expected, { rtol: RELATIVE, atol: RELATIVE * Math.max(largest, 1e-3) });
  });
  program.dispose();
}
