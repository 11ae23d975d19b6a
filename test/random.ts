/** Seeded test data: mulberry32, uniform in [0, 1). */
export function uniform(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** `n` f32 values, uniform in [low, high). */
export function randomArray(n: number, seed: number, low = -1, high = 1): Float32Array {
  const next = uniform(seed);
  return Float32Array.from({ length: n }, () => low + (high - low) * next());
}
