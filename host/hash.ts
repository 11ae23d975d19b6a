const C = [0x239b961b, 0xab0e9789, 0x38b34ae5, 0xa1e38b93] as const;
const ADDED = [0x561ccd1b, 0x0bcaa747, 0x96cd1c35, 0x32ac3b17] as const;
const MULTIPLIED = [15, 16, 17, 18] as const;

const rotate = (x: number, bits: number): number => (x << bits) | (x >>> (32 - bits));

/**
 * MurmurHash3_x86_128 of little-endian words, as 32 hexadecimal digits. It tells data apart that differ by accident; it does not
 * withstand an attacker.
 *
 * @example
 * hashWords(new Uint32Array(0)); // "00000000000000000000000000000000"
 */
export function hashWords(words: Uint32Array, seed = 0): string {
  const h = new Int32Array(4).fill(seed);
  let [h0, h1, h2, h3] = [h[0]!, h[1]!, h[2]!, h[3]!];
  const blocks = words.length & ~3;
  for (let i = 0; i < blocks; i += 4) {
    h0 ^= Math.imul(rotate(Math.imul(words[i]!, C[0]), 15), C[1]);
    h0 = (Math.imul((rotate(h0, 19) + h1) | 0, 5) + ADDED[0]) | 0;
    h1 ^= Math.imul(rotate(Math.imul(words[i + 1]!, C[1]), 16), C[2]);
    h1 = (Math.imul((rotate(h1, 17) + h2) | 0, 5) + ADDED[1]) | 0;
    h2 ^= Math.imul(rotate(Math.imul(words[i + 2]!, C[2]), 17), C[3]);
    h2 = (Math.imul((rotate(h2, 15) + h3) | 0, 5) + ADDED[2]) | 0;
    h3 ^= Math.imul(rotate(Math.imul(words[i + 3]!, C[3]), 18), C[0]);
    h3 = (Math.imul((rotate(h3, 13) + h0) | 0, 5) + ADDED[3]) | 0;
  }
  h.set([h0, h1, h2, h3]);
  for (let lane = 0; lane < words.length - blocks; lane++) {
    h[lane]! ^= Math.imul(rotate(Math.imul(words[blocks + lane]!, C[lane]!), MULTIPLIED[lane]!), C[(lane + 1) % 4]!);
  }
  for (let lane = 0; lane < 4; lane++) h[lane]! ^= 4 * words.length;
  mix(h);
  for (let lane = 0; lane < 4; lane++) h[lane] = finish(h[lane]!);
  mix(h);
  return Array.from(h, (word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
}

function mix(h: Int32Array): void {
  h[0]! += h[1]! + h[2]! + h[3]!;
  for (let lane = 1; lane < 4; lane++) h[lane]! += h[0]!;
}

function finish(x: number): number {
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return x ^ (x >>> 16);
}
