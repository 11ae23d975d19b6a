import { describe, expect, it } from "vitest";
import { Activation, MatmulScratch, Quantized } from "../../assembly/layouts";
import { Op } from "../../assembly/opcodes";
import { toBlocks } from "../integers";
import { randomArray } from "../random";
import { builds, Core, describeBuilds, type Region } from "./core";

const { fround } = Math;

/** A group of a quantized row. */
interface Group {
  scale: number;
  integers: number[];
}
/** A row as `quantizeRows` writes it: a group and perhaps a second one for each `group` columns. */
type Row = { first: Group; second: Group | null }[];

const levelsOf = (bits: number): number => (bits === 8 ? Quantized.Int8Levels : Quantized.Int4Levels);

/** Quantizes x [R, C] in the core; returns the region and what it says. */
function quantize(core: Core, x: Float32Array, R: number, C: number, group: number, bits: number, threads = 1): { region: Region; rows: Row[] } {
  const groups = Math.ceil(C / group);
  const region = core.output((2 * R * groups * (Quantized.Header + Quantized.PerElement * group) + Quantized.PerRow * R) / 4, "i32");
  core.run(Op.QuantizeRows, { out: region, x: core.input(x), R, C, group, levels: levelsOf(bits) }, threads);
  const bytes = new DataView(region.read().buffer);
  const wide = core.build === "simd" || core.build === "debug";
  const step = Quantized.Header + (wide ? 2 : 1) * group;
  const read = (at: number): Group => {
    const integers = Array.from({ length: group }, (_, k) => {
      const place = wide || bits === 8 ? k : (k & ~3) + [0, 2, 1, 3][k & 3]!;
      const q = wide ? bytes.getInt16(at + Quantized.Header + 2 * place, true) : bytes.getInt8(at + Quantized.Header + place);
      return !wide && bits === 8 ? q - 64 : q;
    });
    return { scale: bytes.getFloat32(at, true), integers };
  };
  const rows = Array.from({ length: R }, (_, r) => {
    const row = Array.from({ length: groups }, (_, g) => {
      const second = bytes.getFloat32(((R + r) * groups + g) * step, true);
      return { first: read((r * groups + g) * step), second: second === 0 ? null : read(((R + r) * groups + g) * step) };
    });
    expect(bytes.getInt32(2 * R * groups * step + 4 * r, true)).toBe(row.filter(({ second }) => second).length);
    return row;
  });
  return { region, rows };
}

const valueOf = (row: Row, c: number, group: number): number => {
  const { first, second } = row[Math.floor(c / group)]!;
  return first.integers[c % group]! * first.scale + (second ? second.integers[c % group]! * second.scale : 0);
};

/** Random weights of the format: every integer in its range, scales of many magnitudes. */
function randomWeight(bits: number, N: number, K: number, group: number) {
  const levels = bits === 8 ? 127 : 7;
  const groups = Math.ceil(K / group);
  const integers = Int8Array.from(randomArray(N * K, 2), (x) => Math.round(x * levels));
  const scales = randomArray(N * groups, 3).map((x, i) => fround(Math.abs(x) + 0.01) * 2 ** ((i % 7) - 3));
  return { integers, scales, bytes: toBlocks(bits, integers, scales, N, K, group) };
}

interface Case {
  bits: 4 | 8;
  M: number;
  N: number;
  K: number;
  group?: number;
  x?: Float32Array;
  bias?: boolean;
  activation?: Activation;
  threads?: number;
}

/** The product of a core, and the same sums in the order that integers-product.ts states, each rounded to f32. */
function multiply(core: Core, { bits, M, N, K, group = 32, x = randomArray(M * K, 1), bias: hasBias, activation = Activation.None, threads = 1 }: Case) {
  core.reset();
  const { region, rows } = quantize(core, x, M, K, group, bits, threads);
  const { integers, scales, bytes } = randomWeight(bits, N, K, group);
  const bias = hasBias ? randomArray(N, 4) : null;
  const out = core.output(M * N);
  const b = core.input(new Uint16Array(bytes.buffer));
  const shared = { out, a: region, b, bias: bias && core.input(bias), scratch: core.output((threads * MatmulScratch.Bytes) / 4), M, N, K, activation };
  if (bits === 8) core.run(Op.MatmulQ8NT, { ...shared, group }, threads);
  else core.run(Op.MatmulQ4NT, shared, threads);
  const groups = Math.ceil(K / group);
  const expected = new Float32Array(M * N);
  for (let i = 0; i < M; i++) {
    for (let j = 0; j < N; j++) {
      let sum = 0;
      const add = (g: number, { scale, integers: q }: Group): void => {
        let dot = 0;
        for (let k = 0; k < Math.min(group, K - g * group); k++) dot += q[k]! * integers[j * K + g * group + k]!;
        sum = fround(sum + fround(fround(fround(dot) * scales[j * groups + g]!) * scale));
      };
      for (let from = 0; from < groups; from += 32) {
        const some = rows[i]!.slice(from, from + 32);
        some.forEach(({ first }, g) => add(from + g, first));
        some.forEach(({ second }, g) => second && add(from + g, second));
      }
      expected[i * N + j] = bias ? fround(sum + bias[j]!) : sum;
    }
  }
  return { actual: out.read() as Float32Array, expected, rows, integers, scales };
}

