/**
 * Counter-based random numbers: Philox 4x32-10 (Salmon et al. 2011, "Parallel Random Numbers: As Easy as 1, 2, 3").
 *
 * A block is 128 random bits, a pure function of a key and a counter, so that any thread can compute any element's bits:
 *
 *     key     = (seedLow, seedHigh)
 *     counter = (block, stream, step, microBatch)
 *
 * `rng` is the address of the cell that holds all but `block` and `stream` (see `Rng`); a stream is one op of the program.
 */
import { Rng } from "./layouts";

const M0: u32 = 0xd2511f53;
const M1: u32 = 0xcd9e8d57;
const W0: u32 = 0x9e3779b9; // the golden ratio
const W1: u32 = 0xbb67ae85; // √3 − 1
const ROUNDS = 10;

/** The four random words of one block, u32x4. */
export function philox(rng: usize, stream: u32, block: u32): v128 {
  const key0 = load<u32>(rng, Rng.SeedLow);
  const key1 = load<u32>(rng, Rng.SeedHigh);
  return philox4x32(key0, key1, block, stream, load<u32>(rng, Rng.Step), load<u32>(rng, Rng.MicroBatch));
}

/** The same, of a key and a counter. */
export function philox4x32(k0: u32, k1: u32, c0: u32, c1: u32, c2: u32, c3: u32): v128 {
  for (let round = 0; round < ROUNDS; round++) {
    const p0 = <u64>c0 * M0;
    const p1 = <u64>c2 * M1;
    c0 = <u32>(p1 >> 32) ^ c1 ^ k0;
    c1 = <u32>p1;
    c2 = <u32>(p0 >> 32) ^ c3 ^ k1;
    c3 = <u32>p0;
    k0 += W0;
    k1 += W1;
  }
  const low = i32x4.replace_lane(i32x4.splat(c0), 1, c1);
  return i32x4.replace_lane(i32x4.replace_lane(low, 2, c2), 3, c3);
}

/** Dropout's threshold for `keepBits`: an element is dropped when its 16 random bits are below it. */
// @ts-ignore: decorator
@inline
export function dropThreshold(p: f32): i32 {
  return <i32>nearest<f64>(<f64>p * 65536.0);
}

// Loaded, not spelt: V8 builds a constant anew in every round.
const VECTORS: usize = memory.data<u32>([M0, M0, M0, M0, M1, M1, M1, M1, W0, W0, W0, W0, W1, W1, W1, W1], 16);

/**
 * Which of 32 consecutive elements dropout keeps: bit e is element 8·block + e. One pass over four blocks.
 *
 * Element e of a stream has half-word e & 7 of block e >> 3 (word by word, the low half first) and is kept iff that is ≥ `threshold`.
 * @param block      of the first element
 * @param threshold  `dropThreshold(p)`, 0 (keep all) to 65536 (drop all)
 */
export function keepBits(rng: usize, stream: u32, block: u32, threshold: i32): u32 {
  if (threshold <= 0) return 0xffffffff;
  if (threshold > 0xffff) return 0;
  let k0 = v128.load32_splat(rng + Rng.SeedLow);
  let k1 = v128.load32_splat(rng + Rng.SeedHigh);
  let c0 = i32x4.add(i32x4.splat(block), i32x4(0, 1, 2, 3)); // lane b: word 0 of block b
  let c1 = i32x4.splat(stream);
  let c2 = v128.load32_splat(rng + Rng.Step);
  let c3 = v128.load32_splat(rng + Rng.MicroBatch);
  const m0 = v128.load(VECTORS);
  const m1 = v128.load(VECTORS, 16);
  const w0 = v128.load(VECTORS, 32);
  const w1 = v128.load(VECTORS, 48);
  for (let round = 0; round < ROUNDS; round++) {
    const p0 = i64x2.extmul_low_i32x4_u(c0, m0); // blocks 0 and 1
    const q0 = i64x2.extmul_high_i32x4_u(c0, m0); // blocks 2 and 3
    const p1 = i64x2.extmul_low_i32x4_u(c2, m1);
    const q1 = i64x2.extmul_high_i32x4_u(c2, m1);
    c0 = v128.xor(v128.shuffle<i32>(p1, q1, 1, 3, 5, 7), v128.xor(c1, k0));
    c1 = v128.shuffle<i32>(p1, q1, 0, 2, 4, 6);
    c2 = v128.xor(v128.shuffle<i32>(p0, q0, 1, 3, 5, 7), v128.xor(c3, k1));
    c3 = v128.shuffle<i32>(p0, q0, 0, 2, 4, 6);
    k0 = i32x4.add(k0, w0);
    k1 = i32x4.add(k1, w1);
  }
  // A byte an element: 2b + half of word 0 (bytes 0–7) and 1 (8–15), of word 2 and 3; then in the order of the elements.
  const t = i16x8.splat(<i16>threshold);
  const words01 = i8x16.narrow_i16x8_s(i16x8.ge_u(c0, t), i16x8.ge_u(c1, t));
  const words23 = i8x16.narrow_i16x8_s(i16x8.ge_u(c2, t), i16x8.ge_u(c3, t));
  const low = v128.shuffle<i16>(words01, words23, 0, 4, 8, 12, 1, 5, 9, 13);
  const high = v128.shuffle<i16>(words01, words23, 2, 6, 10, 14, 3, 7, 11, 15);
  return i8x16.bitmask(low) | (i8x16.bitmask(high) << 16);
}

const LANE_BITS: usize = memory.data<i32>([1, 2, 4, 8], 16);

/** All ones in lane i where bit i of `bits` is set: shift by 4 for the next four elements. */
// @ts-ignore: decorator
@inline
export function keepMask(bits: u32): v128 {
  const lanes = v128.load(LANE_BITS);
  return i32x4.eq(v128.and(i32x4.splat(bits), lanes), lanes);
}
