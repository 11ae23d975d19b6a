/**
 * Layer normalisation (Ba, Kiros & Hinton 2016): each row to mean 0 and variance 1, then an affine map.
 *
 * With μ and r = 1/√(variance + epsilon) of a row, x̂ = (x − μ)·r is what both passes speak of.
 */
import { Count, Flag, In, InOut, MaybeIn, MaybeInOut, Out, Scalar } from "../operands";
import { LINE, sliceStart, sliceEnd } from "../parallel";
import { madd, nmadd, sum, loadTail, storeTail } from "../simd";
import { rowSquareSum, rowSum } from "./rows";

/** Rows whose contributions to a parameter are added up in registers before memory is touched. */
const ROWS: i32 = 64;

/**
 * out[r, c] = (x[r, c] − mean[r])·rstd[r]·weight[c] + bias[c].
 * @param out     f32 [R, C], may alias x
 * @param mean    f32 [R], saved for backward
 * @param rstd    f32 [R], saved for backward: 1 / √(variance + epsilon), with the biased variance
 * @param x       f32 [R, C]
 * @param weight  f32 [C]
 * @param bias    f32 [C]; 0: none
 * The mean first, then the squares of what is left: no cancellation where the mean is large.
 */
export function layerNormForward(
  out: Out<f32>, mean: Out<f32>, rstd: Out<f32>, x: In<f32>, weight: In<f32>, bias: MaybeIn<f32>,
  R: Count, C: Count, epsilon: Scalar,
  thread: i32, threads: i32,
): void {
  const end = sliceEnd(R, 1, thread, threads);
  for (let r = sliceStart(R, 1, thread, threads); r < end; r++) {
    const row = (<usize>r * C) << 2;
    const mu = rowSum(x + row, 0, C) / <f32>C;
    const variance = rowSquareSum(x + row, mu, C) / <f32>C;
    const inverse = <f32>1 / Mathf.sqrt(variance + epsilon);
    store<f32>(mean + (<usize>r << 2), mu);
    store<f32>(rstd + (<usize>r << 2), inverse);
    normalize(out + row, x + row, weight, bias, mu, inverse, C);
  }
}

// out[c] = (x[c] − mu)·rstd·weight[c] + bias[c]
function normalize(out: usize, x: usize, weight: usize, bias: usize, mu: f32, rstd: f32, C: i32): void {
  const vmu = f32x4.splat(mu);
  const vrstd = f32x4.splat(rstd);
  const end = (<usize>C << 2) & ~15;
  for (let c: usize = 0; c < end; c += 16) {
    const vbias = bias != 0 ? v128.load(bias + c) : f32x4.splat(0);
    const vhat = f32x4.mul(f32x4.sub(v128.load(x + c), vmu), vrstd);
    v128.store(out + c, madd(vhat, v128.load(weight + c), vbias));
  }
  const left = C & 3;
  if (left != 0) {
    const vbias = bias != 0 ? loadTail(bias + end, left) : f32x4.splat(0);
    const vhat = f32x4.mul(f32x4.sub(loadTail(x + end, left), vmu), vrstd);
    storeTail(out + end, madd(vhat, loadTail(weight + end, left), vbias), left);
  }
}

/**
 * With g = dOut·weight: dX[r, c] = rstd[r]·(g[r, c] − mean_c(g) − x̂[r, c]·mean_c(g·x̂)).
 * @param dX      f32 [R, C], written or added to; may alias dOut if written
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
    backwardRow(
      dX + row, dOut + row, x + row, load<f32>(mean + (<usize>r << 2)), load<f32>(rstd + (<usize>r << 2)), weight,
      C, accumulate != 0,
    );
  }
}

function backwardRow(dX: usize, dOut: usize, x: usize, mu: f32, rstd: f32, weight: usize, C: i32, accumulate: bool): void {
  const vmu = f32x4.splat(mu);
  const vrstd = f32x4.splat(rstd);
  const end = (<usize>C << 2) & ~15;
  const left = C & 3;

  // Σ g and Σ g·x̂; a tail's missing lanes have weight 0.
  let vsum0 = f32x4.splat(0);
  let vsum1 = f32x4.splat(0);
  let vdot0 = f32x4.splat(0);
  let vdot1 = f32x4.splat(0);
  let c: usize = 0;
  for (; c + 16 < end; c += 32) {
    const vg0 = f32x4.mul(v128.load(dOut + c), v128.load(weight + c));
    const vg1 = f32x4.mul(v128.load(dOut + c, 16), v128.load(weight + c, 16));
    vsum0 = f32x4.add(vsum0, vg0);
    vsum1 = f32x4.add(vsum1, vg1);
    vdot0 = madd(vg0, f32x4.mul(f32x4.sub(v128.load(x + c), vmu), vrstd), vdot0);
    vdot1 = madd(vg1, f32x4.mul(f32x4.sub(v128.load(x + c, 16), vmu), vrstd), vdot1);
  }
  for (; c < end; c += 16) {
    const vg = f32x4.mul(v128.load(dOut + c), v128.load(weight + c));
    vsum0 = f32x4.add(vsum0, vg);
    vdot0 = madd(vg, f32x4.mul(f32x4.sub(v128.load(x + c), vmu), vrstd), vdot0);
  }
  if (left != 0) {
    const vg = f32x4.mul(loadTail(dOut + end, left), loadTail(weight + end, left));
    vsum1 = f32x4.add(vsum1, vg);
    vdot1 = madd(vg, f32x4.mul(f32x4.sub(loadTail(x + end, left), vmu), vrstd), vdot1);
  }
  const vmeanG = f32x4.splat(sum(f32x4.add(vsum0, vsum1)) / <f32>C);
  const vmeanDot = f32x4.splat(sum(f32x4.add(vdot0, vdot1)) / <f32>C);

  // dX = rstd·(g − mean(g) − x̂·mean(g·x̂))
  for (c = 0; c < end; c += 16) {
    const vhat = f32x4.mul(f32x4.sub(v128.load(x + c), vmu), vrstd);
    const vg = f32x4.mul(v128.load(dOut + c), v128.load(weight + c));
    const vd = f32x4.mul(vrstd, nmadd(vhat, vmeanDot, f32x4.sub(vg, vmeanG)));
    v128.store(dX + c, accumulate ? f32x4.add(v128.load(dX + c), vd) : vd);
  }
  if (left != 0) {
    const vhat = f32x4.mul(f32x4.sub(loadTail(x + end, left), vmu), vrstd);
    const vg = f32x4.mul(loadTail(dOut + end, left), loadTail(weight + end, left));
    const vd = f32x4.mul(vrstd, nmadd(vhat, vmeanDot, f32x4.sub(vg, vmeanG)));
    storeTail(dX + end, accumulate ? f32x4.add(loadTail(dX + end, left), vd) : vd, left);
  }
}

/**
 * dWeight[c] += Σ_r dOut[r, c]·x̂[r, c] and dBias[c] += Σ_r dOut[r, c].
 * @param dWeight  f32 [C], added to
 * @param dBias    f32 [C], added to; 0: none
 * @param dOut     f32 [R, C]
 * @param x        f32 [R, C]
 * @param mean     f32 [R], from forward
 * @param rstd     f32 [R], from forward
 * Threads share the columns; rows are added in order, 64 at a time, for the sake of the error and of the cache.
 */
