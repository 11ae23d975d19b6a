import { Op } from "../../../assembly/opcodes";
import { expectIndices } from "../indices";
import type { Parameter, Table } from "../parameter";
import { formatShape } from "../shape";
import type { Tensor } from "../tensor";
import { expectDType } from "./shared";

/**
 * out[..., :] = scale · weight[ids[...], :]. The ids must lie in [0, V): `Program.write` refuses others.
 * @param ids     i32 [...]
 * @param weight  f32 [V, C]
 * @param scale   √d_model in Vaswani 2017, section 3.4
 * @returns f32 [..., C]
 *
 * @example
 * embedding(graph.input([2, 10], "i32"), graph.input([65, 64])).shape; // [2, 10, 64]
 */
export function embedding(ids: Tensor<"i32">, weight: Tensor | Parameter, scale = 1): Tensor {
  const graph = ids.graph;
  const w = graph.use(weight);
  expectDType("embedding", "i32 ids", ids, "i32");
  if (w.shape.length !== 2) throw new RangeError(`embedding: expected a weight of shape [V,C], got ${formatShape(w.shape)}`);
  expectIndices(ids, w.shape[0]!);
  const C = w.columns;
  const N = ids.size;
  const out = graph.tensor([...ids.shape, C], { needsGradient: w.needsGradient });
  const bytes = 4 * (ids.size + 2 * out.size); // of the table, only the rows that the ids name
  graph.emit(Op.EmbeddingForward, { out, ids, weight: w, N, C, scale }, { flops: out.size, bytes });
  graph.differentiate(out, (dOut) => {
    graph.emit(Op.EmbeddingBackward, { dWeight: graph.cleared(w), dOut, ids, N, C, scale }, { flops: 2 * out.size, bytes });
  });
  return out;
}

/**
 * out[b, t, :] = x[b, t, :] + table[t, :].
 * @param x      f32 [B, T, C]
 * @param table  f32 [at least T, C]
 * @throws RangeError when the table is shorter than the sequence
 *
 * @example
 * addPositions(graph.input([2, 10, 64]), graph.input([32, 64])).shape; // [2, 10, 64]
 */
export function addPositions(x: Tensor, table: Tensor | Parameter | Table): Tensor {
  const graph = x.graph;
  const p = graph.use(table);
  const [B = 0, T = 0, C = 0] = x.shape;
  if (x.shape.length !== 3 || p.columns !== C || p.rows < T) {
    throw new RangeError(`addPositions: x=${formatShape(x.shape)} needs a table of at least [${T},${C}], got ${formatShape(p.shape)}`);
  }
  const out = graph.tensor(x.shape, { needsGradient: x.needsGradient || p.needsGradient });
  graph.emit(Op.PositionsForward, { out, x, table: p, B, T, C }, { flops: x.size });
  graph.differentiate(out, (dOut) => {
    graph.addGradient(x, dOut);
    if (!p.needsGradient) return;
    graph.emit(Op.PositionsBackward, { dTable: graph.cleared(p), dOut, B, T, C }, { flops: x.size });
  });
  return out;
}
