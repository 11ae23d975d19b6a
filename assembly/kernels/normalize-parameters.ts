/** Gradients of the parameters of LayerNorm and RMSNorm: sums over rows. */
import { madd } from "../simd";
import { isWide } from "./normalize";

/** The number of rows whose contributions are added up in registers before memory is updated. */
const ROWS: i32 = 64;

/**
 * dWeight[c] += Σ_r dOut[r, c]·x̂[r, c] and dBias[c] += Σ_r dOut[r, c] for the columns [start … end).
 * @param dBias  0: no bias
 * @param mus    f32 [R], the mean μ of each row; 0 for RMSNorm, which has none
 * @param rstds  f32 [R]
 * Rows are summed in order, 64 at a time. Partial sums of bounded length limit the error, and the rows stay in cache.
 */
export function addParameters(
  dWeight: usize, dBias: usize, dOut: usize, x: usize, mus: usize, rstds: usize, R: i32, C: i32, start: i32, end: i32,
): void {
  const pitch = <usize>C << 2;
  for (let r = 0; r < R; r += ROWS) {
    const rows = min(ROWS, R - r);
    const mu = mus != 0 ? mus + (<usize>r << 2) : 0;
    const rstd = rstds + (<usize>r << 2);
    const scale: f32 = mus != 0 && anyWide(rstd, rows) ? 0.25 : 1;
    let c = start;
    for (; c + 8 <= end && scale == 1; c += 8) {
      const column = <usize>c << 2;
      const first = (<usize>r * C + c) << 2;
      add8(dWeight + column, dBias != 0 ? dBias + column : 0, dOut + first, x + first, mu, rstd, rows, pitch);
    }
    for (; c < end; c++) {
      const column = <usize>c << 2;
      const first = (<usize>r * C + c) << 2;
      add1(dWeight + column, dBias != 0 ? dBias + column : 0, dOut + first, x + first, mu, rstd, rows, pitch, scale);
    }
  }
}

function anyWide(rstd: usize, rows: i32): bool {
  let smallest = f32x4.splat(1);
  for (; rows >= 4; rows -= 4, rstd += 16) smallest = f32x4.pmin(smallest, v128.load(rstd));
  for (; rows > 0; rows--, rstd += 4) smallest = f32x4.pmin(smallest, v128.load32_splat(rstd));
  const pairs = f32x4.pmin(smallest, v128.shuffle<f32>(smallest, smallest, 2, 3, 0, 1));
  return isWide(min(f32x4.extract_lane(pairs, 0), f32x4.extract_lane(pairs, 1)));
}

// Eight columns; rows are `pitch` bytes apart.
function add8(dWeight: usize, dBias: usize, dOut: usize, x: usize, mu: usize, rstd: usize, rows: i32, pitch: usize): void {
  let vweight0 = f32x4.splat(0);
  let vweight1 = f32x4.splat(0);
  let vbias0 = f32x4.splat(0);
  let vbias1 = f32x4.splat(0);
  let vmu = f32x4.splat(0);
  while (rows > 0) {
    if (mu != 0) {
      vmu = v128.load32_splat(mu);
      mu += 4;
    }
    const vrstd = v128.load32_splat(rstd);
    const vd0 = v128.load(dOut);
    const vd1 = v128.load(dOut, 16);
    vbias0 = f32x4.add(vbias0, vd0);
    vbias1 = f32x4.add(vbias1, vd1);
    vweight0 = madd(vd0, f32x4.mul(f32x4.sub(v128.load(x), vmu), vrstd), vweight0);
    vweight1 = madd(vd1, f32x4.mul(f32x4.sub(v128.load(x, 16), vmu), vrstd), vweight1);
    dOut += pitch;
    x += pitch;
    rstd += 4;
    rows--;
  }
  v128.store(dWeight, f32x4.add(v128.load(dWeight), vweight0));
  v128.store(dWeight, f32x4.add(v128.load(dWeight, 16), vweight1), 16);
  if (dBias == 0) return;
  v128.store(dBias, f32x4.add(v128.load(dBias), vbias0));
  v128.store(dBias, f32x4.add(v128.load(dBias, 16), vbias1), 16);
}

// One column, with x̂ = (scale·x − scale·μ)·(rstd/scale). A power of two causes no rounding, and ¼ keeps x − μ from overflowing.
function add1(
  dWeight: usize, dBias: usize, dOut: usize, x: usize, mu: usize, rstd: usize, rows: i32, pitch: usize, scale: f32,
): void {
  let sumWeight: f32 = 0;
  let sumBias: f32 = 0;
  for (let r: usize = 0; r < <usize>rows << 2; r += 4, dOut += pitch, x += pitch) {
    const shift = mu != 0 ? scale * load<f32>(mu + r) : 0;
    sumBias += load<f32>(dOut);
    sumWeight += load<f32>(dOut) * ((scale * load<f32>(x) - shift) * (load<f32>(rstd + r) / scale));
  }
  store<f32>(dWeight, load<f32>(dWeight) + sumWeight);
  if (dBias != 0) store<f32>(dBias, load<f32>(dBias) + sumBias);
}
