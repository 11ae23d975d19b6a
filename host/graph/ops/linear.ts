import { Activation, MatmulScratch } from "../../../assembly/layouts";
import { Op } from "../../../assembly/opcodes";
import type { Graph } from "../graph";
import type { Parameter } from "../parameter";
import { formatShape, sameShape } from "../shape";
import { type Address, formatCode, type Tensor, tensorOf } from "../tensor";
import { activate, expectActivation } from "./activation";
import { emitIntegerProduct, isIntegers } from "./integers";
import { expectDType, graphOf, needsGradient } from "./shared";

export type Layout = "NN" | "NT" | "TN";

/** A product of two matrices, or of `batch` pairs of matrices: the arguments of a matmul kernel. */
export interface Product {
  layout: Layout;
  out: Address<"f32">;
  a: Address<"f32">;
  b: Address;
  M: number;
  N: number;
  K: number;
  bias?: Tensor | null;
  activation?: Activation;
  accumulate?: 0 | 1;
  batch?: number;
}

/** Appends one matmul of dense matrices; the matrices of a batch are contiguous. */
export function emitMatmul(graph: Graph, product: Product): void {
  const { layout, out, a, b, M, N, K, bias = null, activation = Activation.None, accumulate = 0, batch = 1 } = product;
  const lda = layout === "TN" ? M : K;
  const ldb = layout === "NT" ? K : N;
  const shared = {
    out, a, bias, scratch: MatmulScratch.Bytes, batch, M, N, K, ldo: N, lda, ldb, strideOut: M * N, strideA: M * K, strideB: N * K,
    activation, accumulate,
  };
  const cost = { flops: 2 * batch * M * N * K };
  if (layout === "NT" && isIntegers(b)) return emitIntegerProduct(graph, { out, a, b, bias, M, N, K, activation }, cost);
  if (layout === "TN") graph.emit(Op.MatmulTN, { ...shared, b: b as Address<"f32"> }, cost);
  else graph.emit(layout === "NN" ? Op.MatmulNN : Op.MatmulNT, { ...shared, b, format: formatCode(tensorOf(b)) }, cost);
}

/**
 * y = activation(x·Wᵀ + b) over the last axis.
 * @param x       f32 [..., in]
 * @param weight  [out, in], in any weight format
 * @param bias    f32 [out]
 * @returns f32 [..., out]
 * @throws RangeError if the inner dimensions differ
 *
 * @example
 * linear(graph.input([2, 10, 64]), graph.input([256, 64]), null, Activation.Relu).shape; // [2, 10, 256]
 */
export function linear(x: Tensor, weight: Tensor | Parameter, bias?: Tensor | Parameter | null, activation = Activation.None): Tensor {
  const graph = graphOf("linear", x);
  expectActivation("linear", activation);
  const w = graph.use(weight);
  const b = bias ? graph.use(bias) : null;
  const [N = 0, K = 0] = w.shape;
  if (w.shape.length !== 2 || x.columns !== K) {
    throw new RangeError(`linear: inner dimensions must match, got x=${formatShape(x.shape)} weight=${formatShape(w.shape)}`);
  }
  if (b && !sameShape(b.shape, [N])) throw new RangeError(`linear: expected a bias of shape [${N}], got ${formatShape(b.shape)}`);
  // The matmul's epilogue applies the activation while the results are in registers. But the backward pass needs the activation's
  // input, except for ReLU, whose gradient follows from its output.
  const differentiable = needsGradient(x, w, b);
  const deferred = differentiable && activation !== Activation.None && activation !== Activation.Relu;
  const fused = deferred ? Activation.None : activation;

  const M = x.rows;
  const out = graph.tensor([...x.shape.slice(0, -1), N], { needsGradient: differentiable });
  emitMatmul(graph, { layout: "NT", out, a: x, b: w, bias: b, M, N, K, activation: fused });

  graph.differentiate(out, (dOut) => {
    let dY = dOut;
    if (fused === Activation.Relu) {
      dY = graph.tensor(out.shape);
      graph.emit(Op.ActivationBackward, { dX: dY, dOut, x: out, n: out.size, activation: fused });
    }
    if (x.needsGradient) {
      const { d, accumulate } = graph.accumulate(x);
      emitMatmul(graph, { layout: "NN", out: d, a: dY, b: w, M, N: K, K: N, accumulate });
    }
    if (w.needsGradient) {
      const { d, accumulate } = graph.accumulate(w);
      emitMatmul(graph, { layout: "TN", out: d, a: dY, b: x, M: N, N: K, K: M, accumulate });
    }
    if (b?.needsGradient) {
      graph.emit(Op.ColumnSum, { out: graph.cleared(b), x: dY, R: M, C: N }, { flops: M * N });
    }
  });
  return deferred ? activate(out, activation) : out;
}

/**
 * out = a·b for each pair of matrices in the batch.
 * @param a  f32 [..., M, K]
 * @param b  f32 [..., K, N], with the same leading axes
 * @returns f32 [..., M, N]
 * @throws RangeError if the shapes do not match
 *
 * @example
 * matmul(graph.input([4, 2, 3]), graph.input([4, 3, 5])).shape; // [4, 2, 5]
 */
export function matmul(a: Tensor, b: Tensor): Tensor {
  const graph = graphOf("matmul", a);
  const [M = 0, K = 0] = a.shape.slice(-2);
  const [inner = 0, N = 0] = b.shape.slice(-2);
  const leading = a.shape.slice(0, -2);
  if (a.shape.length < 2 || K !== inner || !sameShape(leading, b.shape.slice(0, -2))) {
    throw new RangeError(`matmul: inner dimensions must match, got a=${formatShape(a.shape)} b=${formatShape(b.shape)}`);
  }
  expectDType("matmul", "f32 b", b, "f32");
  const batch = a.size / (M * K);
  const out = graph.tensor([...leading, M, N], { needsGradient: needsGradient(a, b) });
  emitMatmul(graph, { layout: "NN", out, a, b, M, N, K, batch });
  graph.differentiate(out, (dOut) => {
    if (a.needsGradient) {
      const { d, accumulate } = graph.accumulate(a);
      emitMatmul(graph, { layout: "NT", out: d, a: dOut, b, M, N: K, K: N, batch, accumulate });
    }
    if (b.needsGradient) {
      const { d, accumulate } = graph.accumulate(b);
      emitMatmul(graph, { layout: "TN", out: d, a, b: dOut, M: K, N, K: M, batch, accumulate });
    }
  });
  return out;
}
