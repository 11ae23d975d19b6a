/** Rotary position embeddings (Su et al. 2021, arXiv:2104.09864), in the half-split convention of Hugging Face's `rotate_half`. */
import { Count, Flag, In, MaybeIn, Out, Scalar } from "../operands";
import { cos64, exp64, log64, sin64 } from "../math64";
import { sliceEnd, sliceStart } from "../parallel";
import { loadTail, storeTail } from "../simd";

/**
 * Rotates the first `rotated` columns of each head by the angles of the token's position p = past[b] + t. With h = rotated/2, for c < h:
 *
 *     out[c] = x[c]·cos[p, c] − x[c + h]·sin[p, c]          out[c + h] = x[c + h]·cos[p, c] + x[c]·sin[p, c]
 *
 * Columns c ≥ rotated, and the columns of a token after its H heads, are copied. Backward is the same op on dOut with `inverse`, which
 * rotates by −angle.
 * @param out      f32 [B, T, C], tokens ldo apart: H contiguous heads of D, then other columns; may alias x if ldo = ldx
 * @param x        f32 [B, T, C], tokens ldx apart, likewise
 * @param table    f32 [L, rotated], from rotaryTable
 * @param past     i32 [B], the number of tokens before the first one of each row; absent: 0 for all rows
 * @param rotated  even, ≤ D
 * A position outside the table gives NaN in the rotated columns.
 */
export function rotary(
  out: Out<f32>, x: In<f32>, table: In<f32>, past: MaybeIn<i32>,
  B: Count, T: Count, C: Count, H: Count, D: Count, ldo: Count, ldx: Count, L: Count, rotated: Count, inverse: Flag,
  thread: i32, threads: i32,
): void {
  assert((rotated & 1) == 0 && rotated <= D, "rotary: `rotated` must be even and at most D");
  const end = sliceEnd(B * T, 1, thread, threads);
  for (let token = sliceStart(B * T, 1, thread, threads); token < end; token++) {
    const b = token / T;
    const position = token - b * T + (past != 0 ? load<i32>(past + (<usize>b << 2)) : 0);
    const row = <u32>position < <u32>L ? table + ((<usize>position * <usize>rotated) << 2) : 0;
    let outHead = out + ((<usize>token * <usize>ldo) << 2);
    let xHead = x + ((<usize>token * <usize>ldx) << 2);
    for (let head = 0; head < H; head++, outHead += <usize>D << 2, xHead += <usize>D << 2) {
      rotate(outHead, xHead, row, rotated >> 1, inverse ? -1 : 1);
      if (rotated == D || outHead == xHead) continue;
      const rest = <usize>rotated << 2;
      memory.copy(outHead + rest, xHead + rest, <usize>(D - rotated) << 2);
    }
    if (outHead != xHead && C > H * D) memory.copy(outHead, xHead, <usize>(C - H * D) << 2);
  }
}

// One head of one token. `table` is the position's row of cosines and sines, or 0 for a position outside the table.
function rotate(out: usize, x: usize, table: usize, half: i32, sign: f32): void {
  if (table == 0) {
    for (let c = 0; c < 2 * half; c++) store<f32>(out + (<usize>c << 2), f32.NaN);
    return;
  }
  const vsign = f32x4.splat(sign);
  const offset = <usize>half << 2; // of the second half, and of the sines
  const tail = half & 3;
  const body = <usize>(half - tail) << 2;
  for (let c: usize = 0; c < body; c += 16) {
    const vcos = v128.load(table + c);
    const vsin = f32x4.mul(vsign, v128.load(table + offset + c));
    const va = v128.load(x + c);
    const vb = v128.load(x + offset + c);
    v128.store(out + c, f32x4.sub(f32x4.mul(va, vcos), f32x4.mul(vb, vsin)));
    v128.store(out + offset + c, f32x4.add(f32x4.mul(vb, vcos), f32x4.mul(va, vsin)));
  }
  if (tail == 0) return;
  const vcos = loadTail(table + body, tail);
  const vsin = f32x4.mul(vsign, loadTail(table + offset + body, tail));
  const va = loadTail(x + body, tail);
  const vb = loadTail(x + offset + body, tail);
  storeTail(out + body, f32x4.sub(f32x4.mul(va, vcos), f32x4.mul(vb, vsin)), tail);
  storeTail(out + offset + body, f32x4.add(f32x4.mul(vb, vcos), f32x4.mul(va, vsin)), tail);
}

/**
 * Computes the table of `rotary`. With angle(p, i) = p·base^(−2i/rotated)·factors[i] for i < rotated/2,
 *
 *     out[p, i] = scale·cos(angle(p, i))          out[p, rotated/2 + i] = scale·sin(angle(p, i))
 *
 * @param out      f32 [L, rotated]; computed in f64 and rounded once: absolute error < 1e-7·|scale| for angles up to 2²⁰
 * @param factors  f32 [rotated/2], a scaling factor per frequency (linear, YaRN, Llama 3); absent: 1 for all
 * @param base     10000 in the paper
 * @param scale    1, or YaRN's attention factor
 */
export function rotaryTable(
  out: Out<f32>, factors: MaybeIn<f32>, L: Count, rotated: Count, base: Scalar, scale: Scalar,
  thread: i32, threads: i32,
): void {
  const half = rotated >> 1;
  const end = sliceEnd(L, 1, thread, threads);
  for (let i = 0; i < half; i++) {
    let frequency = exp64((-2 * log64(base) * <f64>i) / <f64>rotated);
    if (factors != 0) frequency *= <f64>load<f32>(factors + (<usize>i << 2));
    for (let p = sliceStart(L, 1, thread, threads); p < end; p++) {
      const at = out + ((<usize>p * <usize>rotated + <usize>i) << 2);
      store<f32>(at, <f32>(<f64>scale * cos64(<f64>p * frequency)));
      store<f32>(at + (<usize>half << 2), <f32>(<f64>scale * sin64(<f64>p * frequency)));
    }
  }
}
