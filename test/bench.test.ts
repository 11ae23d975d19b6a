import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
// @ts-expect-error the benchmarks are plain JavaScript
import { encode } from "../bench/checkout.mjs";
// @ts-expect-error the same
import { ratioOf } from "../bench/compare.mjs";
// @ts-expect-error the same
import { asOlder } from "../bench/compare/older.mjs";
// @ts-expect-error the same
import { halfBits, interleaved, tokenText, types } from "../bench/peers/gguf.mjs";
// @ts-expect-error the same
import { random } from "../bench/random.mjs";
// @ts-expect-error the same
import { generated, replaced } from "../bench/readme.mjs";
// @ts-expect-error the same
import { readResults } from "../bench/results.mjs";

const root = fileURLToPath(new URL("../", import.meta.url));
const bench = (...args: string[]) => spawnSync(process.execPath, args, { cwd: root, encoding: "utf8" });

describe("the tables generated from bench/results.json", () => {
  for (const [path, write] of generated as [string, (results: unknown) => string][]) {
    it(`are up to date in ${path.slice(3)} (npm run bench:readme)`, () => {
      const text = readFileSync(new URL(path, new URL("../bench/", import.meta.url)), "utf8");
      expect((replaced as (text: string, block: string) => string)(text, write((readResults as () => unknown)()))).toBe(text);
    });
  }
});

describe("an instruction in a benchmark", () => {
  const signature = [{ name: "out", type: "Out" }, { name: "bias", type: "MaybeIn" }, { name: "n", type: "Count" }, { name: "flag", type: "Flag" }, { name: "factor", type: "Scalar" }];
  const checkout = { constants: { Op: { Scale: 7 } }, signatures: new Map([["Scale", signature]]) };

  it("has its operands in signature order, with scalars as the bits of an f32", () => {
    expect(encode(checkout, "Scale", { factor: 1.5, flag: true, n: 3, bias: null, out: 64 })).toEqual([7, 7, 64, 0, 3, 1, 0x3fc00000]);
  });

  it("throws for an operand that is missing, unknown or not a number", () => {
    const operands = { out: 64, bias: null, n: 3, flag: 0, factor: 1 };
    expect(() => encode(checkout, "Scale", { ...operands, bias: undefined })).toThrow("missing or not numbers [bias]");
    expect(() => encode(checkout, "Scale", { ...operands, n: NaN })).toThrow("missing or not numbers [n]");
    expect(() => encode(checkout, "Scale", { ...operands, weight: 0 })).toThrow("unknown operands [weight]");
    expect(() => encode(checkout, "Shrink", operands)).toThrow("there is no instruction Shrink");
  });
});

describe("an instruction for an older checkout", () => {
  const older = ["out", "q", "H", "D", "ldk", "causal"].map((name) => ({ name, type: "i32" }));
  const operands = { out: 64, q: 128, H: 2, Hkv: 2, D: 8, tokenK: 16, dimK: 1, headK: 8, past: null, left: 1 << 30, right: 0 };

  it("has the older operands, computed from the current ones", () => {
    expect(asOlder(older, operands)).toEqual({ out: 64, q: 128, H: 2, D: 8, ldk: 16, causal: true });
    expect(asOlder(older, { ...operands, right: 1 << 30 })).toMatchObject({ causal: false });
  });

  it("is unchanged if the signatures agree", () => {
    expect(asOlder(Object.keys(operands).map((name) => ({ name, type: "Count" })), operands)).toEqual(operands);
  });

  it("throws if the older kernel would compute something else", () => {
    expect(() => asOlder(older, { ...operands, Hkv: 1 })).toThrow("no operand Hkv = 1");
    expect(() => asOlder(older, { ...operands, past: 256 })).toThrow("no operand past = 256");
    expect(() => asOlder(older, { ...operands, left: 4 })).toThrow("no operand left = 4");
    expect(() => asOlder(older, { ...operands, right: 1 })).toThrow("no operand right = 1");
  });
});

