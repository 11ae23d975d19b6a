import { AttentionScratch, Window } from "../../../assembly/layouts";
import { Op } from "../../../assembly/opcodes";
import { checkConfig, count, type Fields, flag, object, optional, positive, share, typed, whole } from "../../fields";
import type { Graph } from "../graph";
import { formatShape, sameShape } from "../shape";
import { Slice, Tensor } from "../tensor";
import { type Columns, LayerKeyValues } from "./keyvalues";
import { expectDType, expectShape, expectTensor, needsGradient } from "./shared";

/** Options of attention, besides queries, keys and values. */
export interface AttentionOptions {
  /** Number of query heads. */
  heads: number;
  /** Number of key and value heads, each shared by heads/keyValueHeads query heads (Ainslie et al. 2023); `heads` by default. */
  keyValueHeads?: number;
  /** Width of a head; by default, the columns divided by the number of heads. */
  headSize?: number;
  /** Factor applied to the scores; 1/√headSize by default. */
  scale?: number;
  /** Query i attends to keys up to past + i, where past is Tk − Tq by default. Shorthand for `window: { right: 0 }`. */
  causal?: boolean;
  /** Query i attends to keys from past + i − left to past + i + right; to all keys by default. */
  window?: { left?: number; right?: number };
  /** i32 [B]: the position of each row's first query within its keys; Tk − Tq by default. */
  past?: Tensor<"i32"> | null;
  /** i32 [B]: how many keys of each row are valid; all of them by default. */
  lengths?: Tensor<"i32"> | null;
  /** f32 [B or 1, heads or 1, Tq, Tk], added to the scaled scores. */
  bias?: Tensor | null;
  /** Probability of dropping an attention weight during training. */
  dropout?: number;
}

const tensor = optional(typed("a tensor or null", (value) => value === null || value instanceof Tensor));
const keys = optional({
  ...whole,
  expected: "an integer from 0 to 2^30",
  accepts: (value) => whole.accepts(value) && (value as number) <= Window.Unlimited,
});
const fields: Fields<AttentionOptions> = {
  heads: count, keyValueHeads: optional(count), headSize: optional(count), scale: optional(positive), causal: optional(flag),
  window: optional(object), past: tensor, lengths: tensor, bias: tensor, dropout: optional(share),
};
const windowFields = { left: keys, right: keys };

/**
 * Self-attention: softmax(Q·Kᵀ/√D)·V for each head (Vaswani 2017, section 3.2).
 * @param qkv    f32 [B, T, (heads + 2·keyValueHeads)·D]: query heads, key heads and value heads side by side
 * @param cache  receives the keys and values of this run first; queries attend to everything it holds
 * @returns f32 [B, T, heads·D], heads side by side
 * @throws RangeError if the shapes do not match
 *
 * @example
 * const qkv = graph.input([2, 10, 3 * 64]); //               two sequences of ten tokens, width 64
 * selfAttention(qkv, { heads: 4, causal: true }).shape; // [2, 10, 64]
 */
export function selfAttention(qkv: Tensor, options: AttentionOptions, cache?: LayerKeyValues): Tensor {
  expectTensor("selfAttention", "a tensor", qkv);
  checkConfig("selfAttention", options, fields);
  const { heads, keyValueHeads = heads } = options;
  const D = options.headSize ?? qkv.columns / (heads + 2 * keyValueHeads);
  if (qkv.shape.length !== 3 || !Number.isInteger(D) || qkv.columns !== (heads + 2 * keyValueHeads) * D) {
    const expected = keyValueHeads === heads ? `[B,T,3·C], C divisible by ${heads} heads` : `[B,T,(${heads} + 2·${keyValueHeads})·D]`;
    throw new RangeError(`selfAttention: expected ${expected}, got ${formatShape(qkv.shape)}`);
  }
  const columns = [0, heads * D, (heads + keyValueHeads) * D];
  const [query, key, value] = columns.map((column) => ({ tensor: qkv, column })) as [Columns, Columns, Columns];
  if (!cache) return attention("selfAttention", query, { key, value }, { ...options, headSize: D });
  cache.append(key, value);
  return attention("selfAttention", query, cache, { ...options, headSize: D, past: cache.all.past });
}

