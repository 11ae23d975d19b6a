/**
 * Row operations shared by LayerNorm and RMSNorm. Both multiply x̂ by a weight. With the row's mean μ and r = rstd, `Mean` selects x̂:
 *
 *     None   x·r                RMSNorm
 *     Plain  (x − μ)·r          LayerNorm
 *     Wide   (x/4 − μ/4)·4r     LayerNorm, for rows in which x − μ may overflow f32
 *
 * Callers pass `mean` as a constant, so only its branches are compiled.
 */
import { loadTail, madd, nmadd, storeTail, sum } from "../simd";
import { BLOCK } from "./rows";

export const enum Mean { None, Plain, Wide }

/** A power of two, small enough that the sum of 1024 squares (SHRINK·x)² does not overflow f32 for any finite x. */
export const SHRINK: f32 = 8.271806125530277e-25; // 2⁻⁸⁰

/** out[c] = SHRINK·x[c]. Returns `out`. */
export function shrink(out: usize, x: usize, C: i32): usize {
  for (let c: usize = 0; c < <usize>C << 2; c += 4) store<f32>(out + c, SHRINK * load<f32>(x + c));
  return out;
}

/** The row's rstd divided by SHRINK, from the sum of squares of SHRINK·x. */
export function shrunkRstd(squares: f32, C: i32, epsilon: f32): f32 {
  return <f32>(1 / Math.sqrt(<f64>squares / C + <f64>epsilon * SHRINK * SHRINK));
}

/** Whether x − μ may overflow f32 in a row. We know |x − μ| ≤ √C / rstd and √C < 2¹⁶. */
// @ts-ignore: decorator
@inline
export function isWide(rstd: f32): bool {
  return rstd < 1.925929944387236e-34; // 2⁻¹¹²
}

/** x̂ of four elements. `splatMu` and `splatRstd` prepare vmu and vrstd. */
// @ts-ignore: decorator
@inline
export function hat(vx: v128, vmu: v128, vrstd: v128, mean: Mean): v128 {
  if (mean == Mean.None) return f32x4.mul(vx, vrstd);
  if (mean == Mean.Wide) vx = f32x4.mul(vx, f32x4.splat(0.25));
  return f32x4.mul(f32x4.sub(vx, vmu), vrstd);
}

// @ts-ignore: decorator
@inline
export function splatMu(mu: f32, mean: Mean): v128 {
  return f32x4.splat(mean == Mean.Wide ? 0.25 * mu : mu);
}

// @ts-ignore: decorator
@inline
export function splatRstd(rstd: f32, mean: Mean): v128 {
  return f32x4.splat(mean == Mean.Wide ? 4 * rstd : rstd);
}

/** out[c] = x̂[c]·weight[c] + bias[c]. If `bias` is 0, none is added. */
// @ts-ignore: decorator
@inline
export function normalize(out: usize, x: usize, weight: usize, bias: usize, mu: f32, rstd: f32, C: i32, mean: Mean): void {
  const vmu = f32x4.splat(mu);
  const vrstd = f32x4.splat(rstd);
  const end = (<usize>C << 2) & ~15;
  for (let c: usize = 0; c < end; c += 16) {
    const vhat = hat(v128.load(x + c), vmu, vrstd, mean);
    const vweight = v128.load(weight + c);
    v128.store(out + c, bias != 0 ? madd(vhat, vweight, v128.load(bias + c)) : f32x4.mul(vhat, vweight));
  }
  const left = C & 3;
  if (left == 0) return;
  const vhat = hat(loadTail(x + end, left), vmu, vrstd, mean);
  const vweight = loadTail(weight + end, left);
  storeTail(out + end, bias != 0 ? madd(vhat, vweight, loadTail(bias + end, left)) : f32x4.mul(vhat, vweight), left);
}

