import { describe, expect, it } from "vitest";
import { Activation, Format, MatmulScratch } from "../../assembly/layouts";
import { Op } from "../../assembly/opcodes";
import { expectAllclose } from "../allclose";
import { toPanels } from "../panels";
import { randomArray } from "../random";
import { Core, describeBuilds, type Named } from "./core";

const layouts = { NN: Op.MatmulNN, NT: Op.MatmulNT, TN: Op.MatmulTN } as const;
type Layout = keyof typeof layouts;
const everyLayout = Object.keys(layouts) as Layout[];
const formatted = ["NN", "NT"] as const;

/** One product: its dims, and how it differs from a plain, dense out = A·B. */
interface Case {
  M: number;
  N: number;
  K: number;
  batch?: number;
  /** Added to each leading dimension. */
  gap?: number;
  sharedB?: boolean;
  bias?: boolean;
  activation?: Activation;
  accumulate?: boolean;
  threads?: number;
  /** B's elements are rounded to this format. The kernel receives them in the format, or as f32 if `decoded`. */
  format?: Format;
  decoded?: boolean;
  /** Modifies the inputs before the product. */
  poison?: (a: Float32Array, b: Float32Array) => void;
}

interface Result {
  /** out [batch, M, N], without the gaps. */
  actual: Float32Array;
  /** The product in f64, before the activation. */
  expected: Float64Array;
  /** The largest Σ|a|·|b| of any element, to which rounding errors are relative. */
  magnitude: number;
}

function multiply(core: Core, layout: Layout, c: Case): Result {
  core.reset();
  const { M, N, K, batch = 1, gap = 0, threads = 1, format = Format.F32 } = c;
  const [aRows, aColumns] = layout === "TN" ? [K, M] : [M, K];
  const [bRows, bColumns] = layout === "NT" ? [N, K] : [K, N];
  const [lda, ldb, ldo] = [aColumns + gap, bColumns + (format ? 0 : gap), N + gap];
  const [strideA, strideB, strideOut] = [aRows * lda + gap, c.sharedB ? 0 : bRows * ldb + gap, M * ldo + gap];
  const a = gapped(batch, aRows, aColumns, lda, strideA, 1);
  const b = gapped(c.sharedB ? 1 : batch, bRows, bColumns, ldb, strideB, 2);
  c.poison?.(a, b);
  if (format === Format.BF16) b.set(roundToBf16(b));
  const bias = c.bias ? randomArray(N, 3) : null;
  const before = c.accumulate ? gapped(batch, M, N, ldo, strideOut, 4) : null;

  const length = matrices(batch, M, N, ldo, strideOut);
  const out = before ? core.input(before) : core.output(length);
  const scratch = core.output((threads * MatmulScratch.Bytes) / 4);
  core.run(layouts[layout] as Op.MatmulNN, {
    out, a: core.input(a), b: core.input(c.decoded ? b : encode(format, b, bRows, bColumns)), bias: bias && core.input(bias), scratch, batch, M, N, K,
    ldo, lda, ldb, strideOut, strideA, strideB, activation: c.activation ?? Activation.None, accumulate: c.accumulate ? 1 : 0,
    ...(layout === "TN" ? {} : { format: c.decoded ? Format.F32 : format }),
  } as Named<Op.MatmulNN>, threads);

  const written = out.read();
  const actual = new Float32Array(batch * M * N);
  const expected = new Float64Array(batch * M * N);
  let magnitude = 0;
  for (let item = 0, at = 0; item < batch; item++) {
    for (let i = 0; i < M; i++) {
      for (let j = 0; j < N; j++, at++) {
        const where = item * strideOut + i * ldo + j;
        let sum = before ? before[where]! : bias ? bias[j]! : 0;
        let absolute = Math.abs(sum);
        for (let k = 0; k < K; k++) {
          const x = a[item * strideA + (layout === "TN" ? k * lda + i : i * lda + k)]!;
          const y = b[item * strideB + (layout === "NT" ? j * ldb + k : k * ldb + j)]!;
          sum += x * y;
          absolute += Math.abs(x * y);
        }
        actual[at] = written[where]!;
        expected[at] = sum;
        magnitude = Math.max(magnitude, absolute);
      }
      for (let j = N; j < ldo && item * strideOut + i * ldo + j < length; j++) {
        const where = item * strideOut + i * ldo + j;
        if (!Number.isNaN(written[where]!)) expect.fail(`wrote into the gap after row ${i}`);
      }
    }
  }
  return { actual, expected, magnitude };
}

