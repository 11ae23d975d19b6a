import { philox } from "../../host/data/random";

/** One attention call. The oracle's tensors are dense: q [B, Tq, H, D], k and v [B, Tk, Hkv, D]. */
export interface Shape {
  B: number;
  H: number;
  Hkv: number;
  Tq: number;
  Tk: number;
  D: number;
  /** The number of keys before and after its own position that a query attends to. */
  left: number;
  right: number;
  /** The position of each batch row's first query; absent: Tk − Tq. */
  past?: readonly number[];
  /** The number of valid keys in each batch row; absent: all. */
  lengths?: readonly number[];
  dropout: number;
}

export interface Inputs {
  q: ArrayLike<number>;
  k: ArrayLike<number>;
  v: ArrayLike<number>;
  bias?: ArrayLike<number> | undefined;
  /** The strides of the bias, in elements, between batch rows, heads and queries; 0 broadcasts. */
  biasStrides?: readonly [number, number, number] | undefined;
}

export const SEED = [11, 22] as const;
export const STEP = 33;
export const MICRO_BATCH = 44;
export const STREAM = 5;

/** Whether query i of a batch row attends to key j. */
export function sees({ Tq, Tk, left, right, past, lengths }: Shape, b: number, i: number, j: number): boolean {
  const position = (past?.[b] ?? Tk - Tq) + i;
  return j < (lengths?.[b] ?? Tk) && j >= position - left && j <= position + right;
}

/** The factor by which dropout multiplies the weight (head, i, j), with head = b·H + h. */
export function kept({ Tq, Tk, dropout }: Shape, head: number, i: number, j: number): number {
  if (dropout === 0) return 1;
  const block = (head * Tq + i) * Math.ceil(Tk / 8) + (j >> 3);
  const word = philox(SEED, [block, STREAM, STEP, MICRO_BATCH])[(j & 7) >> 1]!;
  const half = j & 1 ? word >>> 16 : word & 0xffff;
  return half >= Math.round(dropout * 65536) ? 1 / (1 - dropout) : 0;
}

/** The offsets of query i of head h, and of the key and value j that it reads. */
const queryAt = ({ H, Tq, D }: Shape, b: number, h: number, i: number): number => ((b * Tq + i) * H + h) * D;
const keyAt = ({ H, Hkv, Tk, D }: Shape, b: number, h: number, j: number): number => ((b * Tk + j) * Hkv + Math.floor(h / (H / Hkv))) * D;

function dot(D: number, x: ArrayLike<number>, xAt: number, y: ArrayLike<number>, yAt: number): number {
  let total = 0;
  for (let d = 0; d < D; d++) total += x[xAt + d]! * y[yAt + d]!;
  return total;
}

/** The softmax weights and log Σ exp of one query over the keys it attends to, in f64. */
export function weights(shape: Shape, { q, k, bias, biasStrides }: Inputs, b: number, h: number, i: number): { P: Float64Array; lse: number; seen: number[] } {
  const { Tk, D } = shape;
  const [batch, head, row] = biasStrides ?? [0, 0, 0];
  const seen = Array.from({ length: Tk }, (_, j) => j).filter((j) => sees(shape, b, i, j));
  const added = (j: number): number => (bias ? bias[b * batch + h * head + i * row + j]! : 0);
  const scores = seen.map((j) => dot(D, q, queryAt(shape, b, h, i), k, keyAt(shape, b, h, j)) / Math.sqrt(D) + added(j));
  const largest = scores.reduce((a, x) => (a < x ? x : a), -Infinity);
  const powers = scores.map((x) => Math.exp(x - (largest === -Infinity ? 0 : largest)));
  const sum = powers.reduce((a, x) => a + x, 0);
  const P = new Float64Array(Tk);
  seen.forEach((j, n) => (P[j] = sum === 0 ? 0 : powers[n]! / sum));
  return { P, lse: largest + Math.log(sum), seen };
}

function forEachQuery({ B, H, Tq }: Shape, visit: (b: number, h: number, i: number) => void): void {
  for (let b = 0; b < B; b++) for (let h = 0; h < H; h++) for (let i = 0; i < Tq; i++) visit(b, h, i);
}

/** out [B, Tq, H, D] and lse [B, H, Tq]. */
export function forward(shape: Shape, inputs: Inputs): { out: Float64Array; lse: Float64Array } {
  const { B, H, Tq, D } = shape;
  const out = new Float64Array(B * Tq * H * D);
  const lse = new Float64Array(B * H * Tq);
  forEachQuery(shape, (b, h, i) => {
    const row = weights(shape, inputs, b, h, i);
    lse[(b * H + h) * Tq + i] = row.lse;
    for (const j of row.seen) {
      const weight = row.P[j]! * kept(shape, b * H + h, i, j);
      for (let d = 0; d < D; d++) out[queryAt(shape, b, h, i) + d]! += weight * inputs.v[keyAt(shape, b, h, j) + d]!;
    }
  });
  return { out, lse };
}

/** The gradients of Σ dOut·out; dBias is dense, [B, H, Tq, Tk]. */
export function backward(shape: Shape, inputs: Inputs, dOut: ArrayLike<number>): Record<"dQ" | "dK" | "dV" | "dBias", Float64Array> {
  const { B, H, Hkv, Tq, Tk, D } = shape;
  const dQ = new Float64Array(B * Tq * H * D);
  const dK = new Float64Array(B * Tk * Hkv * D);
  const dV = new Float64Array(B * Tk * Hkv * D);
  const dBias = new Float64Array(B * H * Tq * Tk);
  forEachQuery(shape, (b, h, i) => {
    const { P, seen } = weights(shape, inputs, b, h, i);
    const query = queryAt(shape, b, h, i);
    const mask = seen.map((j) => kept(shape, b * H + h, i, j));
    const dP = seen.map((j, n) => dot(D, dOut, query, inputs.v, keyAt(shape, b, h, j)) * mask[n]!);
    const delta = seen.reduce((a, j, n) => a + P[j]! * dP[n]!, 0);
    seen.forEach((j, n) => {
      const key = keyAt(shape, b, h, j);
      const dScore = P[j]! * (dP[n]! - delta);
      dBias[((b * H + h) * Tq + i) * Tk + j] = dScore;
      for (let d = 0; d < D; d++) {
        dQ[query + d]! += (dScore / Math.sqrt(D)) * inputs.k[key + d]!;
        dK[key + d]! += (dScore / Math.sqrt(D)) * inputs.q[query + d]!;
        dV[key + d]! += P[j]! * mask[n]! * dOut[query + d]!;
      }
    });
  });
  return { dQ, dK, dV, dBias };
}
