/**
 * Layer normalization (Ba, Kiros & Hinton 2016): scales each row to mean 0 and variance 1, then applies an affine map.
 *
 * In both passes, x̂ = (x − μ)·r, where μ is the mean of a row and r = 1/√(variance + epsilon).
 */
import { Count, Flag, In, InOut, MaybeIn, MaybeInOut, Out, Scalar } from "../operands";
import { LINE, sliceStart, sliceEnd } from "../parallel";
import { isWide, Mean, normalize, normalizeBackward, shrink, SHRINK, shrunkRstd } from "./normalize";
import { addParameters } from "./normalize-parameters";
import { rowSquareSum, rowSum } from "./rows";

/**
 * out[r, c] = (x[r, c] − mean[r])·rstd[r]·weight[c] + bias[c].
 * @param out     f32 [R, C], may alias x
 * @param mean    f32 [R], saved for backward
 * @param rstd    f32 [R], saved for backward: 1 / √(variance + epsilon), with the biased variance
 * @param x       f32 [R, C]
 * @param weight  f32 [C]
 * @param bias    f32 [C]; 0: no bias
 * The mean is subtracted before squaring, so a large mean causes no cancellation. A row whose squares overflow f32 is computed from
 * SHRINK·x. The error of x̂ is < 5e-6·(1 + |mean|·rstd + |x̂|) for any finite x and C up to 10⁶. NaN or Infinity makes the whole row NaN.
 */
export function layerNormForward(
  out: Out<f32>, mean: Out<f32>, rstd: Out<f32>, x: In<f32>, weight: In<f32>, bias: MaybeIn<f32>,
  R: Count, C: Count, epsilon: Scalar,
  thread: i32, threads: i32,
): void {
  const end = sliceEnd(R, 1, thread, threads);
  for (let r = sliceStart(R, 1, thread, threads); r < end; r++) {
    const outRow = out + ((<usize>r * C) << 2);
    let xRow = x + ((<usize>r * C) << 2);
    let mu = rowSum(xRow, 0, C) / <f32>C;
    const variance = rowSquareSum(xRow, mu, C) / <f32>C;
    let inverse = <f32>1 / Mathf.sqrt(variance + epsilon);
    let savedMu = mu;
    let savedInverse = inverse;
    if (!(variance < f32.POSITIVE_INFINITY)) {
      xRow = shrink(outRow, xRow, C);
      mu = rowSum(xRow, 0, C) / <f32>C;
      inverse = shrunkRstd(rowSquareSum(xRow, mu, C), C, epsilon);
      savedMu = mu / SHRINK;
      savedInverse = inverse * SHRINK;
    }
    store<f32>(mean + (<usize>r << 2), savedMu);
    store<f32>(rstd + (<usize>r << 2), savedInverse);
    normalizeRow(outRow, xRow, weight, bias, mu, inverse, C);
  }
}

function normalizeRow(out: usize, x: usize, weight: usize, bias: usize, mu: f32, rstd: f32, C: i32): void {
  normalize(out, x, weight, bias, mu, rstd, C, Mean.Plain);
}

/**
 * With g = dOut·weight: dX[r, c] = rstd[r]·(g[r, c] − mean_c(g) − x̂[r, c]·mean_c(g·x̂)).
 * @param dX      f32 [R, C], added to if `accumulate`; may alias dOut if not
 * @param dOut    f32 [R, C]
 * @param x       f32 [R, C]
 * @param mean    f32 [R], from forward
 * @param rstd    f32 [R], from forward
 * @param weight  f32 [C]
 */
export function layerNormBackward(
  dX: InOut<f32>, dOut: In<f32>, x: In<f32>, mean: In<f32>, rstd: In<f32>, weight: In<f32>,
  R: Count, C: Count, accumulate: Flag,
  thread: i32, threads: i32,
): void {
  const end = sliceEnd(R, 1, thread, threads);
  for (let r = sliceStart(R, 1, thread, threads); r < end; r++) {
    const row = (<usize>r * C) << 2;
    const mu = load<f32>(mean + (<usize>r << 2));
    const inverse = load<f32>(rstd + (<usize>r << 2));
    if (isWide(inverse)) wideRow(dX + row, dOut + row, x + row, mu, inverse, weight, C, accumulate != 0);
    else plainRow(dX + row, dOut + row, x + row, mu, inverse, weight, C, accumulate != 0);
  }
}

function plainRow(dX: usize, dOut: usize, x: usize, mu: f32, rstd: f32, weight: usize, C: i32, accumulate: bool): void {
  normalizeBackward(dX, dOut, x, mu, rstd, weight, C, accumulate, Mean.Plain);
}

function wideRow(dX: usize, dOut: usize, x: usize, mu: f32, rstd: f32, weight: usize, C: i32, accumulate: bool): void {
  normalizeBackward(dX, dOut, x, mu, rstd, weight, C, accumulate, Mean.Wide);
}

/**
 * dWeight[c] += Σ_r dOut[r, c]·x̂[r, c] and dBias[c] += Σ_r dOut[r, c].
 * @param dWeight  f32 [C], added to
 * @param dBias    f32 [C], added to; 0: no bias
 * @param dOut     f32 [R, C]
 * @param x        f32 [R, C]
 * @param mean     f32 [R], from forward
 * @param rstd     f32 [R], from forward
 */
export function layerNormBackwardParameters(
  dWeight: InOut<f32>, dBias: MaybeInOut<f32>, dOut: In<f32>, x: In<f32>, mean: In<f32>, rstd: In<f32>,
  R: Count, C: Count,
  thread: i32, threads: i32,
): void {
  const start = sliceStart(C, LINE, thread, threads);
  addParameters(dWeight, dBias, dOut, x, mean, rstd, R, C, start, sliceEnd(C, LINE, thread, threads));
}
