/** Random initial values. Element e depends only on (rng, stream, e), and has the same bits in every build. */
import { Count, In, Out, Scalar } from "../operands";
import { cos64, log64, sin64 } from "../math64";
import { sliceEnd, sliceStart } from "../parallel";
import { philox } from "../random";
import { storeTail } from "../simd";

const GRAIN = 16; // elements in a cache line; a Philox block yields 4

/**
 * out[e] ~ N(0, deviation²), after Box & Muller 1958. With u = (v + 1)/2³² in (0, 1], each pair of words (v, w) of a block yields
 *
 *     √(−2 ln u)·cos(2π w/2³²)  and  √(−2 ln u)·sin(2π w/2³²)        |out| ≤ 6.67·deviation
 *
 * These are computed in f64 and rounded once.
 * @param out  f32 [n]
 * @param rng  the random cell
 */
export function randomNormal(
  out: Out<f32>, rng: In<i32>, n: Count, deviation: Scalar, stream: Count,
  thread: i32, threads: i32,
): void {
  const end = sliceEnd(n, GRAIN, thread, threads);
  for (let e = sliceStart(n, GRAIN, thread, threads); e < end; e += 4) {
    const words = philox(rng, stream, e >> 2);
    const r0 = radius(i32x4.extract_lane(words, 0), deviation);
    const r1 = radius(i32x4.extract_lane(words, 2), deviation);
    const a0 = angle(i32x4.extract_lane(words, 1));
    const a1 = angle(i32x4.extract_lane(words, 3));
    let v = f32x4.splat(<f32>(r0 * cos64(a0)));
    v = f32x4.replace_lane(v, 1, <f32>(r0 * sin64(a0)));
    v = f32x4.replace_lane(v, 2, <f32>(r1 * cos64(a1)));
    v = f32x4.replace_lane(v, 3, <f32>(r1 * sin64(a1)));
    storeBlock(out + (<usize>e << 2), v, end - e);
  }
}

// @ts-ignore: decorator
@inline
function radius(word: u32, deviation: f32): f64 {
  return sqrt<f64>(-2 * log64((<f64>word + 1) * 2.3283064365386963e-10)) * deviation; // 2⁻³²
}

// @ts-ignore: decorator
@inline
function angle(word: u32): f64 {
  return <f64>word * 1.4629180792671596e-9; // 2π/2³²
}

/**
 * out[e] = low + (high − low)·u, with u uniformly distributed over the multiples of 2⁻²⁴ in [0, 1).
 * @param out  f32 [n]; rounding may produce `high` itself
 * @param rng  the random cell
 */
export function randomUniform(
  out: Out<f32>, rng: In<i32>, n: Count, low: Scalar, high: Scalar, stream: Count,
  thread: i32, threads: i32,
): void {
  const end = sliceEnd(n, GRAIN, thread, threads);
  const step = f32x4.splat((high - low) * 5.9604645e-8); // 2⁻²⁴
  for (let e = sliceStart(n, GRAIN, thread, threads); e < end; e += 4) {
    const steps = f32x4.convert_i32x4_s(i32x4.shr_u(philox(rng, stream, e >> 2), 8));
    storeBlock(out + (<usize>e << 2), f32x4.add(f32x4.mul(steps, step), f32x4.splat(low)), end - e);
  }
}

// @ts-ignore: decorator
@inline
function storeBlock(at: usize, v: v128, n: i32): void {
  if (n >= 4) v128.store(at, v);
  else storeTail(at, v, n);
}