const matrices = (batch: number, rows: number, columns: number, ld: number, stride: number) =>
  rows * columns === 0 ? 0 : (batch - 1) * stride + (rows - 1) * ld + columns;

/** Random matrices with NaN between their rows, so that reading a gap poisons the product. */
function gapped(batch: number, rows: number, columns: number, ld: number, stride: number, seed: number): Float32Array {
  const values = randomArray(batch * rows * columns, seed);
  const result = new Float32Array(matrices(batch, rows, columns, ld, stride)).fill(NaN);
  if (columns === 0) return result;
  for (let item = 0; item < batch; item++) {
    for (let row = 0; row < rows; row++) {
      const from = (item * rows + row) * columns;
      result.set(values.subarray(from, from + columns), item * stride + row * ld);
    }
  }
  return result;
}

const toBf16 = (x: Float32Array): Uint16Array => Uint16Array.from(new Uint32Array(x.buffer, x.byteOffset, x.length), (bits) => bits >>> 16);
const roundToBf16 = (x: Float32Array): Float32Array => new Float32Array(Uint32Array.from(toBf16(x), (half) => half << 16).buffer);

/** A dense matrix in a format; bf16 takes the upper halves. */
function encode(format: Format, b: Float32Array, rows: number, columns: number): Float32Array | Uint16Array {
  return format === Format.BF16 ? toBf16(b) : format === Format.Panels ? toPanels(b, rows, columns) : b;
}

/** The error bound stated in matmul.ts. */
function expectProduct(core: Core, layout: Layout, c: Case): void {
  const { actual, expected, magnitude } = multiply(core, layout, c);
  const terms = c.K <= 1024 ? c.K + 1 : 130 + c.K / 128;
  expectAllclose(actual, expected, { rtol: 0, atol: terms * 2 ** -24 * magnitude });
}

/**
 * Triples of dims, thinned out, around the edges of vectors (4), of tiles (2, 4, 6; 8, 16) and of products with too few rows (below 12)
 * to pack B.
 */
function* edges(): Generator<[M: number, N: number, K: number]> {
  const rows = [1, 2, 3, 4, 5, 11, 12, 13, 14, 15, 16, 17, 19, 20];
  const columns = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33];
  const depths = [1, 2, 3, 4, 5, 7, 8, 9, 13];
  for (const M of rows) for (const N of columns) yield [M, N, depths[(3 * M + N) % depths.length]!];
  for (const K of depths) for (const M of [1, 4, 12]) yield [M, 19, K];
}

