import { Op } from "../../../assembly/opcodes";
import type { Table } from "../parameter";
import { formatShape } from "../shape";
import type { Tensor } from "../tensor";
import { expectDType, expectShape, graphOf } from "./shared";

/**
 * Rotates each pair (d, d + r/2) of the first `heads` heads by the angle of its position (Su et al. 2021, arXiv:2104.09864). The
 * columns after those heads are copied unchanged.
 * @param x       f32 [B, T, C], heads side by side
 * @param table   f32 [at least T, r]: cosines, then sines; r is even and at most the head size
 * @param heads   the number of heads to rotate, and their size
 * @param past    i32 [B]: the position of each row's first token; 0 by default. A position beyond the table gives NaN
 * @returns f32 [B, T, C]
 * @throws RangeError if the shapes do not match
 *
 * @example
 * const qkv = graph.input([2, 10, 3 * 64]); // 4 query and 4 key heads of 16, then values
 * rotary(qkv, graph.input([32, 16]), { heads: 8, headSize: 16 }).shape; // [2, 10, 192]
 */
export function rotary(
  x: Tensor, table: Tensor | Table, { heads: H, headSize: D }: { heads: number; headSize: number }, past: Tensor<"i32"> | null = null,
): Tensor {
  const graph = graphOf("rotary", x);
  const t = graph.use(table);
  const [B = 0, T = 0, C = 0] = x.shape;
  const [L = 0, rotated = 0] = t.shape;
  if (x.shape.length !== 3 || t.shape.length !== 2 || rotated % 2 !== 0 || rotated > D || H * D > C || (!past && L < T)) {
    const needs = `need a table of at least ${T} rows and an even width of at most ${D}`;
    throw new RangeError(`rotary: ${H} heads of ${D} in x=${formatShape(x.shape)} ${needs}, got ${formatShape(t.shape)}`);
  }
  if (past) {
    expectDType("rotary", "i32 past", past, "i32");
    expectShape("rotary", "past", past, [B]);
  }
  const shared = { table: t, past, B, T, C, H, D, ldo: C, ldx: C, L, rotated };
  const cost = { flops: 3 * B * T * H * rotated };
  const out = graph.tensor(x.shape, { needsGradient: x.needsGradient });
  graph.emit(Op.Rotary, { out, x, ...shared, inverse: false }, cost);
  graph.differentiate(out, (dOut) => {
    const dX = graph.tensor(x.shape);
    graph.emit(Op.Rotary, { out: dX, x: dOut, ...shared, inverse: true }, cost);
    graph.addGradient(x, dX);
  });
  return out;
}