const rowsGrid = [1, 2, 3, 4, 5, 6, 7, 11, 13, 17];
/** Random rows in which every third has an outlier, so that some groups of a tile have a second block. */
function withOutliers(M: number, K: number): Float32Array {
  const x = randomArray(M * K, 9);
  for (let i = 0; i < M; i += 3) x[i * K + ((i * 7) % K)]! *= 100;
  return x;
}

describeBuilds("integers", (core) => {
  it.each([8, 4] as const)("int%i gives the bits of the f64 model of the same integers, below, at and above tiles, panels and groups", (bits) => {
    const columns = [1, 2, 7, 8, 9, 16, 17, 31, 40];
    const depths = [1, 3, 4, 5, 31, 32, 33, 63, 64, 97, 131];
    for (const M of rowsGrid) {
      for (const [n, N] of columns.entries()) {
        const K = depths[(3 * M + n) % depths.length]!;
        const { actual, expected } = multiply(core, { bits, M, N, K, x: withOutliers(M, K), bias: M % 2 === 0 });
        expect(actual, `${M}x${N}x${K}`).toEqual(expected);
      }
    }
    for (const K of depths) for (const M of [1, 4]) expect(multiply(core, { bits, M, N: 19, K }).actual).toEqual(multiply(core, { bits, M, N: 19, K }).expected);
  });

  it.each([8, 4] as const)("int%i gives the model's bits for more than 32 groups and more than 144 rows", (bits) => {
    for (const [M, N, K] of [[1, 9, 1025], [5, 17, 2100], [147, 9, 65], [3, 8, 1024]] as const) {
      const { actual, expected } = multiply(core, { bits, M, N, K, x: withOutliers(M, K) });
      expect(actual).toEqual(expected);
    }
  });

  it("int8 with one group for a row gives the model's bits", () => {
    for (const [M, N, K] of [[1, 9, 45], [2, 17, 100], [7, 33, 300], [13, 8, 1031], [4, 9, 26_000]] as const) {
      const { actual, expected } = multiply(core, { bits: 8, M, N, K, group: Math.ceil(K / 32) * 32, x: withOutliers(M, K), bias: true });
      expect(actual).toEqual(expected);
    }
  });

  it.each([8, 4] as const)("int%i gives each row the same bits in products of 1 to 14 rows, in 1, 2, 3 and 7 slices", (bits) => {
    for (const [N, K] of [[1, 9], [19, 37], [33, 128], [70, 1100]] as const) {
      const x = withOutliers(14, K);
      const all = multiply(core, { bits, M: 14, N, K, x, bias: true, activation: Activation.Relu }).actual;
      for (let M = 1; M <= 14; M++) {
        for (const threads of [1, 2, 3, 7]) {
          const { actual } = multiply(core, { bits, M, N, K, x: x.slice(0, M * K), bias: true, activation: Activation.Relu, threads });
          expect(actual, `${M}x${N}x${K}`).toEqual(all.slice(0, M * N));
        }
      }
    }
  });

  it.each([8, 4] as const)("int%i multiplies the largest integers exactly: ±127 or ±7 by the largest activations", (bits) => {
    for (const M of [1, 6]) {
      for (const sign of [1, -1]) {
        core.reset();
        const [N, K] = [8, 64];
        const { region } = quantize(core, new Float32Array(M * K).fill(sign), M, K, 32, bits);
        const largest = bits === 8 ? 127 : 7;
        const weight = core.input(new Uint16Array(toBlocks(bits, new Int8Array(N * K).fill(-largest), new Float32Array(N * 2).fill(1), N, K, 32).buffer));
        const out = core.output(M * N);
        const operands = { out, a: region, b: weight, bias: null, scratch: core.output(MatmulScratch.Bytes / 4), M, N, K, activation: Activation.None };
        if (bits === 8) core.run(Op.MatmulQ8NT, { ...operands, group: 32 });
        else core.run(Op.MatmulQ4NT, operands);
        const group = fround(-sign * largest * levelsOf(bits) * 32 * fround(1 / levelsOf(bits)));
        expect([...out.read()]).toEqual(Array(M * N).fill(fround(2 * group)));
      }
    }
  });

  it.each([["NaN", NaN], ["Infinity", Infinity], ["−Infinity", -Infinity]])("%s in a row makes its outputs NaN, and no others", (_, value) => {
    for (const bits of [8, 4] as const) {
      for (const M of [2, 9]) {
        for (const at of [0, 33, 44]) {
          const x = randomArray(M * 45, 1);
          x[45 + at] = value;
          const { actual } = multiply(core, { bits, M, N: 11, K: 45, x, bias: true });
          expect([...actual.keys()].filter((i) => Number.isNaN(actual[i]))).toEqual(Array.from({ length: 11 }, (_, j) => 11 + j));
        }
      }
    }
  });

  it.each([8, 4] as const)("activations for int%i differ from their integers by at most half a scale: constant, zero, huge, tiny, ties, tails", (bits) => {
    const levels = levelsOf(bits);
    for (const C of [1, 31, 32, 33, 100]) {
      const x = randomArray(9 * C, 5);
      x.fill(3, 0, C);
      x.fill(0, C, 2 * C);
      for (let c = 0; c < C; c++) {
        x[2 * C + c]! *= 3e38;
        x[3 * C + c]! *= 1e-37;
        x[4 * C + c]! *= 1e-44;
        x[5 * C + c] = c === 0 ? levels : (c % levels) + 0.5; // ties, if the scale is 1
        x[6 * C + c] = -0;
      }
      x[7 * C] = 1000;
      core.reset();
      const { rows } = quantize(core, x, 9, C, 32, bits);
      for (let r = 0; r < 9; r++) {
        for (let c = 0; c < C; c++) {
          const { first, second } = rows[r]![Math.floor(c / 32)]!;
          expect(Math.abs(first.integers[c % 32]!)).toBeLessThanOrEqual(levels);
          const bound = ((second ?? first).scale / 2) * (1 + 2 ** -16) + (second ? first.scale * 2 ** -17 : 0);
          const error = Math.abs(x[r * C + c]! - valueOf(rows[r]!, c, 32));
          if (!(error <= bound)) expect.fail(`row ${r}, column ${c}: ${x[r * C + c]} has the error ${error} with the scale ${first.scale}`);
        }
        for (let c = C; c % 32 !== 0; c++) expect(rows[r]![Math.floor(c / 32)]!.first.integers[c % 32]).toBe(0);
      }
      expect(rows[0]!.every(({ first: { integers, scale }, second }, g) => second === null && scale > 0 && integers.every((q, k) => q === (g * 32 + k < C ? levels : 0)))).toBe(true);
      expect(rows[1]!.every(({ first }) => first.integers.every((q) => q === 0))).toBe(true);
    }
  });

  it.each([8, 4] as const)("one channel 100 times the others costs an int%i product at most one percent of its norm, and random rows have no second blocks", (bits) => {
    for (const K of [32, 64, 96, 256, 768, 2048]) {
      for (const isNormal of [false, true]) {
        const u = randomArray(6 * 12 * K, 8);
        const x = Float32Array.from({ length: 6 * K }, (_, i) => (isNormal ? u.subarray(12 * i, 12 * i + 12).reduce((sum, v) => sum + v) / 2 : u[i]!));
        const plain = multiply(core, { bits, M: 6, N: 1, K, x }).rows;
        if (K >= 256) expect(plain.flat().filter(({ second }) => second).length).toBe(0);
        for (let r = 0; r < 6; r++) x[r * K + 17] = (r % 2 ? -100 : 100) * (isNormal ? 1 : 0.577);
        const { actual, integers, scales } = multiply(core, { bits, M: 6, N: 64, K, x });
        let [error, norm] = [0, 0];
        for (let i = 0; i < 6; i++) {
          for (let j = 0; j < 64; j++) {
            let exact = 0;
            for (let k = 0; k < K; k++) exact += x[i * K + k]! * integers[j * K + k]! * scales[j * Math.ceil(K / 32) + Math.floor(k / 32)]!;
            error += (actual[i * 64 + j]! - exact) ** 2;
            norm += exact ** 2;
          }
        }
        expect(Math.sqrt(error / norm), `K=${K}`).toBeLessThan(0.01);
      }
    }
  });

  it("writes nothing if the output is empty", () => {
    for (const bits of [8, 4] as const) for (const [M, N] of [[0, 5], [5, 0]] as const) multiply(core, { bits, M, N, K: 3, threads: 3 });
  });
});

describe("integers", () => {
  it("all builds compute the same integers, scales and products", () => {
    const [M, N, K] = [9, 21, 1100];
    for (const bits of [8, 4] as const) {
      const results = builds.map((build) => {
        const { actual, rows } = multiply(Core.load(build), { bits, M, N, K, x: withOutliers(M, K), bias: true, activation: Activation.Relu });
        return { actual, rows };
      });
      for (const result of results) expect(result).toEqual(results[0]);
    }
  });
});
