import { EmbeddingScratch } from "../../../assembly/layouts";
import { Op } from "../../../assembly/opcodes";
import { expectIndices } from "../indices";
import type { Parameter, Table } from "../parameter";
import { formatShape } from "../shape";
import { formatCode, type Tensor } from "../tensor";
import { expectDType, expectShape, graphOf, needsGradient } from "./shared";

/**
 * out[..., :] = scale · weight[ids[...], :]. The ids must be in [0, V): `Program.write` rejects any other, and an invalid id computed
 * by a program gives a row of NaN.
 * @param ids     i32 [...]
 * @param weight  f32 [V, C]
 * @param scale   √d_model in Vaswani 2017, section 3.4
 * @returns f32 [..., C]
 *
 * @example
 * embedding(graph.input([2, 10], "i32"), graph.input([65, 64])).shape; // [2, 10, 64]
 */
export function embedding(ids: Tensor<"i32">, weight: Tensor | Parameter, scale = 1): Tensor {
  const graph = graphOf("embedding", ids);
  const w = graph.use(weight);
  expectDType("embedding", "i32 ids", ids, "i32");
  if (w.shape.length !== 2) throw new RangeError(`embedding: expected a weight of shape [V,C], got ${formatShape(w.shape)}`);
  const [V = 0, C = 0] = w.shape;
  expectIndices("embedding", ids, V);
  const N = ids.size;
  const out = graph.tensor([...ids.shape, C], { needsGradient: w.needsGradient });
  const bytes = 4 * (ids.size + 2 * out.size); // only the rows of the table that the ids select
  graph.emit(Op.EmbeddingForward, { out, ids, weight: w, N, V, C, scale, format: formatCode(w) }, { flops: out.size, bytes });
  graph.differentiate(out, (dOut) => {
    const operands = { dWeight: graph.cleared(w), dOut, ids, scratch: scratchBytes(N, V, C), N, V, C, scale };
    graph.emit(Op.EmbeddingBackward, operands, { flops: 2 * out.size, bytes });
  });
  return out;
}

/**
 * out[b, t, :] = x[b, t, :] + table[past[b] + t, :].
 * @param x      f32 [B, T, C]
 * @param table  f32 [at least T, C]
 * @param past   i32 [B]: the position of each row's first token; 0 by default. A position beyond the table gives NaN
 * @throws RangeError if the table is shorter than the sequence; TypeError if `past` is given and the table needs a gradient
 *
 * @example
 * addPositions(graph.input([2, 10, 64]), graph.input([32, 64])).shape; // [2, 10, 64]
 */
export function addPositions(x: Tensor, table: Tensor | Parameter | Table, past: Tensor<"i32"> | null = null): Tensor {
  const graph = graphOf("addPositions", x);
  const p = graph.use(table);
  const [B = 0, T = 0, C = 0] = x.shape;
  const L = p.rows;
  if (x.shape.length !== 3 || p.columns !== C || (!past && L < T)) {
    throw new RangeError(`addPositions: x=${formatShape(x.shape)} needs a table of at least [${T},${C}], got ${formatShape(p.shape)}`);
  }
  if (past) {
    expectDType("addPositions", "i32 past", past, "i32");
    expectShape("addPositions", "past", past, [B]);
    if (p.needsGradient) throw new TypeError("addPositions: a table that needs a gradient cannot be used with past");
  }
  const out = graph.tensor(x.shape, { needsGradient: needsGradient(x, p) });
  graph.emit(Op.PositionsForward, { out, x, table: p, past, B, T, C, L }, { flops: x.size });
  graph.differentiate(out, (dOut) => {
    graph.addGradient(x, dOut);
    if (!p.needsGradient) return;
    graph.emit(Op.PositionsBackward, { dTable: graph.cleared(p), dOut, B, T, C }, { flops: x.size });
  });
  return out;
}

/** Working memory of the backward pass. Gradients of frequent ids are summed there first. */
function scratchBytes(N: number, V: number, C: number): number {
  const rows = Math.floor(N / EmbeddingScratch.Direct);
  return EmbeddingScratch.Base + EmbeddingScratch.PerId * V + rows * (EmbeddingScratch.PerRow + EmbeddingScratch.PerColumn * C);
}
