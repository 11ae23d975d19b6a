import { describe, expect, it } from "vitest";
import { Graph } from "../../host/graph/graph";
import { dropout } from "../../host/graph/ops/dropout";
import { compile, type Program } from "../../host/graph/program";
import type { Tensor } from "../../host/graph/tensor";
import { createRuntime } from "./runtime";

const runtime = await createRuntime();

describe("dropout in a graph", () => {
  const n = 10_000;
  const p = 0.3;
  const record = (): { program: Program; x: Tensor; out: Tensor; dX: Tensor } => {
    const graph = new Graph(runtime, { training: true });
    const x = graph.input([n], "f32", true);
    const out = graph.keep(dropout(x, p));
    const dOut = graph.input([n]);
    graph.backward([out, dOut]);
    const dX = graph.keep(graph.gradient(x)!);
    const program = compile(graph);
    program.write(dOut, new Float32Array(n).fill(1));
    program.write(x, new Float32Array(n).fill(1));
    return { program, x, out, dX };
  };
  const run = (seed: number, step: number, microBatch = 0): { out: number[]; dX: number[] } => {
    const { program, out, dX } = record();
    program.seed(seed, step, microBatch);
    program.run();
    return { out: [...program.read(out)], dX: [...program.read(dX)] };
  };

  it("keeps the mean within 2 % of 1 over 10,000 elements", () => {
    const { out } = run(1, 0);
    expect(new Set(out)).toEqual(new Set([0, Math.fround(1 / (1 - Math.fround(p)))]));
    expect(Math.abs(out.reduce((sum, value) => sum + value, 0) / n - 1)).toBeLessThan(0.02);
  });

  it("drops the same elements in backward as in forward", () => {
    const { out, dX } = run(2, 7);
    expect(dX).toEqual(out);
  });

  it("draws differently for each seed (even beyond 2^32), step and micro-batch, and reproducibly for the same ones", () => {
    const draws = [run(1, 0), run(1, 1), run(1, 0, 1), run(2, 0), run(1 + 2 ** 32, 0)].map(({ out }) => out.join());
    expect(new Set(draws).size).toBe(draws.length);
    expect(run(1, 0).out.join()).toBe(draws[0]);
  });

  it("rejects seeds that are not integers of at least 0", () => {
    for (const bad of [NaN, 1.5, -1, 2 ** 53, Infinity]) expect(() => run(bad, 0)).toThrow(`seed: expected an integer in [0, 2^53), got ${bad}`);
  });

  it("does nothing outside training, and rejects invalid probabilities", () => {
    const graph = new Graph(runtime);
    const x = graph.input([3]);
    expect(dropout(x, 0.5)).toBe(x);
    for (const bad of [1, -0.1, NaN]) expect(() => dropout(x, bad)).toThrow(`dropout: expected a probability in [0, 1), got ${bad}`);
  });
});
