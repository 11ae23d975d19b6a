/** RMSNorm (Zhang & Sennrich 2019, arXiv:1910.07467), as in Llama: scales each row to a root mean square of 1, then applies a weight. */
import { Count, Flag, In, InOut, Out, Scalar } from "../operands";
import { LINE, sliceStart, sliceEnd } from "../parallel";
import { Mean, normalize, normalizeBackward, shrink, SHRINK, shrunkRstd } from "./normalize";
import { addParameters } from "./normalize-parameters";
import { rowDot } from "./rows";

/**
 * out[r, c] = x[r, c]·rstd[r]·weight[c].
 * @param out     f32 [R, C], may alias x
 * @param rstd    f32 [R], saved for backward: 1 / √(mean_c(x²) + epsilon)
 * @param x       f32 [R, C]
 * @param weight  f32 [C]
 * A row whose squares overflow f32 is computed from SHRINK·x. The relative error is < 4e-6 for any finite x and C up to 10⁶.
 * NaN makes the whole row NaN. ±Infinity becomes NaN, and the rest of the row becomes zeros.
 */
export function rmsNormForward(
  out: Out<f32>, rstd: Out<f32>, x: In<f32>, weight: In<f32>, R: Count, C: Count, epsilon: Scalar,
  thread: i32, threads: i32,
): void {
  const end = sliceEnd(R, 1, thread, threads);
  for (let r = sliceStart(R, 1, thread, threads); r < end; r++) {
    const outRow = out + ((<usize>r * C) << 2);
    let xRow = x + ((<usize>r * C) << 2);
    const square = rowDot(xRow, xRow, C) / <f32>C;
    let inverse = <f32>1 / Mathf.sqrt(square + epsilon);
    let savedInverse = inverse;
    if (!(square < f32.POSITIVE_INFINITY)) {
      xRow = shrink(outRow, xRow, C);
      inverse = shrunkRstd(rowDot(xRow, xRow, C), C, epsilon);
      savedInverse = inverse * SHRINK;
    }
    store<f32>(rstd + (<usize>r << 2), savedInverse);
    normalizeRow(outRow, xRow, weight, inverse, C);
  }
}

function normalizeRow(out: usize, x: usize, weight: usize, rstd: f32, C: i32): void {
  normalize(out, x, weight, 0, 0, rstd, C, Mean.None);
}

/**
 * With g = dOut·weight and x̂ = x·rstd: dX[r, c] = rstd[r]·(g[r, c] − x̂[r, c]·mean_c(g·x̂)).
 * @param dX      f32 [R, C], added to if `accumulate`; may alias dOut if not
 * @param dOut    f32 [R, C]
 * @param x       f32 [R, C]
 * @param rstd    f32 [R], from forward
 * @param weight  f32 [C]
 */
export function rmsNormBackward(
  dX: InOut<f32>, dOut: In<f32>, x: In<f32>, rstd: In<f32>, weight: In<f32>, R: Count, C: Count, accumulate: Flag,
  thread: i32, threads: i32,
): void {
  const end = sliceEnd(R, 1, thread, threads);
  for (let r = sliceStart(R, 1, thread, threads); r < end; r++) {
    const row = (<usize>r * C) << 2;
    backwardRow(dX + row, dOut + row, x + row, load<f32>(rstd + (<usize>r << 2)), weight, C, accumulate != 0);
  }
}

function backwardRow(dX: usize, dOut: usize, x: usize, rstd: f32, weight: usize, C: i32, accumulate: bool): void {
  normalizeBackward(dX, dOut, x, 0, rstd, weight, C, accumulate, Mean.None);
}

/**
 * dWeight[c] += Σ_r dOut[r, c]·x̂[r, c].
 * @param dWeight  f32 [C], added to
 * @param dOut     f32 [R, C]
 * @param x        f32 [R, C]
 * @param rstd     f32 [R], from forward
 */
export function rmsNormBackwardParameters(
  dWeight: InOut<f32>, dOut: In<f32>, x: In<f32>, rstd: In<f32>, R: Count, C: Count,
  thread: i32, threads: i32,
): void {
  const start = sliceStart(C, LINE, thread, threads);
  addParameters(dWeight, 0, dOut, x, 0, rstd, R, C, start, sliceEnd(C, LINE, thread, threads));
}
