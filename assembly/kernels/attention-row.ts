import { exp, expScalar, logScalar } from "../math";
import { loadTail, madd, maxNumber, maximum, storeTail, sum } from "../simd";

/** Keys whose scores are held at a time: a multiple of 4. */
const CHUNK: i32 = 1024;

/**
 * Attention of one query, as decoding needs it: nothing is packed, each key and value is read once, where it lies.
 * out = Σ_j P_j·v_j with P = softmax_j(scale·q·k_j), over the keys it sees; by chunks of keys, joined by the online softmax.
 * @param out   f32 [D]
 * @param lse   f32 [1]
 * @param q     f32 [D]
 * @param k     f32 [keys, D], rows `ldk` apart
 * @param v     f32 [keys, D], rows `ldv` apart
 * @param s     f32 [CHUNK], scratch
 */
export function attendRow(
  out: usize, lse: usize, q: usize, k: usize, v: usize, s: usize, keys: i32, D: i32, ldk: i32, ldv: i32, scale: f32,
): void {
  let m: f32 = -Infinity; // the largest score so far
  let l: f32 = 0; // Σ_j exp(s_j − m) so far; out is Σ_j exp(s_j − m)·v_j
  addValues(out, s, v, 0, D, ldv, 0, true);
  for (let j = 0; j < keys; j += CHUNK) {
    const n = min(CHUNK, keys - j);
    const before = m;
    m = max(before, scale * rowScores(s, q, k + (<usize>(j * ldk) << 2), n, D, ldk));
    const base: f32 = m == -Infinity ? 0 : m;
    const shrink = expScalar(before - base);
    l = l * shrink + rowPowers(s, n, scale, base);
    addValues(out, s, v + (<usize>(j * ldv) << 2), n, D, ldv, shrink, j == 0);
  }
  store<f32>(lse, m + logScalar(l));
  addValues(out, s, v, 0, D, ldv, l == 0 ? 0 : 1 / l, false);
}

/** s[j] = Σ_d q[d]·k[j, d], four keys at a time; −Infinity up to the next multiple of 4. Returns the largest number. */
function rowScores(s: usize, q: usize, k: usize, keys: i32, D: i32, ldk: i32): f32 {
  const pitch = <usize>ldk << 2;
  const vectorEnd = <usize>(D & -4) << 2;
  const tail = D & 3;
  let largest = f32x4.splat(-Infinity);
  for (let j = 0; j < keys; j += 4) {
    // Past the last key, its row is read again and the score dropped.
    const left = keys - j;
    const k1 = left > 1 ? k + pitch : k;
    const k2 = left > 2 ? k1 + pitch : k1;
    const k3 = left > 3 ? k2 + pitch : k2;
    let acc0 = f32x4.splat(0), acc1 = acc0, acc2 = acc0, acc3 = acc0;
    for (let d: usize = 0; d < vectorEnd; d += 16) {
      const vq = v128.load(q + d);
      acc0 = madd(vq, v128.load(k + d), acc0);
      acc1 = madd(vq, v128.load(k1 + d), acc1);
      acc2 = madd(vq, v128.load(k2 + d), acc2);
      acc3 = madd(vq, v128.load(k3 + d), acc3);
    }
    if (tail) {
      const vq = loadTail(q + vectorEnd, tail);
      acc0 = madd(vq, loadTail(k + vectorEnd, tail), acc0);
      acc1 = madd(vq, loadTail(k1 + vectorEnd, tail), acc1);
      acc2 = madd(vq, loadTail(k2 + vectorEnd, tail), acc2);
      acc3 = madd(vq, loadTail(k3 + vectorEnd, tail), acc3);
    }
    const sum01 = f32x4.add(v128.shuffle<f32>(acc0, acc1, 0, 4, 1, 5), v128.shuffle<f32>(acc0, acc1, 2, 6, 3, 7));
    const sum23 = f32x4.add(v128.shuffle<f32>(acc2, acc3, 0, 4, 1, 5), v128.shuffle<f32>(acc2, acc3, 2, 6, 3, 7));
    let scores = f32x4.add(v128.shuffle<f32>(sum01, sum23, 0, 1, 4, 5), v128.shuffle<f32>(sum01, sum23, 2, 3, 6, 7));
    if (left < 4) scores = v128.bitselect(scores, f32x4.splat(-Infinity), i32x4.gt_s(i32x4.splat(left), i32x4(0, 1, 2, 3)));
    v128.store(s, scores);
    largest = maxNumber(largest, scores);
    s += 16;
    k += 4 * pitch;
  }
  return maximum(largest);
}