describe("a ratio of pairs", () => {
  it("is the median of before/after, regardless of outliers", () => {
    const pairs = Array.from({ length: 29 }, (_, i) => [2, i % 10 === 0 ? 100 : 1]);
    expect(ratioOf(pairs)).toMatchObject({ ratio: 2, lower: 2 });
  });

  it("has a lower bound below its median if pairs vary, and the same bound every time", () => {
    const pairs = Array.from({ length: 30 }, (_, i) => [1 + i / 100, 1]);
    const { ratio, lower } = ratioOf(pairs);
    expect(ratio).toBeCloseTo(1.14);
    expect(lower).toBeGreaterThan(1.05);
    expect(lower).toBeLessThan(1.13);
    expect(ratioOf(pairs)).toEqual({ ratio, lower });
  });
});

describe("a GGUF file's", () => {
  const values = (random as (length: number) => Float32Array)(64);
  /** The largest error of an encoded block, in units of its scale. */
  function worst(type: "q8_0" | "q4_0", bytes: number, decode: (block: Uint8Array, i: number) => number): number {
    const encoded = types[type].encode(values) as Uint8Array;
    expect(encoded.length).toBe(2 * bytes);
    let largest = 0;
    for (let i = 0; i < 64; i++) {
      const block = encoded.subarray(i < 32 ? 0 : bytes, i < 32 ? bytes : 2 * bytes);
      const bits = block[0]! | (block[1]! << 8);
      const scale = (bits & 0x8000 ? -1 : 1) * 2 ** (((bits >> 10) & 31) - 15) * (1 + (bits & 1023) / 1024);
      largest = Math.max(largest, Math.abs(decode(block.subarray(2), i % 32) - values[i]! / scale));
    }
    return largest;
  }

  it("scales are the nearest f16, ties to even", () => {
    const bits = [0, 1, -2, 1 / 3, 65504, 2 ** -14, 2 ** -24, 1 + 2 ** -11, 1 + 3 * 2 ** -11].map(halfBits as (x: number) => number);
    expect(bits).toEqual([0, 0x3c00, 0xc000, 0x3555, 0x7bff, 0x0400, 1, 0x3c00, 0x3c02]);
  });

  it("q8_0 is within half a step, apart from the rounding of its scale", () => {
    expect(worst("q8_0", 34, (block, i) => (block[i]! << 24) >> 24)).toBeLessThan(0.5 + 127 * 2 ** -11);
  });

  it("q4_0 is within a step: its levels are −8 to 7", () => {
    expect(worst("q4_0", 18, (block, i) => (i < 16 ? block[i]! & 15 : block[i - 16]! >> 4) - 8)).toBeLessThan(1.01);
  });

  it("queries and keys have the halves of each head interleaved", () => {
    const rows = Float32Array.from({ length: 16 }, (_, i) => i >> 1);
    expect([...(interleaved(rows, { headSize: 4, columns: 2 }) as Float32Array)].filter((_, i) => i % 2 === 0)).toEqual([0, 2, 1, 3, 4, 6, 5, 7]);
  });

  it("tokens have a character each", () => {
    const texts = Array.from({ length: 32_000 - 259 }, (_, i) => (tokenText as (id: number) => string)(i + 259));
    expect(new Set(texts).size).toBe(texts.length);
    expect(texts.every((text) => [...text].length === 1)).toBe(true);
  });
});

it("compare.mjs runs kernels and cold starts of two checkouts", () => {
  for (const only of ["attention backward: Transformer", "load to first result"]) {
    const { status, stdout, stderr } = bench("bench/compare.mjs", "--before", root, "--only", only, "--build", "simd", "--pairs", "2", "--processes", "1");
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toMatch(new RegExp(`${only}.* simd +[\\d.]+ +[\\d.]+ ms +[\\d.]+ +[\\d.]+`));
    expect(stdout).toContain("\n1 rows");
  }
}, 120_000);

it.each([
  ["matmul", "NT 64x64x64"], ["ops", "attention forward: Vaswani base, decoder"], ["train", "nanogpt-cpu"], ["encode", "1x128"], ["decode", "nanogpt-cpu: 8"],
])("the suite %s runs", (suite, only) => {
  const { status, stdout, stderr } = bench("bench/run.mjs", "--suite", suite, "--only", only, "--seconds", "0");
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  for (const build of ["simd", "relaxed"]) expect(stdout).toMatch(new RegExp(`${only}.* ${build} +[\\d.]+ \\S`));
}, 120_000);
