import { expect } from "vitest";

export interface Tolerance {
  /** Largest accepted |actual − expected| / |expected|. */
  rtol?: number;
  /** Largest accepted |actual − expected|; the bound is atol + rtol·|expected|. */
  atol?: number;
}

/**
 * Fails unless every element is close, and tells the worst one.
 * NaN and Infinity are never "close": where they are expected the same value must stand.
 */
export function expectAllclose(actual: ArrayLike<number>, expected: ArrayLike<number>, { rtol = 1e-5, atol = 1e-6 }: Tolerance = {}): void {
  expect(actual.length, "number of elements").toBe(expected.length);
  let failures = 0;
  let worst = -1;
  let worstExcess = -1;
  for (let i = 0; i < expected.length; i++) {
    const a = actual[i]!;
    const e = expected[i]!;
    if (Object.is(a, e) || a === e) continue;
    const bound = atol + rtol * Math.abs(e);
    const difference = Math.abs(a - e);
    if (difference <= bound && Number.isFinite(a) && Number.isFinite(e)) continue;
    failures++;
    const excess = Number.isFinite(difference) ? difference / bound : Infinity;
    if (excess > worstExcess) [worst, worstExcess] = [i, excess];
  }
  if (failures > 0) {
    expect.fail(
      `${failures} of ${expected.length} elements differ; the worst at [${worst}]: got ${actual[worst]}, expected ${expected[worst]} ` +
        `(difference ${Math.abs(actual[worst]! - expected[worst]!)}, allowed ${atol} + ${rtol}·|expected|)`,
    );
  }
}
