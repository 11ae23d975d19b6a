import { expect } from "vitest";
import { AttentionScratch, Page, Window } from "../../assembly/layouts";
import { Op } from "../../assembly/opcodes";
import { expectAllclose } from "../allclose";
import { randomArray, uniform } from "../random";
import { MICRO_BATCH, SEED, STEP, STREAM, type Inputs, type Shape, backward, forward } from "./attention.oracle";
import type { Core, Region } from "./core";

export interface Data extends Inputs {
  q: Float32Array;
  k: Float32Array;
  v: Float32Array;
  dOut: Float32Array;
  bias?: Float32Array | undefined;
}

export interface Layout {
  /** The token strides of [out, q, k, v], in floats; absent: dense. */
  ld?: readonly [number, number, number, number];
  /** q, k and v are columns of one tensor [B, T, (H + 2·Hkv)·D]. */
  fused?: boolean;
  /** Keys and values are in pages that are NaN everywhere else, with each head's keys as [D, 64] or as [64, D]. */
  pages?: "columns" | "rows";
  threads?: number;
  /** Runs only the forward pass. */
  forwardOnly?: boolean;
}

export interface Forward {
  out: Float32Array;
  lse: Float32Array;
}
export type Gradients = Record<"dQ" | "dK" | "dV" | "dBias", Float32Array>;

type Options = Partial<Shape> & { causal?: boolean };

/** `causal` is short for `right: 0`. */
export function shapeOf({ causal = false, ...shape }: Options): Shape {
  const right = causal ? 0 : Window.Unlimited;
  return { B: 1, H: 1, Hkv: shape.H ?? 1, Tq: 9, Tk: 9, D: 8, left: Window.Unlimited, right, dropout: 0, ...shape };
}

export function dataOf({ B, H, Hkv, Tq, Tk, D }: Shape, size = 1, seed = 1): Data {
  return {
    q: randomArray(B * Tq * H * D, seed, -size, size),
    k: randomArray(B * Tk * Hkv * D, seed + 1, -size, size),
    v: randomArray(B * Tk * Hkv * D, seed + 2),
    dOut: randomArray(B * Tq * H * D, seed + 3),
  };
}

/** Data with a bias per key and, optionally, per batch row, head and query. */
export function withBias(shape: Shape, data: Data, each: { batch?: boolean; head?: boolean; query?: boolean } = { batch: true, head: true, query: true }): Data {
  const ld = shape.Tk + 3;
  const row = each.query ? ld : 0;
  const head = each.head ? (each.query ? shape.Tq : 1) * ld : 0;
  const batch = each.batch ? (each.head ? shape.H : 1) * (each.query ? shape.Tq : 1) * ld : 0;
  const size = Math.max(ld, (shape.Tq - 1) * row + (shape.H - 1) * head + (shape.B - 1) * batch + ld);
  return { ...data, bias: randomArray(size, 99, -3, 3), biasStrides: [batch, head, row] };
}

/** Copies rows of C floats to rows that are `ld` apart, with NaN between them. */
function spread(x: Float32Array, C: number, ld: number): Float32Array {
  const rows = x.length / C;
  const out = new Float32Array(rows * ld).fill(NaN);
  for (let r = 0; r < rows; r++) out.set(x.subarray(r * C, r * C + C), r * ld);
  return out;
}

/** The inverse of `spread`, from column `first`. */
function gather(region: Region, C: number, ld: number, first = 0): Float32Array {
  const x = region.read() as Float32Array;
  const rows = x.length / ld;
  const out = new Float32Array(rows * C);
  for (let r = 0; r < rows; r++) out.set(x.subarray(r * ld + first, r * ld + first + C), r * C);
  return out;
}

const GAP = 5; // floats between pages

/** The strides of element d of head g of the n-th token of a page, for keys stored by columns or rows, and for values. */
export function pageStrides({ Hkv, D }: Shape, order: "columns" | "rows"): { tokenK: number; dimK: number; headK: number; pageK: number; tokenV: number; headV: number; pageV: number } {
  const head = Page.Tokens * D;
  const page = Hkv * head + GAP;
  return { tokenK: order === "columns" ? 1 : D, dimK: order === "columns" ? Page.Tokens : 1, headK: head, pageK: page, tokenV: D, headV: head, pageV: page };
}

