import { Op } from "../../../assembly/opcodes";
import { checkConfig, type Fields, int32, optional, share } from "../../fields";
import type { Graph } from "../graph";
import { expectIndices } from "../indices";
import { Loss } from "../loss";
import type { Parameter } from "../parameter";
import { formatShape } from "../shape";
import { Slice, type Tensor } from "../tensor";
import { emitMatmul } from "./linear";
import { expectDType, graphOf, needsGradient } from "./shared";

/** Options of `crossEntropy`. */
export interface CrossEntropyOptions {
  /** ε of label smoothing: q = (1 − ε)·onehot + ε/V (Szegedy et al. 2016; Vaswani 2017, section 5.4). */
  smoothing?: number;
  /** Rows with this target are ignored; −1 by default. */
  ignored?: number;
}

const fields: Fields<CrossEntropyOptions> = { smoothing: optional(share), ignored: optional(int32) };

/** Logits held in memory at once: 1 Mi elements, 4 MiB. */
const CHUNK_ELEMENTS = 1 << 20;

/**
 * The vocabulary projection and the cross-entropy of its softmax in one op: logits = x·Wᵀ, loss = −Σ_v q_v·log p_v.
 *
 * Rows are processed in chunks, so the whole [rows, vocabulary] matrix is never in memory. In training, the gradient of each chunk
 * overwrites its logits right away, so that they need not be computed again.
 * @param x        f32 [..., C]
 * @param weight   [V, C], in any weight format
 * @param targets  i32 [...], each in [0, V) or `ignored`
 * @throws RangeError if the shapes do not match, or smoothing is not in [0, 1); TypeError for unknown options
 *
 * @example
 * const inputs = { tokens: ids(["B", "T"], 65), targets: ids(["B", "T"], 65, -1) };
 * class Bigrams extends Model<typeof inputs> {
 *   inputs = inputs;
 *   table = new Embedding(65, 65);
 *   output = new Linear(65, 65);
 *   loss({ tokens, targets }: Inputs<typeof inputs>): Loss {
 *     return crossEntropy(this.table.forward(tokens), this.output.weight, targets, { smoothing: 0.1 });
 *   }
 * }
 */
export function crossEntropy(x: Tensor, weight: Tensor | Parameter, targets: Tensor<"i32">, options: CrossEntropyOptions = {}): Loss {
  checkConfig("crossEntropy", options, fields);
  const { smoothing = 0, ignored = -1 } = options;
  const w = graphOf("crossEntropy", x).use(weight);
  const [V = 0, C = 0] = w.shape;
  if (w.shape.length !== 2 || x.columns !== C) {
    throw new RangeError(`crossEntropy: inner dimensions must match, got x=${formatShape(x.shape)} weight=${formatShape(w.shape)}`);
  }
  expectDType("crossEntropy", "i32 targets", targets, "i32");
  if (targets.size !== x.rows) {
    throw new RangeError(`crossEntropy: expected a target for each of ${x.rows} rows, got ${formatShape(targets.shape)}`);
  }
  expectIndices("crossEntropy", targets, V, ignored);
  const given = { x, w, targets, V, C, smoothing, ignored };
  return new Loss([{ factor: 1, record: (cells, options) => recordChunks(x.graph, { ...given, cells, ...options }) }]);
}

interface Chunked {
  x: Tensor;
  w: Tensor;
  targets: Tensor<"i32">;
  cells: Tensor;
  V: number;
  C: number;
  smoothing: number;
  ignored: number;
  factor: number;
  isCounted: boolean;
  training: boolean;
}

function recordChunks(
  graph: Graph, { x, w, targets, cells, V, C, smoothing, ignored, factor, isCounted, training }: Chunked,
): (readonly [Tensor, Tensor])[] {
  const R = x.rows;
  const rows = Math.min(R, Math.max(48, Math.floor(CHUNK_ELEMENTS / V / 48) * 48));
  const losses = graph.tensor([R]);
  const dX = training && needsGradient(x) ? graph.tensor(x.shape) : null;
  const dW = training && needsGradient(w) ? graph.accumulate(w) : null;
  for (let row = 0; row < R; row += rows) {
    const M = Math.min(rows, R - row);
    const logits = graph.tensor([M, V]);
    const xRows = new Slice(x, row * C, M * C);
    emitMatmul(graph, { layout: "NT", out: logits, a: xRows, b: w, M, N: V, K: C });
    graph.emit(Op.CrossEntropy, {
      loss: new Slice(losses, row, M), dLogits: training ? logits : null, logits, targets: new Slice(targets, row, M),
      R: M, V, factor, smoothing, ignored,
    }, { flops: 6 * M * V });
    if (dX) emitMatmul(graph, { layout: "NN", out: new Slice(dX, row * C, M * C), a: logits, b: w, M, N: C, K: V });
    if (dW) emitMatmul(graph, { layout: "TN", out: dW.d, a: logits, b: xRows, M: V, N: C, K: M, accumulate: row > 0 ? 1 : dW.accumulate });
  }
  graph.emit(Op.LossSum, { cells, loss: losses, targets, R, ignored, counted: isCounted }, { flops: R });
  return dX ? [[x, dX]] : [];
}
