import { seedKey } from "../seed";

/**
 * Philox 4x32-10 (Salmon et al. 2011, "Parallel Random Numbers: As Easy as 1, 2, 3", doi:10.1145/2063384.2063405):
 * the core's generator, implemented on the host. The n-th number depends only on the key and n, so a sequence can be
 * resumed at any position and is the same on every engine.
 */
const MULTIPLIER0 = 0xd2511f53;
const MULTIPLIER1 = 0xcd9e8d57;
const WEYL0 = 0x9e3779b9;
const WEYL1 = 0xbb67ae85;
const ROUNDS = 10;

/** The host's random streams. Their top bit is set, which separates them from the streams of the core's ops. */
export const Stream = { Shuffle: 0x8000_0001, Offsets: 0x8000_0002, Dates: 0x8000_0003 } as const;

/** The high 32 bits of the 64-bit product of two u32. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16); // < 2³², so exact in a double
  const carry = (middle % 0x10000) + aLow * bHigh;
  return (aHigh * bHigh + Math.floor(middle / 0x10000) + Math.floor(carry / 0x10000)) >>> 0;
}

/**
 * One Philox 4x32-10 block: four u32 from a key of two u32 and a counter of four.
 *
 * @param key      [low, high]
 * @param counter  [block, stream, step, microBatch]
 * @param out      u32 [4], overwritten and returned
 *
 * @example
 * philox([0, 0], [0, 0, 0, 0]); // Uint32Array [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]
 */
export function philox(
  key: readonly [number, number],
  counter: readonly [number, number, number, number],
  out: Uint32Array = new Uint32Array(4),
): Uint32Array {
  let [k0, k1] = key;
  let [c0, c1, c2, c3] = counter;
  for (let round = 0; round < ROUNDS; round++) {
    const high0 = multiplyHigh(MULTIPLIER0, c0 >>> 0);
    const high1 = multiplyHigh(MULTIPLIER1, c2 >>> 0);
    const low0 = Math.imul(MULTIPLIER0, c0);
    const low1 = Math.imul(MULTIPLIER1, c2);
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 = (k0 + WEYL0) | 0;
    k1 = (k1 + WEYL1) | 0;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
  return out;
}

/**
 * Counter-based random numbers: `random.u32(7)` is always the same number, regardless of earlier calls.
 *
 * @example
 * const random = new Random(42);
 * random.below(6, 0) + 1; // the first roll of a die
 * random.below(6, 1) + 1; // the second
 */
export class Random {
  private readonly key: [number, number];
  private readonly block = new Uint32Array(4);
  private loaded = -1;

  /**
   * @param seed    an integer in [0, 2⁵³)
   * @param stream  selects one of 2³² independent sequences
   * @param step    also selects an independent sequence; for example, the epoch
   */
  constructor(
    seed: number,
    private readonly stream = 0,
    private readonly step = 0,
  ) {
    this.key = seedKey(seed);
  }

  /** The u32 at `position`: uniform in [0, 2³²). */
  u32(position: number): number {
    const index = Math.floor(position / 4);
    if (index !== this.loaded) {
      philox(this.key, [index, this.stream, this.step, 0], this.block);
      this.loaded = index;
    }
    return this.block[position % 4]!;
  }

  /** The `position`-th number in [0, 1): a multiple of 2⁻⁵³ made from the words 2·position and 2·position + 1. */
  uniform(position: number): number {
    const high = this.u32(2 * position) >>> 5;
    const low = this.u32(2 * position + 1) >>> 6;
    return (high * 2 ** 26 + low) / 2 ** 53;
  }

  /** The `position`-th integer in [0, n); the probabilities of two values differ by at most n/2⁵³ (relative). */
  below(n: number, position: number): number {
    return Math.floor(this.uniform(position) * n);
  }
}

/**
 * A random permutation of 0 … n − 1 (Fisher–Yates).
 *
 * @param stream  selects one of the seed's permutations
 * @param step    also selects a permutation; for example, the epoch
 *
 * @example
 * shuffle(5, 42); // Uint32Array with 0 … 4 in the same order on every engine
 */
export function shuffle(n: number, seed: number, stream: number = Stream.Shuffle, step = 0): Uint32Array {
  const random = new Random(seed, stream, step);
  const order = Uint32Array.from({ length: n }, (_, i) => i);
  for (let last = n - 1; last > 0; last--) {
    const other = random.below(last + 1, last);
    const held = order[last]!;
    order[last] = order[other]!;
    order[other] = held;
  }
  return order;
}
