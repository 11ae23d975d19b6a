import { Op } from "../../../assembly/opcodes";
import { f32, type Graph, Slice } from "../graph";
import { expectIndices } from "../indices";
import { formatShape, type Parameter, type Tensor } from "../tensor";
import { emitMatmul } from "./linear";
import { expectDType, expectProbability, needsGradient } from "./shared";

/** How targets count in `crossEntropy`. */
export interface CrossEntropyOptions {
  /** ε of label smoothing: q = (1 − ε)·onehot + ε/V (Szegedy et al. 2016; Vaswani 2017, section 5.4). */
  smoothing?: number;
  /** Rows with this target count for nothing. */
  ignored?: number;
}

/** Elements of the logits that are held at once: 1 Mi, 4 MiB. */
const CHUNK_ELEMENTS = 1 << 20;

/**
 * What a model is trained to make small. It is recorded once: by `forward` where only the loss is wanted,
 * by `backward` where its gradient is too.
 */
export interface Loss {
  /** Adds Σ loss and the number of rows that counted to the cells. */
  forward(cells: Tensor): void;
  /** The same, and the gradient of Σ loss in every parameter. */
  backward(cells: Tensor): void;
}

/**
 * The vocabulary projection and the cross-entropy of its softmax, as one op: logits = x·Wᵀ, loss = −Σ_v q_v·log p_v.
 *
 * Rows go through in chunks, so the [rows, vocabulary] matrix never stands in memory; in training the gradient is taken
 * while a chunk's logits are at hand, in place, instead of computing them again.
 * @param x        f32 [..., C]
 * @param weight   f32 [V, C]
 * @param targets  i32 [...], each in [0, V) or `ignored`
 * @throws RangeError when the shapes do not fit, or smoothing is not in [0, 1)
 *
 * @example
 * class Bigrams extends Model {
 *   table = new Embedding(65, 65);
 *   output = new Linear(65, 65);
 *   loss({ tokens, targets }: Record<string, Tensor>): Loss {
 *     return crossEntropy(this.table.forward(tokens), this.output.weight, targets, { smoothing: 0.1 });
 *   }
 *   check() {}
 * }
 */
export function crossEntropy(x: Tensor, weight: Tensor | Parameter, targets: Tensor, { smoothing = 0, ignored = -1 }: CrossEntropyOptions = {}): Loss {
  const w = x.graph.use(weight);
  const [V = 0, C = 0] = w.shape;
  if (w.shape.length !== 2 || x.columns !== C) {
    throw new RangeError(`crossEntropy: inner dimensions must match, got x=${formatShape(x.shape)} weight=${formatShape(w.shape)}`);
  }
  expectDType("crossEntropy", "i32 targets", targets, "i32");
  if (targets.size !== x.rows) throw new RangeError(`crossEntropy: expected a target for each of ${x.rows} rows, got ${formatShape(targets.shape)}`);
  expectProbability("crossEntropy", "a smoothing", smoothing);
  expectIndices(targets, V, ignored);
  const record = (cells: Tensor, training: boolean): void => recordChunks(x.graph, { x, w, targets, cells, V, C, smoothing, ignored, training });
  return { forward: (cells) => record(cells, false), backward: (cells) => record(cells, true) };
}

interface Chunked {
  x: Tensor;
  w: Tensor;
  targets: Tensor;
  cells: Tensor;
  V: number;
  C: number;
  smoothing: number;
  ignored: number;
  training: boolean;
}

function recordChunks(graph: Graph, { x, w, targets, cells, V, C, smoothing, ignored, training }: Chunked): void {
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
    graph.emit({
      name: "crossEntropy", op: Op.CrossEntropy,
      outputs: [new Slice(losses, row, M), training ? logits : null], inputs: [logits, new Slice(targets, row, M)],
      numbers: [M, V, f32(smoothing), ignored], flops: 6 * M * V,
    });
    if (dX) emitMatmul(graph, { layout: "NN", out: new Slice(dX, row * C, M * C), a: logits, b: w, M, N: C, K: V });
    if (dW) emitMatmul(graph, { layout: "TN", out: dW.d, a: logits, b: xRows, M: V, N: C, K: M, accumulate: row > 0 ? 1 : dW.accumulate });
  }
  graph.emit({ name: "lossSum", op: Op.LossSum, outputs: [cells], inputs: [losses, targets], numbers: [R, ignored], flops: R });
  if (dX) graph.backward(x, dX);
}