/**
 * Attention from one sequence to another.
 * @param q   f32 [B, Tq, heads·D]
 * @param kv  f32 [B, Tk, 2·keyValueHeads·D], keys and values side by side; or a cache that holds them
 * @returns f32 [B, Tq, heads·D]
 * @throws RangeError if the shapes do not match
 *
 * @example
 * const lengths = graph.input([2], "i32"); //                valid keys of each sequence
 * crossAttention(graph.input([2, 5, 64]), graph.input([2, 10, 2 * 64]), { heads: 4, lengths }).shape; // [2, 5, 64]
 */
export function crossAttention(q: Tensor, kv: Tensor | LayerKeyValues, options: AttentionOptions): Tensor {
  expectTensor("crossAttention", "queries", q);
  if (!(kv instanceof LayerKeyValues)) expectTensor("crossAttention", "keys and values", kv);
  checkConfig("crossAttention", options, fields);
  const { heads, keyValueHeads = heads, headSize = q.columns / heads } = options;
  if (q.shape.length !== 3 || q.columns !== heads * headSize) {
    throw new RangeError(`crossAttention: expected queries of shape [B,Tq,${heads}·D], got ${formatShape(q.shape)}`);
  }
  const query = { tensor: q, column: 0 };
  if (kv instanceof LayerKeyValues) return attention("crossAttention", query, kv, { ...options, headSize, lengths: kv.all.past });
  if (kv.shape.length !== 3 || kv.columns !== 2 * keyValueHeads * headSize || kv.shape[0] !== q.shape[0]) {
    const expected = `[${q.shape[0]},Tk,${2 * keyValueHeads * headSize}] for queries ${formatShape(q.shape)}`;
    throw new RangeError(`crossAttention: expected keys and values of shape ${expected}, got ${formatShape(kv.shape)}`);
  }
  const source = { key: { tensor: kv, column: 0 }, value: { tensor: kv, column: keyValueHeads * headSize } };
  return attention("crossAttention", query, source, { ...options, headSize });
}

function attention(
  op: string, query: Columns, source: { key: Columns; value: Columns } | LayerKeyValues, options: AttentionOptions & { headSize: number },
): Tensor {
  const { heads: H, keyValueHeads: Hkv = H, headSize: D, scale = 1 / Math.sqrt(D), causal = false, window = {} } = options;
  const { past = null, lengths = null, bias = null, dropout = 0 } = options;
  const graph: Graph = query.tensor.graph;
  const [B = 0, Tq = 0] = query.tensor.shape;
  const isPaged = source instanceof LayerKeyValues;
  const Tk = isPaged ? source.capacity : source.key.tensor.shape[1]!;
  checkOptions(op, { ...options, window }, B);
  if (bias) checkBias(op, bias, [B, H, Tq, Tk]);

  const p = graph.training ? dropout : 0;
  const { left = Window.Unlimited, right = causal ? 0 : Window.Unlimited } = window;
  const strideOf = (axis: 0 | 1): number => (!bias || bias.shape[axis] === 1 ? 0 : axis === 0 ? bias.shape[1]! * Tq * Tk : Tq * Tk);
  const shared = {
    q: new Slice(query.tensor, query.column), bias, past, lengths, rng: p > 0 ? graph.random() : null,
    scratch: AttentionScratch.Base + AttentionScratch.PerDim * D, B, H, Hkv, Tq, Tk, D, ldo: H * D, ldq: query.tensor.columns,
    biasBatch: strideOf(0), biasHead: strideOf(1), biasRow: bias ? Tk : 0,
    left, right, scale, dropout: p, stream: p > 0 ? graph.stream() : 0,
  };
  const pairs = B * H * countPairs(Tq, Tk, past ? 0 : Tk - Tq, past ? Window.Unlimited : left, past ? Window.Unlimited : right);
  const tensors = isPaged ? [query.tensor] : [query.tensor, source.key.tensor, source.value.tensor];
  const out = graph.tensor([B, Tq, H * D], { needsGradient: needsGradient(...tensors, bias) });
  const lse = graph.tensor([B, H, Tq]);
  if (isPaged) {
    const { pages } = source.all;
    graph.emit(Op.AttentionForward, { out, lse, ...source.operands(), pages, P: pages.columns, ...shared }, { flops: 4 * D * pairs });
    if (out.needsGradient) throw new TypeError(`${op}: no gradient flows through a cache; train without one`);
    return out;
  }
  const { key, value } = source;
  const contiguous = {
    k: new Slice(key.tensor, key.column), v: new Slice(value.tensor, value.column),
    tokenK: key.tensor.columns, dimK: 1, headK: D, tokenV: value.tensor.columns, headV: D,
  };
  graph.emit(Op.AttentionForward, { out, lse, pages: null, P: 0, pageK: 0, pageV: 0, ...contiguous, ...shared }, { flops: 4 * D * pairs });
  graph.tapAttention([B, H, Tq, Tk], (weights) => {
    const { q, k, tokenK, headK, biasBatch, biasHead, biasRow, ldq } = { ...contiguous, ...shared };
    const sizes = { B, H, Hkv, Tq, Tk, D, ldq, tokenK, headK, biasBatch, biasHead, biasRow, left, right, scale };
    graph.emit(Op.AttentionWeights, { out: weights, q, k, bias, past, lengths, ...sizes }, { flops: 2 * D * pairs });
  });
  graph.differentiate(out, (dOut) => {
    // The kernel writes each slice of the gradients exactly once, so the gradients need not be zeroed.
    const gradients = new Map([query, key, value].map(({ tensor }) => [tensor, graph.tensor(tensor.shape)]));
    const gradientOf = ({ tensor, column }: Columns): Slice => new Slice(gradients.get(tensor)!, column);
    const [dQ, dK, dV] = [gradientOf(query), gradientOf(key), gradientOf(value)];
    const dBias = bias?.needsGradient ? graph.tensor([B, H, Tq, Tk]) : null;
    graph.emit(Op.AttentionBackward, { dQ, dK, dV, dBias, dOut, out, lse, ...contiguous, ...shared }, { flops: 10 * D * pairs });
    for (const [tensor, gradient] of gradients) graph.addGradient(tensor, gradient);
    if (dBias) addBiasGradient(graph, bias!, dBias);
  });
  return out;
}

