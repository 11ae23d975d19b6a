import { AttentionScratch } from "../../../assembly/layouts";
import { Op } from "../../../assembly/opcodes";
import type { Graph } from "../graph";
import { formatShape } from "../shape";
import { Slice, type Tensor } from "../tensor";
import { expectDType, expectProbability, needsGradient } from "./shared";

/** What `selfAttention` and `crossAttention` take besides tensors. */
export interface AttentionOptions {
  heads: number;
  /** Query i sees keys up to i + (Tk − Tq): queries are aligned to the end of the keys. */
  causal?: boolean;
  /** i32 [B]: how many keys of each row are valid; all of them by default. */
  lengths?: Tensor<"i32"> | null;
  /** Probability of dropping a weight while training. */
  dropout?: number;
}

/** Where queries, keys and values stand: columns of token-major rows, so that projections need not be split or transposed. */
interface Operands {
  query: { tensor: Tensor; column: number };
  key: { tensor: Tensor; column: number };
  value: { tensor: Tensor; column: number };
}

/**
 * softmax(Q·Kᵀ/√D)·V of every head (Vaswani 2017, section 3.2), of one sequence with itself.
 * @param qkv  f32 [B, T, 3C]: queries, keys and values side by side, heads within each
 * @returns f32 [B, T, C], heads side by side
 *
 * @example
 * const qkv = graph.input([2, 10, 3 * 64]); //               two sequences of ten tokens, width 64
 * selfAttention(qkv, { heads: 4, causal: true }).shape; // [2, 10, 64]
 */
export function selfAttention(qkv: Tensor, options: AttentionOptions): Tensor {
  if (qkv.shape.length !== 3 || qkv.columns % 3 !== 0) throw new RangeError(`selfAttention: expected [B,T,3C], got ${formatShape(qkv.shape)}`);
  const C = qkv.columns / 3;
  return attention("selfAttention", C, { query: { tensor: qkv, column: 0 }, key: { tensor: qkv, column: C }, value: { tensor: qkv, column: 2 * C } }, options);
}

/**
 * Attention from one sequence to another.
 * @param q   f32 [B, Tq, C]
 * @param kv  f32 [B, Tk, 2C]: keys and values side by side
 * @returns f32 [B, Tq, C]
 *
 * @example
 * const lengths = graph.input([2], "i32"); //                valid keys of each sequence
 * crossAttention(graph.input([2, 5, 64]), graph.input([2, 10, 2 * 64]), { heads: 4, lengths }).shape; // [2, 5, 64]
 */
export function crossAttention(q: Tensor, kv: Tensor, options: AttentionOptions): Tensor {
  const C = kv.columns / 2;
  if (q.shape.length !== 3) throw new RangeError(`crossAttention: expected queries of shape [B,Tq,C], got ${formatShape(q.shape)}`);
  if (kv.shape.length !== 3) throw new RangeError(`crossAttention: expected keys and values of shape [B,Tk,2C], got ${formatShape(kv.shape)}`);
  if (q.columns !== C || q.shape[0] !== kv.shape[0]) {
    throw new RangeError(`crossAttention: queries and keys must agree in batch and width, got q=${formatShape(q.shape)} kv=${formatShape(kv.shape)}`);
  }
  return attention("crossAttention", C, { query: { tensor: q, column: 0 }, key: { tensor: kv, column: 0 }, value: { tensor: kv, column: C } }, options);
}

function attention(op: string, C: number, { query, key, value }: Operands, options: AttentionOptions): Tensor {
  const { heads: H, causal = false, lengths = null, dropout = 0 } = options;
  const graph: Graph = query.tensor.graph;
  const [B = 0, Tq = 0] = query.tensor.shape;
  const Tk = key.tensor.shape[1] ?? 0;
  const D = C / H;
  if (!Number.isInteger(H) || H < 1 || !Number.isInteger(D)) throw new RangeError(`${op}: the width ${C} is not divisible by ${H} heads`);
  if (lengths && lengths.size !== B) throw new RangeError(`${op}: expected one length for each of ${B} rows, got ${formatShape(lengths.shape)}`);
  if (lengths) expectDType(op, "i32 lengths", lengths, "i32");
  expectProbability(op, "a dropout probability", dropout);

  const p = graph.training ? dropout : 0;
  const rng = p > 0 ? graph.random() : null;
  const pairs = B * H * (causal ? causalPairs(Tq, Tk) : Tq * Tk);
  const [q, k, v] = [query, key, value].map(({ tensor, column }) => new Slice(tensor, column)) as [Slice, Slice, Slice];

  const shared = {
    q, k, v, lengths, rng, scratch: AttentionScratch.Base + AttentionScratch.PerDim * D, B, H, Tq, Tk, D,
    ldo: C, ldq: query.tensor.columns, ldk: key.tensor.columns, ldv: value.tensor.columns,
    scale: 1 / Math.sqrt(D), dropout: p, stream: p > 0 ? graph.stream() : 0, causal,
  };
  const out = graph.tensor([B, Tq, C], { needsGradient: needsGradient(query.tensor, key.tensor, value.tensor) });
  const lse = graph.tensor([B, H, Tq]);
  graph.emit(Op.AttentionForward, { out, lse, ...shared }, { flops: 4 * D * pairs });
  graph.differentiate(out, (dOut) => {
    // The kernel writes whole gradients of the projections: each tensor's slices once.
    const gradients = new Map([query, key, value].map(({ tensor }) => [tensor, graph.tensor(tensor.shape)]));
    const [dQ, dK, dV] = [query, key, value].map(({ tensor, column }) => new Slice(gradients.get(tensor)!, column)) as [Slice, Slice, Slice];
    graph.emit(Op.AttentionBackward, { dQ, dK, dV, dOut, out, lse, ...shared }, { flops: 10 * D * pairs });
    for (const [tensor, gradient] of gradients) graph.addGradient(tensor, gradient);
  });
  return out;
}

/** Σ over queries i of the keys they see: min(Tk, max(0, i + 1 + Tk − Tq)). */
function causalPairs(Tq: number, Tk: number): number {
  let pairs = 0;
  for (let i = 0; i < Tq; i++) pairs += Math.min(Tk, Math.max(0, i + 1 + Tk - Tq));
  return pairs;
}