describeBuilds("matmul", (core) => {
  it.each(everyLayout)("%s matches f64 within (K + 1)·2⁻²⁴·Σ|a||b| at every tile edge, with gaps of 3 between rows", (layout) => {
    for (const [M, N, K] of edges()) expectProduct(core, layout, { M, N, K, gap: 3 });
  });

  it.each(everyLayout)("%s matches f64 below, at and above each block", (layout) => {
    for (const K of [127, 128, 129, 259]) expectProduct(core, layout, { M: 13, N: 9, K });
    for (const M of [143, 144, 145, 149]) expectProduct(core, layout, { M, N: 17, K: 5, gap: 1 });
    for (const M of [127, 128, 129, 511, 512, 513]) expectProduct(core, layout, { M, N: 19, K: 131 });
    for (const N of [767, 768, 769, 785]) expectProduct(core, layout, { M: 12, N, K: 3, gap: 1 });
    expectProduct(core, layout, { M: 3, N: 1031, K: 7, gap: 1 });
    expectProduct(core, layout, { M: 151, N: 773, K: 133, gap: 5 });
  });

  it("NT matches f64 if B exceeds the caches and is read in fewer streams", () => {
    for (const M of [1, 3]) expectProduct(core, "NT", { M, N: 2051, K: 2051, accumulate: true });
  });

  it.each(everyLayout)("%s matches f64 within (130 + K / 128)·2⁻²⁴·Σ|a||b| for K = 1025 to 100,000, random and equal terms", (layout) => {
    for (const M of [1, 2, 3, 6, 9, 13]) {
      for (const K of [1025, 2051, 20_000]) {
        expectProduct(core, layout, { M, N: 9, K, bias: true, gap: 1, threads: 2 });
        expectProduct(core, layout, { M, N: 9, K, poison: (a, b) => (a.fill(1), b.fill(0.1)) });
      }
    }
    for (const M of [1, 4, 12]) expectProduct(core, layout, { M, N: 3, K: 100_000, poison: (a, b) => (a.fill(1), b.fill(0.1)) });
  });

  it.each(everyLayout)("%s gives each row the same bits in products of 1 to 14 rows, K = 0 to 1300", (layout) => {
    const most = 14;
    for (const [N, K] of [[1, 9], [7, 5], [8, 130], [19, 37], [33, 4], [37, 0], [50, 1024], [35, 1025], [67, 1300]] as const) {
      const rows = randomArray(most * K, 7);
      const poison = (a: Float32Array): void => {
        const M = a.length / K;
        rows.subarray(0, a.length).forEach((value, i) => (a[layout === "TN" ? (i % K) * M + Math.floor(i / K) : i] = value));
      };
      for (const start of [{}, { bias: true }, { accumulate: true }]) {
        const all = multiply(core, layout, { M: most, N, K, poison, ...start }).actual;
        for (let M = 1; M < most; M++) {
          expect(multiply(core, layout, { M, N, K, poison, threads: 1 + (M & 1), ...start }).actual, `${M}x${K}x${N}`).toEqual(all.slice(0, M * N));
        }
      }
    }
  });

  it.each([
    ["NN", "bf16", Format.BF16], ["NT", "bf16", Format.BF16], ["NN", "panels", Format.Panels], ["NT", "panels", Format.Panels],
  ] as const)("%s gives weights in %s the bits of the same weights in f32, for few rows and many, in 1 and 3 slices", (layout, _, format) => {
    for (const [N, K] of [[1, 1], [5, 3], [8, 7], [16, 6], [17, 32], [33, 40], [70, 129], [101, 135], [9, 1100], [49, 1024], [100, 1025], [800, 20]] as const) {
      for (const M of [1, 2, 3, 5, 11, 12, 13, 29]) {
        const c: Case = { M, N, K, gap: 3, format, ...(M % 2 ? { bias: true, activation: Activation.Relu } : { accumulate: true }) };
        const expected = multiply(core, layout, { ...c, decoded: true }).actual;
        for (const threads of [1, 3]) expect(multiply(core, layout, { ...c, threads }).actual, `${M}x${K}x${N}`).toEqual(expected);
      }
    }
  });

  it("propagates NaN, ±Infinity and −0 from a bf16 weight", () => {
    const poison = (a: Float32Array, b: Float32Array): void => (a.fill(1), b.set([NaN, Infinity, -Infinity, -0]));
    for (const M of [1, 12]) {
      const { actual } = multiply(core, "NT", { M, N: 4, K: 1, format: Format.BF16, poison });
      expect(actual.slice(0, 4)).toEqual(Float32Array.of(NaN, Infinity, -Infinity, 0));
    }
  });

  it("NT gives panels the bits of f32 without a start, and with a bias that ends within a panel, for 1 to 12 rows", () => {
    for (const [N, K] of [[31, 0], [40, 9], [65, 1024], [35, 2051]] as const) {
      for (let M = 1; M <= 12; M++) {
        for (const bias of [false, true]) {
          const c: Case = { M, N, K, bias, gap: 1, format: Format.Panels };
          const expected = multiply(core, "NT", { ...c, decoded: true }).actual;
          for (const threads of [1, 2, 7]) expect(multiply(core, "NT", { ...c, threads }).actual, `${M}x${K}x${N}`).toEqual(expected);
        }
      }
    }
  });

  it("asserts in the debug build that a bf16 weight is one dense array", () => {
    if (core.build !== "debug") return;
    for (const layout of formatted) expect(() => multiply(core, layout, { batch: 2, M: 2, N: 4, K: 4, format: Format.BF16 })).toThrow("assertion");
  });

  it.each(everyLayout)("%s adds a bias, even if K = 0", (layout) => {
    for (const M of [1, 2, 5, 13]) {
      for (const K of [0, 9, 300]) expectProduct(core, layout, { M, N: 21, K, bias: true, gap: 2 });
    }
  });

  it.each(everyLayout)("%s yields zeros for K = 0 without a bias", (layout) => {
    for (const M of [2, 3, 12]) expect(multiply(core, layout, { M, N: 18, K: 0 }).actual).toEqual(new Float32Array(M * 18));
  });

  it.each(everyLayout)("%s writes nothing if the output is empty", (layout) => {
    for (const [M, N] of [[0, 5], [5, 0], [0, 0]] as const) multiply(core, layout, { M, N, K: 3, threads: 3 });
  });

  it.each(everyLayout)("%s accumulates", (layout) => {
    for (const M of [1, 5, 14]) {
      for (const K of [0, 6, 260]) expectProduct(core, layout, { M, N: 27, K, accumulate: true, gap: 1 });
    }
  });

  it.each(everyLayout)("%s multiplies a batch, with B separate or shared", (layout) => {
    for (const M of [3, 14]) {
      for (const sharedB of [false, true]) expectProduct(core, layout, { batch: 3, M, N: 11, K: 10, sharedB, bias: true, gap: 7 });
    }
  });

  it.each([
    ["relu", Activation.Relu], ["gelu", Activation.Gelu], ["gelu by tanh", Activation.GeluTanh], ["silu", Activation.Silu],
  ])("applies %s to the finished sum, to the bit", (_, activation) => {
    for (const layout of everyLayout) {
      for (const M of [3, 13]) {
        const c = { M, N: 23, K: 270, bias: true, gap: 1 };
        const { actual } = multiply(core, layout, { ...c, activation });
        const sum = multiply(core, layout, c).actual;
        const out = core.output(sum.length);
        core.run(Op.ActivationForward, { out, x: core.input(sum), n: sum.length, activation });
        expect(actual).toEqual(out.read());
      }
    }
  });

  it.each(everyLayout)("%s gives the same bits in 1, 2, 3 and 7 slices", (layout) => {
    for (const c of [
      { M: 1, N: 67, K: 37 }, { M: 5, N: 130, K: 300 }, { M: 64, N: 20, K: 33 }, { M: 20, N: 64, K: 33 }, { batch: 4, M: 13, N: 10, K: 11 },
      { batch: 4, M: 9, N: 50, K: 270 },
    ]) {
      const whole = multiply(core, layout, { ...c, bias: true }).actual;
      for (const threads of [2, 3, 7]) expect(multiply(core, layout, { ...c, bias: true, threads }).actual).toEqual(whole);
    }
  });

  it.each(everyLayout)("%s propagates NaN and ±Infinity to the rows and columns that depend on them, and to no others", (layout) => {
    for (const M of [5, 13]) {
      for (const [value, other] of [[NaN, 1], [Infinity, 0], [-Infinity, 0], [Infinity, 1]] as const) {
        // a[1, k] = value for k = 2, and b[2, 3] = other: 0·Infinity must be NaN.
        const { actual, expected } = multiply(core, layout, {
          M, N: 19, K: 5,
          poison: (a, b) => {
            a[layout === "TN" ? 2 * M + 1 : 1 * 5 + 2] = value;
            b[layout === "NT" ? 3 * 5 + 2 : 2 * 19 + 3] = other;
            b[layout === "NT" ? 18 * 5 + 4 : 4 * 19 + 18] = -Infinity; // the last column, last k
          },
        });
        expectAllclose(actual, expected, { atol: 1e-5 });
        expect(actual.filter(Number.isFinite).length).toBe((M - 1) * 18);
      }
    }
  });

  it("overflows to Infinity like f32 arithmetic, and keeps subnormals", () => {
    const poison = (a: Float32Array, b: Float32Array): void => {
      a.fill(2);
      b.fill(1e-42);
      a[0] = b[0] = 3e38;
    };
    const { actual } = multiply(core, "NT", { M: 13, N: 2, K: 1, poison });
    expect(actual[0]).toBe(Infinity);
    expect(actual[3]).toBe(2 * Math.fround(1e-42));
  });
});

describe("matmul (simd)", () => {
  const core = Core.load("simd");

  it.each([[1, 301], [5, 301], [13, 301], [13, 1300], [3, 1300]])("gives NN, NT and TN the same bits for the same matrices: %i rows, K = %i", (M, K) => {
    const N = 29;
    const a = randomArray(M * K, 5);
    const b = randomArray(K * N, 6);
    const transposed = (x: Float32Array, rows: number, columns: number): Float32Array =>
      Float32Array.from({ length: x.length }, (_, i) => x[(i % rows) * columns + Math.floor(i / rows)]!);
    const withInputs = (layout: Layout): Float32Array =>
      multiply(core, layout, {
        M, N, K,
        poison: (to, from) => {
          to.set(layout === "TN" ? transposed(a, M, K) : a);
          from.set(layout === "NT" ? transposed(b, K, N) : b);
        },
      }).actual;
    const expected = withInputs("NN");
    expect(withInputs("NT")).toEqual(expected);
    expect(withInputs("TN")).toEqual(expected);
  });
});