/** With g = dOut·weight: dX[c] (+)= rstd·(g[c] − mean_c(g) − x̂[c]·mean_c(g·x̂)), without the term mean_c(g) for Mean.None. */
// @ts-ignore: decorator
@inline
export function normalizeBackward(
  dX: usize, dOut: usize, x: usize, mu: f32, rstd: f32, weight: usize, C: i32, accumulate: bool, mean: Mean,
): void {
  const vmu = splatMu(mu, mean);
  const vhatRstd = splatRstd(rstd, mean);
  let sumG: f64 = 0;
  let sumDot: f64 = 0;
  let blockG: f32 = 0;
  let blockDot: f32 = 0;

  // Σ g and Σ g·x̂, in blocks as in rows.ts. The missing lanes of a tail have weight 0.
  for (let first = 0; first < C; first += BLOCK) {
    let c = <usize>first << 2;
    const blockEnd = <usize>min(C, first + BLOCK) << 2;
    const end = blockEnd & ~15;
    let vsum0 = f32x4.splat(0);
    let vsum1 = f32x4.splat(0);
    let vdot0 = f32x4.splat(0);
    let vdot1 = f32x4.splat(0);
    for (; c + 16 < end; c += 32) {
      const vg0 = f32x4.mul(v128.load(dOut + c), v128.load(weight + c));
      const vg1 = f32x4.mul(v128.load(dOut + c, 16), v128.load(weight + c, 16));
      if (mean != Mean.None) {
        vsum0 = f32x4.add(vsum0, vg0);
        vsum1 = f32x4.add(vsum1, vg1);
      }
      vdot0 = madd(vg0, hat(v128.load(x + c), vmu, vhatRstd, mean), vdot0);
      vdot1 = madd(vg1, hat(v128.load(x + c, 16), vmu, vhatRstd, mean), vdot1);
    }
    if (c < end) {
      const vg = f32x4.mul(v128.load(dOut + c), v128.load(weight + c));
      vsum0 = f32x4.add(vsum0, vg);
      vdot0 = madd(vg, hat(v128.load(x + c), vmu, vhatRstd, mean), vdot0);
    }
    if (end < blockEnd) {
      const left = C & 3;
      const vg = f32x4.mul(loadTail(dOut + end, left), loadTail(weight + end, left));
      vsum1 = f32x4.add(vsum1, vg);
      vdot1 = madd(vg, hat(loadTail(x + end, left), vmu, vhatRstd, mean), vdot1);
    }
    blockG = sum(f32x4.add(vsum0, vsum1));
    blockDot = sum(f32x4.add(vdot0, vdot1));
    sumG += <f64>blockG;
    sumDot += <f64>blockDot;
  }

  const vrstd = f32x4.splat(rstd);
  const isBlock = C <= BLOCK; // a single block needs no f64, which saves 3 % for a row of 384
  const vmeanG = f32x4.splat((isBlock ? blockG : <f32>sumG) / <f32>C);
  const vmeanDot = f32x4.splat((isBlock ? blockDot : <f32>sumDot) / <f32>C);
  const end = (<usize>C << 2) & ~15;
  const left = C & 3;
  for (let c: usize = 0; c < end; c += 16) {
    let vg = f32x4.mul(v128.load(dOut + c), v128.load(weight + c));
    if (mean != Mean.None) vg = f32x4.sub(vg, vmeanG);
    const vd = f32x4.mul(vrstd, nmadd(hat(v128.load(x + c), vmu, vhatRstd, mean), vmeanDot, vg));
    v128.store(dX + c, accumulate ? f32x4.add(v128.load(dX + c), vd) : vd);
  }
  if (left != 0) {
    let vg = f32x4.mul(loadTail(dOut + end, left), loadTail(weight + end, left));
    if (mean != Mean.None) vg = f32x4.sub(vg, vmeanG);
    const vd = f32x4.mul(vrstd, nmadd(hat(loadTail(x + end, left), vmu, vhatRstd, mean), vmeanDot, vg));
    storeTail(dX + end, accumulate ? f32x4.add(loadTail(dX + end, left), vd) : vd, left);
  }
}
