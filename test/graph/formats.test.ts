import { describe, expect, it } from "vitest";
import { Activation } from "../../assembly/layouts";
import type { Runtime } from "../../host/core/runtime";
import { type DType, formats } from "../../host/graph/formats";
import { Graph } from "../../host/graph/graph";
import { crossEntropy } from "../../host/graph/ops/crossentropy";
import { embedding } from "../../host/graph/ops/embedding";
import { linear } from "../../host/graph/ops/linear";
import { compile } from "../../host/graph/program";
import { State, type Tensor } from "../../host/graph/tensor";
import { Cells } from "../../host/train/cells";
import { toPanels } from "../panels";
import { randomArray } from "../random";
import { createRuntime } from "./runtime";

const runtimes = await Promise.all([createRuntime("simd"), createRuntime("relaxed")]);
const [runtime] = runtimes;
type WeightFormat = "f32" | "bf16" | "panels";

const float = (bits: number): number => new Float32Array(Uint32Array.of(bits).buffer)[0]!;

/** Values after a round trip through bf16. */
function roundTrip(values: ArrayLike<number>): Float32Array {
  const state = new State(runtime.memory.allocate(2 * values.length, "test", "halves"), [values.length], "bf16");
  state.write(values);
  const read = state.read();
  state.block.free();
  return read;
}

describe("bf16", () => {
  it("preserves each of its 65,536 values, including NaNs", () => {
    const all = Float32Array.from({ length: 65536 }, (_, half) => float(half * 65536));
    const read = roundTrip(all);
    const differ = Array.from(all.keys()).filter((i) => !Object.is(read[i], all[i]));
    expect(differ).toEqual([]);
  });

  it("rounds to nearest, ties to even", () => {
    const [one, next] = [1, 1 + 2 ** -7];
    for (const sign of [1, -1]) {
      const cases: [number, number][] = [
        [one + 2 ** -8 - 2 ** -23, one], [one + 2 ** -8, one], [one + 2 ** -8 + 2 ** -23, next], // a tie: 1 is even
        [next + 2 ** -8 - 2 ** -23, next], [next + 2 ** -8, next + 2 ** -7], // a tie: the upper one is even
        [Math.PI, 3.140625],
      ];
      expect([...roundTrip(cases.map(([value]) => sign * value))]).toEqual(cases.map(([, rounded]) => sign * rounded));
    }
  });

  it("differs from f32 by at most 2⁻⁸ of the value, on 10,000 random numbers of all magnitudes", () => {
    const values = randomArray(10_000, 1).map((value, i) => value * 2 ** ((i % 200) - 100));
    roundTrip(values).forEach((value, i) => expect(Math.abs(value - values[i]!)).toBeLessThanOrEqual(Math.abs(values[i]!) * 2 ** -8));
  });

  it("preserves signed infinities and zeros, rounds values that are too large to Infinity, and subnormals to multiples of 2⁻¹³³", () => {
    const largest = float(0x7f7f0000);
    expect([...roundTrip([Infinity, -Infinity, 0, -0, 3.4028234663852886e38, largest, -3.4e38])]).toEqual([Infinity, -Infinity, 0, -0, Infinity, largest, -Infinity]);
    const step = 2 ** -133;
    expect([...roundTrip([step, 2.5 * step, 3.5 * step, 0.5 * step, 2 ** -149, -step])]).toEqual([step, 2 * step, 4 * step, 0, 0, -step]);
  });

  it("keeps NaN a NaN, even if the upper bits of its fraction are 0", () => {
    const nans = new Float32Array(Uint32Array.of(0x7f800001, 0xff800001, 0x7fffffff, 0x7fc00000).buffer);
    expect([...roundTrip(nans)].every(Number.isNaN)).toBe(true);
  });

  it("takes half the memory of f32, and can be written from any element", () => {
    const state = new State(runtime.memory.allocate(12, "test", "halves"), [2, 3], "bf16");
    state.write([1, 2, 3, 4, 5, 6]);
    state.write([9], 4);
    expect([...state.rowsFrom(1, 1).read()]).toEqual([4, 9, 6]);
    expect(() => new State(runtime.memory.allocate(10, "test", "halves"), [2, 3], "bf16")).toThrow("test: halves: expected a range within its 10 bytes, got 0 to 12");
  });
});