export function layerNormBackwardParameters(
  dWeight: InOut<f32>, dBias: MaybeInOut<f32>, dOut: In<f32>, x: In<f32>, mean: In<f32>, rstd: In<f32>,
  R: Count, C: Count,
  thread: i32, threads: i32,
): void {
  const pitch = <usize>C << 2;
  const end = sliceEnd(C, LINE, thread, threads);
  for (let r = 0; r < R; r += ROWS, mean += ROWS << 2, rstd += ROWS << 2) {
    const rows = min(ROWS, R - r);
    let c = sliceStart(C, LINE, thread, threads);
    for (; c + 8 <= end; c += 8) {
      const column = <usize>c << 2;
      const first = (<usize>r * C + c) << 2;
      parameters8(dWeight + column, dBias != 0 ? dBias + column : 0, dOut + first, x + first, mean, rstd, rows, pitch);
    }
    for (; c < end; c++) {
      const column = <usize>c << 2;
      const first = (<usize>r * C + c) << 2;
      parameters1(dWeight + column, dBias != 0 ? dBias + column : 0, dOut + first, x + first, mean, rstd, rows, pitch);
    }
  }
}

// Eight columns of some rows, which are `pitch` bytes apart.
function parameters8(dWeight: usize, dBias: usize, dOut: usize, x: usize, mean: usize, rstd: usize, rows: i32, pitch: usize): void {
  let vweight0 = f32x4.splat(0);
  let vweight1 = f32x4.splat(0);
  let vbias0 = f32x4.splat(0);
  let vbias1 = f32x4.splat(0);
  while (rows > 0) {
    const vmu = v128.load32_splat(mean);
    const vrstd = v128.load32_splat(rstd);
    const vd0 = v128.load(dOut);
    const vd1 = v128.load(dOut, 16);
    vbias0 = f32x4.add(vbias0, vd0);
    vbias1 = f32x4.add(vbias1, vd1);
    vweight0 = madd(vd0, f32x4.mul(f32x4.sub(v128.load(x), vmu), vrstd), vweight0);
    vweight1 = madd(vd1, f32x4.mul(f32x4.sub(v128.load(x, 16), vmu), vrstd), vweight1);
    dOut += pitch;
    x += pitch;
    mean += 4;
    rstd += 4;
    rows--;
  }
  v128.store(dWeight, f32x4.add(v128.load(dWeight), vweight0));
  v128.store(dWeight, f32x4.add(v128.load(dWeight, 16), vweight1), 16);
  if (dBias == 0) return;
  v128.store(dBias, f32x4.add(v128.load(dBias), vbias0));
  v128.store(dBias, f32x4.add(v128.load(dBias, 16), vbias1), 16);
}

function parameters1(dWeight: usize, dBias: usize, dOut: usize, x: usize, mean: usize, rstd: usize, rows: i32, pitch: usize): void {
  let sumWeight: f32 = 0;
  let sumBias: f32 = 0;
  for (; rows > 0; rows--, dOut += pitch, x += pitch, mean += 4, rstd += 4) {
    sumBias += load<f32>(dOut);
    sumWeight += load<f32>(dOut) * ((load<f32>(x) - load<f32>(mean)) * load<f32>(rstd));
  }
  store<f32>(dWeight, load<f32>(dWeight) + sumWeight);
  if (dBias != 0) store<f32>(dBias, load<f32>(dBias) + sumBias);
}