/** A shuffled page table [B, P], with one more page than any row needs. */
export function pageTable({ B, Tk }: Shape): { pages: Int32Array; P: number; count: number } {
  const P = Math.ceil(Tk / Page.Tokens) + 1;
  const next = uniform(7);
  const pages = Int32Array.from(Array.from({ length: B * P }, (_, n) => ({ n, key: next() })).sort((a, b) => a.key - b.key).map(({ n }) => n));
  return { pages, P, count: B * P };
}

/** The operands of k and v in pages, which are NaN wherever there is no valid key. */
function inPages(core: Core, shape: Shape, data: Data, order: "columns" | "rows"): object {
  const { B, Hkv, Tk, D, lengths } = shape;
  const strides = pageStrides(shape, order);
  const { pages, P, count } = pageTable(shape);
  const k = new Float32Array(count * strides.pageK).fill(NaN);
  const v = new Float32Array(count * strides.pageV).fill(NaN);
  for (let b = 0; b < B; b++)
    for (let j = 0; j < Math.min(Tk, lengths?.[b] ?? Tk); j++)
      for (let g = 0; g < Hkv; g++)
        for (let d = 0; d < D; d++) {
          const page = pages[b * P + Math.floor(j / Page.Tokens)]!;
          const from = ((b * Tk + j) * Hkv + g) * D + d;
          k[page * strides.pageK + g * strides.headK + (j % Page.Tokens) * strides.tokenK + d * strides.dimK] = data.k[from]!;
          v[page * strides.pageV + g * strides.headV + (j % Page.Tokens) * strides.tokenV + d] = data.v[from]!;
        }
  return { k: core.input(k), v: core.input(v), pages: core.input(pages), P, ...strides };
}

/** The operands of k and v without pages, with tokens `ldk` and `ldv` floats apart. */
function inRows(k: Region | number, v: Region | number, { D }: Shape, ldk: number, ldv: number): object {
  return { k, v, pages: null, P: 0, tokenK: ldk, dimK: 1, headK: D, pageK: 0, tokenV: ldv, headV: D, pageV: 0 };
}

/** Fails unless all results are the same bit for bit; all NaNs are equal. */
export function expectSameBits<Name extends string>(actual: Record<Name, Float32Array>, expected: Record<Name, Float32Array>, message = ""): void {
  for (const name of Object.keys(expected) as Name[]) {
    const [a, e] = [actual[name], expected[name]];
    if (a.length !== e.length) expect.fail(`${name}: expected ${e.length} values, got ${a.length}`);
    for (let i = 0; i < e.length; i++) if (!Object.is(a[i], e[i])) expect.fail(`${name}[${i}]: expected ${e[i]}, got ${a[i]} ${message}`);
  }
}

