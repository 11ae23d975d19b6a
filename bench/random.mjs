/** `length` seeded values, uniform in [−1, 1). */
export function random(length, seed = 1) {
  let state = seed;
  return Float32Array.from({ length }, () => ((state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 31 - 1));
}
