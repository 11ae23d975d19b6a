import { Op } from "../../../assembly/opcodes";
import type { Table } from "../parameter";
import { formatShape } from "../shape";
import type { Tensor } from "../tensor";
import { expectDType, expectShape } from "./shared";

/**
 * Turns each pair (d, d + D/2) of the first `heads` heads by the angle of its position (Su et al. 2021, arXiv:2104.09864); the columns
 * behind them stay.
 * @param x      f32 [B, T, C], heads of width D side by side
 * @param table  f32 [at least T, D]: cosines, then sines
 * @param past   i32 [B]: the position of each row's first token; 0 by default. A position beyond the table gives NaN
 * @returns f32 [B, T, C]
 * @throws RangeError when the shapes do not fit
 *
 * @example
 * rotary(graph.input([2, 10, 3 * 64]), graph.input([32, 16]), 8).shape; // [2, 10, 192]: 4 query and 4 key heads of 16, then values
 */
export function rotary(x: Tensor, table: Tensor | Table, heads: number, past: Tensor<"i32"> | null = null): Tensor {
  const graph = x.graph;
  const t = graph.use(table);
  const [B = 0, T = 0, C = 0] = x.shape;
  const [L = 0, D = 0] = t.shape;
  if (x.shape.length !== 3 || t.shape.length !== 2 || D % 2 !== 0 || heads * D > C || (!past && L < T)) {
    throw new RangeError(`rotary: x=${formatShape(x.shape)} needs a table of at least ${T} rows and an even width of at most ${Math.floor(C / heads)}, got ${formatShape(t.shape)}`);
  }
  if (past) {
    expectDType("rotary", "i32 past", past, "i32");
    expectShape("rotary", "past", past, [B]);
  }
  const shared = { table: t, past, B, T, H: heads, D, C, L };
  const out = graph.tensor(x.shape, { needsGradient: x.needsGradient });
  graph.emit(Op.Rotary, { out, x, ...shared, inverse: false }, { flops: 3 * B * T * heads * D });
  graph.differentiate(out, (dOut) => {
    const dX = graph.tensor(x.shape);
    graph.emit(Op.Rotary, { out: dX, x: dOut, ...shared, inverse: true }, { flops: 3 * B * T * heads * D });
    graph.addGradient(x, dX);
  });
  return out;
}
