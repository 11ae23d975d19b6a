import { expect, it } from "vitest";
import { Page } from "../../assembly/layouts";
import { Op } from "../../assembly/opcodes";
import { randomArray } from "../random";
import { expectSameBits, pageStrides, pageTable, shapeOf } from "./attention";
import { type Core, describeBuilds } from "./core";

interface Append {
  B: number;
  T: number;
  Hkv: number;
  D: number;
  past: readonly number[];
  counts?: readonly number[];
  order: "columns" | "rows";
}

/** Checks one append to pages filled with −1. */
function expectAppended(core: Core, { B, T, Hkv, D, past, counts, order }: Append, threads: number): void {
  const shape = shapeOf({ B, H: Hkv, Hkv, D, Tk: Math.max(...past) + T });
  const strides = pageStrides(shape, order);
  const { pages, P, count } = pageTable(shape);
  const C = Hkv * D;
  const [ldk, ldv] = [C + 3, C + 7];
  const [k, v] = [randomArray(B * T * ldk, 1), randomArray(B * T * ldv, 2)];
  const expected = { k: new Float32Array(count * strides.pageK).fill(-1), v: new Float32Array(count * strides.pageV).fill(-1) };
  core.reset();
  const [kPages, vPages] = [core.input(expected.k), core.input(expected.v)];
  for (let b = 0; b < B; b++)
    for (let t = 0; t < Math.min(T, counts?.[b] ?? T); t++)
      for (let g = 0; g < Hkv; g++)
        for (let d = 0; d < D; d++) {
          const page = pages[b * P + Math.floor((past[b]! + t) / Page.Tokens)]!;
          const token = (past[b]! + t) % Page.Tokens;
          expected.k[page * strides.pageK + g * strides.headK + token * strides.tokenK + d * strides.dimK] = k[(b * T + t) * ldk + g * D + d]!;
          expected.v[page * strides.pageV + g * strides.headV + token * strides.tokenV + d] = v[(b * T + t) * ldv + g * D + d]!;
        }
  core.run(Op.CacheKeyValue, {
    kPages, vPages, k: core.input(k), v: core.input(v), pages: core.input(pages), past: core.input(Int32Array.from(past)),
    counts: counts ? core.input(Int32Array.from(counts)) : null, B, T, Hkv, D, P, ldk, ldv, ...strides,
  }, threads);
  expectSameBits({ k: kPages.read() as Float32Array, v: vPages.read() as Float32Array }, expected);
}

describeBuilds("cacheKeyValue", (core) => {
  it("writes each token to its place in its page, and nothing else, with 1 and 3 threads", () => {
    for (const order of ["columns", "rows"] as const) {
      for (const threads of [1, 3]) {
        for (const T of [1, 2, 5, 64, 70, 130]) {
          for (const D of [1, 3, 8, 20]) {
            for (const past of [[0, 1, 2], [61, 63, 64], [65, 128, 7]]) {
              expectAppended(core, { B: 3, T, Hkv: 2, D, past, order }, threads);
            }
          }
        }
      }
    }
  });

  it("writes the first counts[b] tokens of each batch row", () => {
    for (const order of ["columns", "rows"] as const) {
      expectAppended(core, { B: 4, T: 9, Hkv: 3, D: 5, past: [0, 60, 62, 5], counts: [0, 9, 5, 20], order }, 2);
    }
  });

  it.runIf(core.build === "debug")("asserts that a batch row's pages hold its tokens, and that page numbers are not negative", () => {
    expect(() => expectAppended(core, { B: 1, T: 2, Hkv: 1, D: 4, past: [-1], order: "columns" }, 1)).toThrow("assertion failed");
  });
});
