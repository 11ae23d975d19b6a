import { describe, expect, it } from "vitest";
import { Activation } from "../../assembly/layouts";
import { Op } from "../../assembly/opcodes";
import type { Runtime } from "../../host/core/runtime";
import { formats } from "../../host/graph/formats";
import { Graph } from "../../host/graph/graph";
import { crossEntropy } from "../../host/graph/ops/crossentropy";
import { embedding } from "../../host/graph/ops/embedding";
import { linear } from "../../host/graph/ops/linear";
import { compile } from "../../host/graph/program";
import { State, type Tensor } from "../../host/graph/tensor";
import { Cells } from "../../host/train/cells";
import { expectAllclose } from "../allclose";
import { toBlocks } from "../integers";
import { randomArray } from "../random";
import { createRuntime } from "./runtime";

const runtimes = await Promise.all([createRuntime("simd"), createRuntime("relaxed")]);
const [runtime] = runtimes;
const names = ["int8", "int8row", "int4"] as const;
type Name = (typeof names)[number];
const levelsOf = (name: Name): number => (name === "int4" ? 7 : 127);

function stateOf<N extends Name | "f32">(name: N, [N, K]: readonly [number, number], owner: Runtime = runtime): State<N> {
  return new State(owner.memory.allocate(formats[name].bytes([N, K]), "test", name), [N, K], name);
}

/** What a format stores of a matrix. */
function store(name: Name, values: Float32Array, shape: readonly [number, number]) {
  const state = stateOf(name, shape);
  state.write(values);
  const stored = { ...formats[name].readIntegers(state.block, 0, shape), values: state.read() };
  state.block.free();
  return stored;
}

/** The nearest f16s around a number. */
const isHalf = (x: number): boolean => x === 0 || (Math.abs(x) <= 65504 && Number.isInteger(x / 2 ** Math.max(-24, Math.floor(Math.log2(x)) - 10)));

/** Matrices [7, K]: random, constant, zero, huge, tiny, of ties, with one outlier. */
function* matrices(name: Name, K: number): Generator<[title: string, values: Float32Array]> {
  const random = randomArray(7 * K, K);
  yield ["random", random];
  yield ["constant", random.map(() => -0.3)];
  yield ["zero", random.map((_, i) => (i % 2 ? 0 : -0))];
  yield ["huge", random.map((x) => x * levelsOf(name) * 65504)];
  for (const magnitude of [1e-3, 1e-5, 1e-6, 1e-7, 1e-9, 1e-40]) yield [`of magnitude ${magnitude}`, random.map((x) => x * magnitude)];
  yield ["ties", random.map((_, i) => (i % K === 0 ? levelsOf(name) : (i % levelsOf(name)) - 0.5))];
  yield ["outliers", random.map((x, i) => (i % K === 3 ? 100 : x))];
}

