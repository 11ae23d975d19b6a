import { Op } from "../../../assembly/opcodes";
import { expectIndices } from "../indices";
import { formatShape } from "../shape";
import type { Tensor } from "../tensor";
import { expectDType, expectShape, graphOf, needsGradient } from "./shared";

/**
 * a + b, elementwise.
 * @throws RangeError if the shapes differ
 *
 * @example
 * add(graph.input([2, 3]), graph.input([2, 3])).shape; // [2, 3]
 */
export function add(a: Tensor, b: Tensor): Tensor {
  const graph = graphOf("add", a);
  expectShape("add", "b", b, a.shape);
  const out = graph.tensor(a.shape, { needsGradient: needsGradient(a, b) });
  graph.emit(Op.Add, { out, a, b, n: a.size }, { flops: a.size });
  graph.differentiate(out, (dOut) => {
    graph.addGradient(a, dOut);
    graph.addGradient(b, dOut);
  });
  return out;
}

/**
 * a · b, elementwise.
 * @throws RangeError if the shapes differ
 *
 * @example
 * multiply(graph.input([2, 3]), graph.input([2, 3])).shape; // [2, 3]
 */
export function multiply(a: Tensor, b: Tensor): Tensor {
  const graph = graphOf("multiply", a);
  const n = a.size;
  expectShape("multiply", "b", b, a.shape);
  const out = graph.tensor(a.shape, { needsGradient: needsGradient(a, b) });
  graph.emit(Op.Multiply, { out, a, b, n, accumulate: false }, { flops: n });
  graph.differentiate(out, (dOut) => {
    for (const [x, other] of [[a, b], [b, a]] as const) {
      if (!x.needsGradient) continue;
      const { d, accumulate } = graph.accumulate(x);
      graph.emit(Op.Multiply, { out: d, a: dOut, b: other, n, accumulate }, { flops: n });
    }
  });
  return out;
}

/**
 * factor · x
 *
 * @example
 * scale(graph.input([2, 3]), 0.5).shape; // [2, 3]
 */
export function scale(x: Tensor, factor: number): Tensor {
  const graph = graphOf("scale", x);
  const n = x.size;
  const out = graph.tensor(x.shape, { needsGradient: x.needsGradient });
  graph.emit(Op.Scale, { out, x, n, factor }, { flops: n });
  graph.differentiate(out, (dOut) => {
    const dX = graph.tensor(x.shape);
    graph.emit(Op.Scale, { out: dX, x: dOut, n, factor }, { flops: n });
    graph.addGradient(x, dX);
  });
  return out;
}

/**
 * The transpose of a matrix.
 * @param x  f32 [R, C]
 * @returns f32 [C, R]
 *
 * @example
 * transpose(graph.input([2, 3])).shape; // [3, 2]
 */
export function transpose(x: Tensor): Tensor {
  const graph = graphOf("transpose", x);
  if (x.shape.length !== 2) throw new RangeError(`transpose: expected a matrix, got ${formatShape(x.shape)}`);
  const [R = 0, C = 0] = x.shape;
  const out = graph.tensor([C, R], { needsGradient: x.needsGradient });
  graph.emit(Op.Transpose, { out, x, R, C });
  graph.differentiate(out, (dOut) => {
    const dX = graph.tensor(x.shape);
    graph.emit(Op.Transpose, { out: dX, x: dOut, R: C, C: R });
    graph.addGradient(x, dX);
  });
  return out;
}

/**
 * One row of each sequence: out[b, :] = x[b, index[b], :].
 * @param x      f32 [B, T, C]
 * @param index  i32 [B], each in [0, T)
 * @returns f32 [B, C]
 *
 * @example
 * gatherRows(graph.input([2, 10, 64]), graph.input([2], "i32")).shape; // [2, 64]
 */
export function gatherRows(x: Tensor, index: Tensor<"i32">): Tensor {
  const graph = graphOf("gatherRows", x);
  const [B = 0, T = 0, C = 0] = x.shape;
  if (x.shape.length !== 3) throw new RangeError(`gatherRows: expected x of shape [B,T,C], got ${formatShape(x.shape)}`);
  expectShape("gatherRows", "an index", index, [B]);
  expectDType("gatherRows", "an i32 index", index, "i32");
  expectIndices("gatherRows", index, T);
  const out = graph.tensor([B, C], { needsGradient: x.needsGradient });
  const bytes = 4 * (B + 2 * B * C);
  graph.emit(Op.GatherRows, { out, x, index, B, T, C }, { bytes });
  graph.differentiate(out, (dOut) => graph.emit(Op.GatherRowsBackward, { dX: graph.cleared(x), dOut, index, B, T, C }, { bytes }));
  return out;
}