/** Runs the forward pass and, unless keys are in pages, the backward pass. Fails if a gap between tokens changes. */
export function attention(core: Core, shape: Shape, data: Data, { ld, fused = false, pages, threads = 1, forwardOnly = pages !== undefined }: Layout = {}): Forward & Gradients {
  const { B, H, Hkv, Tq, Tk, D, left, right, past, lengths, dropout } = shape;
  const C = H * D;
  const Ckv = Hkv * D;
  const all = C + 2 * Ckv;
  const [ldo, ldq, ldk, ldv] = ld ?? (fused ? [C, all, all, all] : [C, C, Ckv, Ckv]);
  core.reset();
  const out = core.output(B * Tq * ldo);
  const lse = core.output(B * H * Tq);
  const dBias = core.output(B * H * Tq * Tk);
  const ints = (values: readonly number[] | undefined): Region | null => (values ? core.input(Int32Array.from(values)) : null);
  let dQ: Region, dK: Region, dV: Region, q: Region, keys: object;
  if (fused) {
    const tokens = spread(data.q, C, all);
    for (let r = 0; r < B * Tq; r++) {
      tokens.set(data.k.subarray(r * Ckv, r * Ckv + Ckv), r * all + C);
      tokens.set(data.v.subarray(r * Ckv, r * Ckv + Ckv), r * all + C + Ckv);
    }
    q = core.input(tokens);
    dQ = dK = dV = core.output(tokens.length);
    keys = inRows(q.address + 4 * C, q.address + 4 * (C + Ckv), shape, all, all);
  } else {
    q = core.input(spread(data.q, C, ldq));
    keys = pages ? inPages(core, shape, data, pages) : inRows(core.input(spread(data.k, Ckv, ldk)), core.input(spread(data.v, Ckv, ldv)), shape, ldk, ldv);
    [dQ, dK, dV] = [core.output(B * Tq * ldq), core.output(B * Tk * ldk), core.output(B * Tk * ldv)];
  }
  const [biasBatch, biasHead, biasRow] = data.biasStrides ?? [0, 0, 0];
  const operands = {
    out, lse, q, ...keys, bias: data.bias ? core.input(data.bias) : null, past: ints(past), lengths: ints(lengths),
    rng: dropout ? ints([...SEED, STEP, MICRO_BATCH]) : null,
    scratch: core.output((threads * (AttentionScratch.Base + AttentionScratch.PerDim * D)) / 4),
    B, H, Hkv, Tq, Tk, D, ldo, ldq, biasBatch, biasHead, biasRow, left, right, scale: 1 / Math.sqrt(D), dropout, stream: STREAM,
  };
  core.run(Op.AttentionForward, operands as never, threads);
  if (!forwardOnly) {
    const address = (region: Region, column: number): number => region.address + (fused ? 4 * column : 0);
    const gradients = { dQ, dK: address(dK, C), dV: address(dV, C + Ckv), dBias, dOut: core.input(spread(data.dOut, C, ldo)) };
    const { pages: _, P, pageK, pageV, ...others } = operands as typeof operands & Record<"pages" | "P" | "pageK" | "pageV", unknown>;
    core.run(Op.AttentionBackward, { ...gradients, ...others } as never, threads);
  }
  if (!fused && !forwardOnly) {
    for (const [region, width, pitch] of [[out, C, ldo], [dQ, C, ldq], [dK, Ckv, ldk], [dV, Ckv, ldv]] as const) {
      const x = region.read();
      for (let e = 0; e < x.length; e++) if (e % pitch >= width && !Number.isNaN(x[e]!)) expect.fail(`wrote between tokens, at ${e}`);
    }
  }
  return {
    out: gather(out, C, ldo),
    lse: lse.read() as Float32Array,
    dQ: gather(dQ, C, ldq),
    dK: gather(dK, Ckv, ldk, fused ? C : 0),
    dV: gather(dV, Ckv, ldv, fused ? C + Ckv : 0),
    dBias: dBias.read() as Float32Array,
  };
}

const oracles = new Map<string, ReturnType<typeof forward> & ReturnType<typeof backward>>();

/** Compares both passes with the f64 oracle. `bias` lists the dimensions over which the bias varies. */
export function expectExact(core: Core, shape: Shape, { size = 1, bias, ...layout }: Layout & { size?: number; bias?: Parameters<typeof withBias>[2] } = {}): void {
  const data = bias ? withBias(shape, dataOf(shape, size), bias) : dataOf(shape, size);
  const key = JSON.stringify([shape, size, bias]);
  const expected = oracles.get(key) ?? { ...forward(shape, data), ...backward(shape, data, data.dOut) };
  oracles.set(key, expected);
  const actual = attention(core, shape, data, layout);
  for (const name of ["out", "lse", ...(layout.pages ? [] : (["dQ", "dK", "dV", "dBias"] as const))] as const) {
    try {
      expectAllclose(actual[name], expected[name], { rtol: 1e-5, atol: 3e-6 * size });
    } catch (error) {
      throw new Error(`${name} of ${key}${layout.pages ? ` in pages by ${layout.pages}` : ""}: ${(error as Error).message}`);
    }
  }
}
