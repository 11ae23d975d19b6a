/**
 * Splits a seed into the two words of Philox's key.
 * @param seed  an integer in [0, 2⁵³)
 * @throws RangeError if the seed is anything else
 *
 * @example
 * seedKey(2 ** 32 + 5); // [5, 1]
 */
export function seedKey(seed: number): [low: number, high: number] {
  if (!Number.isSafeInteger(seed) || seed < 0) throw new RangeError(`seed: expected an integer in [0, 2^53), got ${seed}`);
  return [seed >>> 0, Math.floor(seed / 2 ** 32)];
}
