import { philox } from "../../host/data/random";

/** One attention call; the tensors of the oracle are dense, [B, T, H, D]. */
export interface Shape {
  B: number;
  H: number;
  Tq: number;
  Tk: number;
  D: number;
  causal: boolean;
  /** Valid keys of each batch row; absent: all. */
  lengths?: readonly number[];
  dropout: number;
}

export interface Inputs {
  q: ArrayLike<number>;
  k: ArrayLike<number>;
  v: ArrayLike<number>;
}

export const SEED = [11, 22] as const;
export const STEP = 33;
export const MICRO_BATCH = 44;
export const STREAM = 5;

/** Whether query i of a head sees key j. */
export function sees({ Tq, Tk, causal, lengths }: Shape, b: number, i: number, j: number): boolean {
  return j < (lengths?.[b] ?? Tk) && (!causal || j <= i + Tk - Tq);
}

/** What dropout multiplies the weight (head, i, j) by; head = b·H + h. */
export function kept({ Tq, Tk, dropout }: Shape, head: number, i: number, j: number): number {
  if (dropout === 0) return 1;
  const block = (head * Tq + i) * Math.ceil(Tk / 8) + (j >> 3);
  const word = philox(SEED, [block, STREAM, STEP, MICRO_BATCH])[(j & 7) >> 1]!;
  const half = j & 1 ? word >>> 16 : word & 0xffff;
  return half >= Math.round(dropout * 65536) ? 1 / (1 - dropout) : 0;
}

/** Softmax weights and log Σ exp of one query, over the keys it sees, in f64. */
function weights(shape: Shape, { q, k }: Inputs, b: number, h: number, i: number): { P: Float64Array; lse: number; seen: number[] } {
  const { H, Tq, Tk, D } = shape;
  const seen = Array.from({ length: Tk }, (_, j) => j).filter((j) => sees(shape, b, i, j));
  const score = (j: number): number => {
    let total = 0;
    for (let d = 0; d < D; d++) total += q[((b * Tq + i) * H + h) * D + d]! * k[((b * Tk + j) * H + h) * D + d]!;
    return total / Math.sqrt(D);
  };
  const scores = seen.map(score);
  const largest = scores.reduce((a, x) => (a < x ? x : a), -Infinity);
  const powers = scores.map((x) => Math.exp(x - largest));
  const sum = powers.reduce((a, x) => a + x, 0);
  const P = new Float64Array(Tk);
  seen.forEach((j, n) => (P[j] = powers[n]! / sum));
  return { P, lse: seen.length ? largest + Math.log(sum) : -Infinity, seen };
}

/** out [B, Tq, H, D] and lse [B, H, Tq]. */
export function forward(shape: Shape, inputs: Inputs): { out: Float64Array; lse: Float64Array } {
  const { B, H, Tq, Tk, D } = shape;
  const out = new Float64Array(B * Tq * H * D);
  const lse = new Float64Array(B * H * Tq);
  for (let b = 0; b < B; b++)
    for (let h = 0; h < H; h++)
      for (let i = 0; i < Tq; i++) {
        const row = weights(shape, inputs, b, h, i);
        lse[(b * H + h) * Tq + i] = row.lse;
        for (const j of row.seen) {
          const weight = row.P[j]! * kept(shape, b * H + h, i, j);
          for (let d = 0; d < D; d++) out[((b * Tq + i) * H + h) * D + d]! += weight * inputs.v[((b * Tk + j) * H + h) * D + d]!;
        }
      }
  return { out, lse };
}

/** The gradients of Σ dOut·out. */
export function backward(shape: Shape, inputs: Inputs, dOut: ArrayLike<number>): { dQ: Float64Array; dK: Float64Array; dV: Float64Array } {
  const { B, H, Tq, Tk, D } = shape;
  const dQ = new Float64Array(B * Tq * H * D);
  const dK = new Float64Array(B * Tk * H * D);
  const dV = new Float64Array(B * Tk * H * D);
  for (let b = 0; b < B; b++)
    for (let h = 0; h < H; h++)
      for (let i = 0; i < Tq; i++) {
        const { P, seen } = weights(shape, inputs, b, h, i);
        const mask = seen.map((j) => kept(shape, b * H + h, i, j));
        const dP = seen.map((j, n) => {
          let total = 0;
          for (let d = 0; d < D; d++) total += dOut[((b * Tq + i) * H + h) * D + d]! * inputs.v[((b * Tk + j) * H + h) * D + d]!;
          return total * mask[n]!;
        });
        const delta = seen.reduce((a, j, n) => a + P[j]! * dP[n]!, 0);
        seen.forEach((j, n) => {
          const dS = (P[j]! * (dP[n]! - delta)) / Math.sqrt(D);
          for (let d = 0; d < D; d++) {
            const query = ((b * Tq + i) * H + h) * D + d;
            const key = ((b * Tk + j) * H + h) * D + d;
            dQ[query]! += dS * inputs.k[key]!;
            dK[key]! += dS * inputs.q[query]!;
            dV[key]! += P[j]! * mask[n]! * dOut[query]!;
          }
        });
      }
  return { dQ, dK, dV };
}
