import { sliceEnd, sliceStart } from "../../assembly/parallel";

const GRAINS: StaticArray<i32> = [1, 4, 16, 48];

/** The number of failed checks for the slices of n items: they must start at multiples of the grain, be adjacent and cover all items. */
function faults(n: i32, grain: i32, threads: i32): i32 {
  let faults = 0;
  let previous = 0;
  for (let thread = 0; thread < threads; thread++) {
    const start = sliceStart(n, grain, thread, threads);
    const end = sliceEnd(n, grain, thread, threads);
    if (start != previous || end < start || end > n) faults++;
    if (start < n && start % grain != 0) faults++;
    previous = end;
  }
  return previous == n ? faults : faults + 1;
}

describe("slices", () => {
  it("are adjacent, start at multiples of the grain and cover n exactly, for n = 0..200, grains 1 to 48 and 1 to 9 threads", () => {
    let total = 0;
    for (let g = 0; g < GRAINS.length; g++) {
      for (let threads = 1; threads <= 9; threads++) {
        for (let n = 0; n <= 200; n++) total += faults(n, GRAINS[g], threads);
      }
    }
    expect<i32>(total).toBe(0);
  });

  it("differ by at most one grain in size", () => {
    let worst = 0;
    for (let threads = 1; threads <= 9; threads++) {
      for (let n = 16 * threads; n <= 16 * threads + 200; n += 16) {
        for (let thread = 0; thread < threads; thread++) {
          const size = sliceEnd(n, 16, thread, threads) - sliceStart(n, 16, thread, threads);
          worst = max(worst, abs(size - n / threads));
        }
      }
    }
    expect<i32>(worst).toBeLessThanOrEqual(16);
  });

  it("of 2³¹ − 1 items do not overflow", () => {
    expect<i32>(faults(i32.MAX_VALUE, 1, 7)).toBe(0);
    expect<i32>(faults(i32.MAX_VALUE - 15, 16, 7)).toBe(0);
  });
});