function checkOptions(op: string, { heads: H, keyValueHeads = H, headSize, window, past, lengths }: AttentionOptions, B: number): void {
  if (!Number.isInteger(headSize)) throw new RangeError(`${op}: the width ${headSize! * H} is not divisible by ${H} heads`);
  if (H % keyValueHeads !== 0) throw new RangeError(`${op}: expected key-value heads that divide ${H} heads, got ${keyValueHeads}`);
  checkConfig(`${op}: window`, window, windowFields);
  for (const [name, tensor] of Object.entries({ past, lengths })) {
    if (!tensor) continue;
    expectDType(op, `i32 ${name}`, tensor, "i32");
    expectShape(op, name, tensor, [B]);
  }
}

function checkBias(op: string, bias: Tensor, [B, H, Tq, Tk]: [number, number, number, number]): void {
  const [b, h, ...rest] = bias.shape;
  if ((b !== B && b !== 1) || (h !== H && h !== 1) || !sameShape(rest, [Tq, Tk])) {
    throw new RangeError(`${op}: expected a bias of shape [${B} or 1,${H} or 1,${Tq},${Tk}], got ${formatShape(bias.shape)}`);
  }
}

/** Adds the gradient of the scores [B, H, Tq, Tk] to the bias's, summed over the axes along which the bias was broadcast. */
function addBiasGradient(graph: Graph, bias: Tensor, dScores: Tensor): void {
  const [B = 0, H = 0] = dScores.shape;
  const C = dScores.size / (B * H);
  const sumRows = (x: Slice | Tensor, R: number, columns: number, out: Slice | Tensor): void =>
    graph.emit(Op.ColumnSum, { out, x, R, C: columns }, { flops: R * columns });
  if (bias.shape[0] === B && bias.shape[1] === H) return graph.addGradient(bias, dScores);
  const d = graph.cleared(bias);
  if (bias.shape[0] === 1) {
    if (bias.shape[1] === H) sumRows(dScores, B, H * C, d);
    else sumRows(dScores, B * H, C, d);
  } else {
    for (let b = 0; b < B; b++) sumRows(new Slice(dScores, b * H * C, H * C), H, C, new Slice(d, b * C, C));
  }
}

/** The number of query–key pairs, if all keys are valid. */
function countPairs(Tq: number, Tk: number, past: number, left: number, right: number): number {
  let pairs = 0;
  for (let i = 0; i < Tq; i++) pairs += Math.max(0, Math.min(Tk - 1, past + i + right) - Math.max(0, past + i - left) + 1);
  return pairs;
}