describe("panels", () => {
  it.each([[1, 1], [5, 3], [16, 4], [17, 7], [40, 33]])("keep every bit of %i rows of %i, also written in pieces, and pad with zeros", (N, K) => {
    const values = randomArray(N * K, 1);
    values[0] = -0;
    for (const piece of [N * K, 1, 10]) {
      const block = runtime.memory.allocate(formats.panels.bytes([N, K]), "test", "panels");
      block.f32(0, block.bytes / 4).fill(NaN);
      const state = new State(block, [N, K], "panels");
      for (let from = 0; from < values.length; from += piece) state.write(values.subarray(from, from + piece), from);
      expect(state.read()).toEqual(values);
      expect(block.f32(0, formats.panels.bytes([N, K]) / 4)).toEqual(toPanels(values, N, K));
      block.free();
    }
  });

  it("take the memory of a multiple of 16 rows, and are divided there only", () => {
    expect([[16, 3], [17, 3], [0, 3], [2, 0]].map((shape) => formats.panels.bytes(shape))).toEqual([192, 384, 0, 0]);
    const state = new State(runtime.memory.allocate(384, "test", "panels"), [20, 3], "panels");
    state.write(Float32Array.from({ length: 60 }, (_, i) => i));
    expect([...state.rowsFrom(16, 1).read()]).toEqual([48, 49, 50]);
    expect(() => state.rowsFrom(8, 1)).toThrow(new RangeError("panels: rows of panels start at multiples of 16, got 8"));
    expect(() => new State(runtime.memory.allocate(320, "test", "panels"), [17, 3], "panels")).toThrow("expected a range within its 320 bytes");
  });
});

/** A weight [N, K] in a format, with the numbers that bf16 makes of random ones. */
function weightOf(runtime: Runtime, dtype: WeightFormat, N: number, K: number): State<DType> {
  const state = new State<DType>(runtime.memory.allocate(formats[dtype].bytes([N, K]), "test", dtype), [N, K], dtype);
  state.write(roundTrip(randomArray(N * K, N + K)));
  return state;
}

/** What a program computes with a weight in f32, and in another format. */
function inBoth<T>(runtime: Runtime, format: WeightFormat, [N, K]: readonly [number, number], compute: (weight: (graph: Graph) => Tensor) => T): [T, T] {
  return (["f32", format] as const).map((dtype) => {
    const state = weightOf(runtime, dtype, N, K);
    const result = compute((graph) => graph.use(state) as Tensor);
    state.block.free();
    return result;
  }) as [T, T];
}

// Below, at and above the tiles of matmuls, the small row counts that have their own kernels, and blocks of K.
const shapes = [[1, 1, 1], [1, 67, 129], [2, 16, 32], [3, 5, 7], [5, 33, 770], [12, 64, 31], [13, 97, 260], [50, 131, 100], [150, 40, 300]] as const;

const inFormats = runtimes.flatMap((runtime) => (["bf16", "panels"] as const).map((format) => [format, runtime.build, runtime] as const));
describe.each(inFormats)("a weight in %s gives the bits of the same numbers in f32 (%s):", (format, _, runtime) => {
  it.each(shapes)("linear of %i rows, %i outputs and %i inputs, and its dX", (M, N, K) => {
    const [f32, other] = inBoth(runtime, format, [N, K], (weight) => {
      const graph = new Graph(runtime);
      const [x, dOut, bias] = [graph.input([M, K], "f32", true), graph.input([M, N]), graph.input([N])];
      const y = graph.keep(linear(x, weight(graph), bias, Activation.Silu));
      graph.backward([y, dOut]);
      const dX = graph.keep(graph.gradient(x)!);
      const program = compile(graph);
      [x, dOut, bias].forEach((tensor, i) => program.write(tensor, randomArray(tensor.size, i)));
      program.run();
      const results = [program.read(y), program.read(dX)];
      program.dispose();
      return results;
    });
    expect(other).toEqual(f32);
    expect(other.every((array) => array.some((value) => value !== 0))).toBe(true);
  });

  it.each([1, 7, 32, 67])("embedding of width %i, scaled", (C) => {
    const [f32, other] = inBoth(runtime, format, [11, C], (weight) => {
      const graph = new Graph(runtime);
      const ids = graph.input([4], "i32");
      const rows = graph.keep(embedding(ids, weight(graph), 3));
      const program = compile(graph);
      program.write(ids, [10, 0, 3, 3]);
      program.run();
      return program.read(rows);
    });
    expect(other).toEqual(f32);
  });

  it.each([[5, 40, 33], [60, 30_000, 8]])("cross-entropy of %i rows over %i ids of width %i, and its dX", (R, V, C) => {
    const [f32, other] = inBoth(runtime, format, [V, C], (weight) => {
      const graph = new Graph(runtime, { training: true });
      const [x, targets] = [graph.input([R, C], "f32", true), graph.input([R], "i32")];
      const cells = new Cells(runtime, "test");
      crossEntropy(x, weight(graph), targets, { smoothing: 0.1 }).backward(graph.use(cells.state));
      const dX = graph.keep(graph.gradient(x)!);
      const program = compile(graph);
      program.write(x, randomArray(x.size, 1));
      program.write(targets, Int32Array.from({ length: R }, (_, r) => (r * 7) % V));
      program.run();
      return { ...cells.takeLoss(), dX: program.read(dX) };
    });
    expect(other).toEqual(f32);
    expect(other.sum).toBeGreaterThan(0);
  });
});
