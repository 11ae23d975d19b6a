import { describe, expect, it } from "vitest";
import { learningRate, type Schedule } from "../../host/train/schedule";

const rates = (schedule: Schedule, steps: number, at: number[]): number[] => at.map((step) => learningRate(schedule, step, steps));

describe("learningRate", () => {
  it("warms up linearly, then stays constant", () => {
    expect(rates({ kind: "constant", peak: 1, warmup: 4 }, 10, [1, 2, 4, 5, 10])).toEqual([0.25, 0.5, 1, 1, 1]);
  });

  it("falls linearly to its final value at the last step", () => {
    expect(rates({ kind: "linear", peak: 1, final: 0.5, warmup: 2 }, 10, [1, 2, 6, 10])).toEqual([0.5, 1, 0.75, 0.5]);
  });

  it("follows half a cosine within 1e-15", () => {
    for (let step = 0; step <= 1000; step++) {
      const expected = 0.1 + 0.9 * 0.5 * (1 + Math.cos((Math.PI * step) / 1000));
      expect(Math.abs(learningRate({ kind: "cosine", peak: 1, final: 0.1 }, step, 1000) - expected)).toBeLessThan(1e-15);
    }
  });

  it("ends half a cosine at its final value, never below", () => {
    for (const steps of [1, 7, 1000]) {
      expect(learningRate({ kind: "cosine", peak: 1 }, steps, steps)).toBe(0);
      expect(learningRate({ kind: "cosine", peak: 1, final: 0.25 }, steps, steps)).toBe(0.25);
    }
  });

  it("is Vaswani's formula", () => {
    for (const step of [1, 100, 4000, 4001, 100_000]) {
      const expected = 512 ** -0.5 * Math.min(step ** -0.5, step * 4000 ** -1.5);
      expect(learningRate({ kind: "noam", width: 512, warmup: 4000 }, step, 100_000)).toBeCloseTo(expected, 12);
    }
  });
});
