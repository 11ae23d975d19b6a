/**
 * The size of the program that serves n rows: 1, 2, 4, 8, 10, 12, 14, 16, 20, … There are four to an octave, so that a session needs few
 * programs, and at most a fifth of the rows of a large one idle.
 */
export function sizeFor(n: number): number {
  const grain = Math.max(1, 2 ** (Math.floor(Math.log2(n)) - 2));
  return n <= 8 ? 2 ** Math.ceil(Math.log2(n)) : Math.ceil(n / grain) * grain;
}