describe.each(names)("%s", (name) => {
  const shapes = [1, 5, 31, 32, 33, 100].map((K) => [7, K] as const);

  it("rounds to multiples of a scale that f16 has, with an error of at most half of it", () => {
    for (const [N, K] of shapes) {
      for (const [title, values] of matrices(name, K)) {
        const { integers, scales, values: read } = store(name, values, [N, K]);
        const group = formats[name].group(K);
        expect(scales.every(isHalf), title).toBe(true);
        read.forEach((value, i) => {
          const scale = scales[Math.floor(i / K) * Math.ceil(K / group) + Math.floor((i % K) / group)]!;
          expect(value).toBe(integers[i]! * scale);
          if (!(Math.abs(value - values[i]!) <= scale / 2)) expect.fail(`${title}, K=${K}: ${values[i]} becomes ${value} with the scale ${scale}`);
          if (Math.abs(integers[i]!) > levelsOf(name)) expect.fail(`${title}: ${integers[i]}`);
        });
        if (title === "zero") expect(scales.every((scale) => scale === 2 ** -24)).toBe(true);
        if (title === "constant") expect(new Set(integers)).toEqual(new Set([-levelsOf(name)]));
      }
    }
  });

  it("quantizes what it has quantized to the same integers and scales", () => {
    for (const [N, K] of shapes) {
      for (const [title, values] of matrices(name, K)) {
        const once = store(name, values, [N, K]);
        expect(store(name, once.values, [N, K]), `${title}, K=${K}`).toEqual(once);
      }
    }
    // Scales that f16 has as subnormal numbers: every multiple of 2⁻²⁴ as the largest value.
    const values = Float32Array.from({ length: 20_000 }, (_, i) => (i + 1) * levelsOf(name) * 2 ** -27);
    const once = store(name, values, [20_000, 1]);
    expect(store(name, once.values, [20_000, 1])).toEqual(once);
  });

  it("stores the blocks that the core reads, over any bytes, in pieces of whole rows, and takes back the integers it returns", () => {
    for (const [N, K] of [[1, 1], [5, 33], [8, 32], [19, 100]] as const) {
      const values = randomArray(N * K, 1);
      const group = formats[name].group(K);
      for (const pieces of [N, 1, 3]) {
        const state = stateOf(name, [N, K]);
        state.block.f32(0, state.block.bytes / 4).fill(NaN);
        for (let row = 0; row < N; row += pieces) state.write(values.subarray(row * K, (row + pieces) * K), row * K);
        const stored = formats[name].readIntegers(state.block, 0, [N, K]);
        const bytes = state.block.u8(0, formats[name].bytes([N, K])).slice();
        expect(bytes).toEqual(toBlocks(formats[name].bits, stored.integers, stored.scales, N, K, group));
        state.block.u8(0, bytes.length).fill(0xff);
        formats[name].writeIntegers(state.block, 0, [N, K], stored);
        expect(state.block.u8(0, bytes.length)).toEqual(bytes);
        state.block.free();
      }
    }
  });

  it("refuses numbers that are not finite or too large, pieces of rows, and integers and scales that it does not have", () => {
    const state = stateOf(name, [3, 5]);
    const most = levelsOf(name) * 65504;
    for (const [value, text] of [[NaN, "NaN"], [Infinity, "Infinity"], [-Infinity, "-Infinity"], [most * 1.01, String(most * 1.01)]] as const) {
      const values = new Float64Array(10);
      values[8] = value;
      expect(() => state.write(values, 5)).toThrow(new RangeError(`${name}: ${name} stores finite numbers up to ${most}, got ${text} in row 2, column 3`));
    }
    expect(() => state.write([1, 2], 5)).toThrow(new RangeError(`${name}: ${name} is written in rows of 5 elements, got 2 from element 5`));
    expect(() => state.write([1, 2, 3, 4, 5], 1)).toThrow("from element 1");
    const [integers, scales] = [new Int8Array(15), new Float32Array(3).fill(1)];
    const put = (some: object) => () => formats[name].writeIntegers(state.block, 0, [3, 5], { integers, scales, ...some });
    expect(put({})).not.toThrow();
    expect(put({ integers: new Int8Array(14) })).toThrow(new RangeError(`${name}: expected 15 integers and 3 scales, got 14 and 3`));
    expect(put({ integers: integers.map(() => -128) })).toThrow(new RangeError(`${name}: expected integers from −${levelsOf(name)} to ${levelsOf(name)}, got -128`));
    for (const scale of [NaN, Infinity, -1, 0.1, 65536]) expect(put({ scales: scales.map(() => scale) })).toThrow("expected scales that f16 has");
  });

  it("is divided at multiples of eight rows", () => {
    const state = stateOf(name, [19, 40]);
    state.write(randomArray(760, 1));
    expect(state.rowsFrom(8, 5).read()).toEqual(state.read().slice(320, 520));
    expect(() => state.rowsFrom(4, 1)).toThrow(new RangeError(`${name}: rows of ${name} start at multiples of 8, got 4`));
  });
});

it("take 1.25, 1.01 and 0.625 bytes an element for 768 columns", () => {
  expect(names.map((name) => formats[name].bytes([1000, 768]) / 768_000).map((bytes) => bytes.toFixed(3))).toEqual(["1.250", "1.010", "0.625"]);
});

/** A random weight in a format, and the same numbers in f32. */
function pairOf(name: Name, shape: readonly [number, number], owner: Runtime): [State<Name>, State] {
  const [integers, floats] = [stateOf(name, shape, owner), stateOf("f32", shape, owner)];
  integers.write(randomArray(shape[0] * shape[1], 3));
  floats.write(integers.read());
  return [integers, floats];
}

const run = (graph: Graph, inputs: readonly (readonly [Tensor, Float32Array])[], outputs: readonly Tensor[]): Float32Array[] => {
  outputs.forEach((output) => graph.keep(output));
  const program = compile(graph);
  for (const [tensor, values] of inputs) program.write(tensor, values);
  program.run();
  const read = outputs.map((output) => program.read(output));
  program.dispose();
  return read;
};