/** s = exp(scale·s − base); returns its sum. */
function rowPowers(s: usize, n: i32, scale: f32, base: f32): f32 {
  const vscale = f32x4.splat(scale);
  const minusBase = f32x4.splat(-base);
  let total = f32x4.splat(0);
  for (const end = s + (<usize>n << 2); s < end; s += 16) {
    const p = exp(madd(v128.load(s), vscale, minusBase));
    total = f32x4.add(total, p);
    v128.store(s, p);
  }
  return sum(total);
}

/** out = factor·out + Σ_j s[j]·v[j, :]; out counts as 0 if `fresh`. */
function addValues(out: usize, s: usize, v: usize, keys: i32, D: i32, ldv: i32, factor: f32, fresh: bool): void {
  const pitch = <usize>ldv << 2;
  const end = s + (<usize>keys << 2);
  const vfactor = f32x4.splat(factor);
  let acc0 = f32x4.splat(0), acc1 = acc0, acc2 = acc0, acc3 = acc0, acc4 = acc0, acc5 = acc0, acc6 = acc0, acc7 = acc0;
  for (; D >= 32; D -= 32) {
    if (!fresh) {
      acc0 = f32x4.mul(v128.load(out), vfactor), acc1 = f32x4.mul(v128.load(out, 16), vfactor);
      acc2 = f32x4.mul(v128.load(out, 32), vfactor), acc3 = f32x4.mul(v128.load(out, 48), vfactor);
      acc4 = f32x4.mul(v128.load(out, 64), vfactor), acc5 = f32x4.mul(v128.load(out, 80), vfactor);
      acc6 = f32x4.mul(v128.load(out, 96), vfactor), acc7 = f32x4.mul(v128.load(out, 112), vfactor);
    } else {
      acc0 = acc1 = acc2 = acc3 = acc4 = acc5 = acc6 = acc7 = f32x4.splat(0);
    }
    let vRow = v;
    for (let at = s; at < end; at += 4) {
      const p = v128.load32_splat(at);
      acc0 = madd(p, v128.load(vRow), acc0), acc1 = madd(p, v128.load(vRow, 16), acc1);
      acc2 = madd(p, v128.load(vRow, 32), acc2), acc3 = madd(p, v128.load(vRow, 48), acc3);
      acc4 = madd(p, v128.load(vRow, 64), acc4), acc5 = madd(p, v128.load(vRow, 80), acc5);
      acc6 = madd(p, v128.load(vRow, 96), acc6), acc7 = madd(p, v128.load(vRow, 112), acc7);
      vRow += pitch;
    }
    v128.store(out, acc0), v128.store(out, acc1, 16), v128.store(out, acc2, 32), v128.store(out, acc3, 48);
    v128.store(out, acc4, 64), v128.store(out, acc5, 80), v128.store(out, acc6, 96), v128.store(out, acc7, 112);
    out += 128;
    v += 128;
  }
  for (; D > 0; D -= 4) {
    const whole = D > 3;
    let acc = f32x4.splat(0);
    if (!fresh) acc = f32x4.mul(whole ? v128.load(out) : loadTail(out, D), vfactor);
    let vRow = v;
    for (let at = s; at < end; at += 4) {
      acc = madd(v128.load32_splat(at), whole ? v128.load(vRow) : loadTail(vRow, D), acc);
      vRow += pitch;
    }
    if (whole) v128.store(out, acc);
    else storeTail(out, acc, D);
    out += 16;
    v += 16;
  }
}
