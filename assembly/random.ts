/**
 * Counter-based random numbers: Philox 4x32-10 (Salmon et al. 2011, "Parallel Random Numbers: As Easy as 1, 2, 3").
 *
 * A block is 128 random bits. It is a pure function of a key and a counter, so any thread can compute the bits of any element:
 *
 *     key     = (seedLow, seedHigh)
 *     counter = (block, stream, step, microBatch)
 *
 * `rng` is the address of the cell that holds everything except `block` and `stream` (see `Rng`). Each op of a program has its own stream.
 */
import { Rng } from "./layouts";

const M0: u32 = 0xd2511f53;
const M1: u32 = 0xcd9e8d57;
const W0: u32 = 0x9e3779b9; // the golden ratio
const W1: u32 = 0xbb67ae85; // √3 − 1
const ROUNDS = 10;

/** The four random words of one block, as u32x4. */
export function philox(rng: usize, stream: u32, block: u32): v128 {
  const key0 = load<u32>(rng, Rng.SeedLow);
  const key1 = load<u32>(rng, Rng.SeedHigh);
  return philox4x32(key0, key1, block, stream, load<u32>(rng, Rng.Step), load<u32>(rng, Rng.MicroBatch));
}

/** The same, with the key and the counter as arguments. */
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

/** The threshold of `keepBits` for dropout probability p: an element is dropped if its 16 random bits are below it. */
// @ts-ignore: decorator
@inline
export function dropThreshold(p: f32): i32 {
  return <i32>nearest<f64>(<f64>p * 65536.0);
}

// Loaded from memory, because V8 would rebuild a literal constant in every round.
const VECTORS: usize = memory.data<u32>([M0, M0, M0, M0, M1, M1, M1, M1, W0, W0, W0, W0, W1, W1, W1, W1], 16);

/**
 * Which of 32 consecutive elements dropout keeps: bit e is for element 8·block + e. Computes four blocks at once.
 *
 * Element e of a stream uses half-word e & 7 of block e >> 3 (word by word, low half first) and is kept iff that is ≥ `threshold`.
 * @param block      the block of the first element
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
  // One byte per element. In words01, byte 2b + half is word 0 of block b, and byte 8 + 2b + half is word 1; words23 likewise.
  // The shuffles then put the bytes in element order.
  const t = i16x8.splat(<i16>threshold);
  const words01 = i8x16.narrow_i16x8_s(i16x8.ge_u(c0, t), i16x8.ge_u(c1, t));
  const words23 = i8x16.narrow_i16x8_s(i16x8.ge_u(c2, t), i16x8.ge_u(c3, t));
  const low = v128.shuffle<i16>(words01, words23, 0, 4, 8, 12, 1, 5, 9, 13);
  const high = v128.shuffle<i16>(words01, words23, 2, 6, 10, 14, 3, 7, 11, 15);
  return i8x16.bitmask(low) | (i8x16.bitmask(high) << 16);
}

const LANE_BITS: usize = memory.data<i32>([1, 2, 4, 8], 16);

/** Lane i is all ones if bit i of `bits` is set, else 0. Shift `bits` right by 4 for the next four elements. */
// @ts-ignore: decorator
@inline
export function keepMask(bits: u32): v128 {
  const lanes = v128.load(LANE_BITS);
  return i32x4.eq(v128.and(i32x4.splat(bits), lanes), lanes);
}