const cases = runtimes.flatMap((owner) => names.map((name) => [name, owner.build, owner] as const));
describe.each(cases)("a weight in %s (%s)", (name, _, owner) => {
  it("gives linear within 2 % of the norm of the same numbers in f32, and exactly their dX", () => {
    for (const [M, N, K] of [[1, 40, 768], [5, 33, 100], [30, 70, 256]] as const) {
      const [integers, floats] = pairOf(name, [N, K], owner);
      const [[y, dX], [exact, expected]] = [integers, floats].map((weight) => {
        const graph = new Graph(owner);
        const [x, dOut, bias] = [graph.input([M, K], "f32", true), graph.input([M, N]), graph.input([N])];
        const out = linear(x, graph.use(weight as State), bias, Activation.Relu);
        graph.backward([out, dOut]);
        // The gradient of ReLU depends on the output; its own rounding must not flip signs here.
        return run(graph, [[x, randomArray(M * K, 1)], [dOut, randomArray(M * N, 2)], [bias, new Float32Array(N).fill(100)]], [out, graph.gradient(x)!]);
      }) as [Float32Array[], Float32Array[]];
      const norm = (v: Float32Array): number => Math.hypot(...v);
      expect(norm(y!.map((value, i) => value - exact![i]!)) / norm(exact!.map((value) => value - 100))).toBeLessThan(0.02);
      expect(dX).toEqual(expected);
    }
  });

  it("gives embedding rows of exactly its numbers, scaled", () => {
    for (const C of [1, 32, 67]) {
      const [integers, floats] = pairOf(name, [11, C], owner);
      const [actual, expected] = [integers, floats].map((weight) => {
        const graph = new Graph(owner);
        const ids = graph.input([4], "i32");
        const rows = graph.keep(embedding(ids, graph.use(weight as State), 3));
        const program = compile(graph);
        program.write(ids, [10, 0, 3, 3]);
        program.run();
        return program.read(rows);
      });
      expect(actual).toEqual(expected);
    }
  });

  it("gives cross-entropy the loss of linear's logits, in chunks too, and a dX near that of the same numbers in f32", () => {
    for (const [R, V, C] of [[5, 40, 33], [100, 30_000, 8]] as const) {
      const [integers, floats] = pairOf(name, [V, C], owner);
      const targets = Int32Array.from({ length: R }, (_, r) => (r * 7) % V);
      const [actual, expected] = [integers, floats].map((weight) => {
        const graph = new Graph(owner, { training: true });
        const [x, ids] = [graph.input([R, C], "f32", true), graph.input([R], "i32")];
        const cells = new Cells(owner, "test");
        crossEntropy(x, graph.use(weight as State), ids).backward(graph.use(cells.state));
        const dX = graph.keep(graph.gradient(x)!);
        const program = compile(graph);
        program.write(x, randomArray(R * C, 1));
        program.write(ids, targets);
        program.run();
        return { ...cells.takeLoss(), dX: program.read(dX) };
      });
      if (!actual || !expected) throw new Error("two runs");
      expect(Math.abs(actual.sum - expected.sum) / expected.sum).toBeLessThan(0.002);
      expectAllclose(actual.dX, expected.dX, { rtol: 0.02, atol: 0.02 * Math.max(...expected.dX.map(Math.abs)) });
      const graph = new Graph(owner);
      const x = graph.input([R, C]);
      const [logits] = run(graph, [[x, randomArray(R * C, 1)]], [linear(x, graph.use(integers as unknown as State))]);
      let loss = 0;
      for (let r = 0; r < R; r++) {
        const row = Float64Array.from(logits!.subarray(r * V, (r + 1) * V));
        loss += Math.log(row.reduce((sum, value) => sum + Math.exp(value), 0)) - row[targets[r]!]!;
      }
      expect(Math.abs(actual.sum - loss) / loss).toBeLessThan(1e-5);
    }
  });

  it("shares one quantization of x among all products that read it, but not that of another tensor, nor a state's", () => {
    const [integers] = pairOf(name, [8, 32], owner);
    const graph = new Graph(owner);
    const [x, y] = [graph.input([3, 32]), graph.input([3, 32])];
    const weight = graph.use(integers as unknown as State);
    for (const input of [x, x, y, x]) linear(input, weight);
    const count = (): number => graph.instructions.filter(({ op }) => op === Op.QuantizeRows).length;
    expect(count()).toBe(2);
    const state = graph.use(stateOf("f32", [3, 32], owner));
    linear(state, weight);
    linear(state, weight);
    expect(count()).toBe(4);
  });
});

it("int8 and int4 weights read the same tensor through a quantization each", () => {
  const graph = new Graph(runtime);
  const x = graph.input([3, 64]);
  for (const name of names) linear(x, graph.use(pairOf(name, [8, 64], runtime)[0] as unknown as State));
  expect(graph.instructions.filter(({ op }) => op === Op.QuantizeRows).length).toBe(3);
});
