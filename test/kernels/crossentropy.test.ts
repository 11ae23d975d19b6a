import { expect, it } from "vitest";
import { Cell } from "../../assembly/layouts";
import { Op } from "../../assembly/opcodes";
import { expectAllclose } from "../allclose";
import { randomArray, uniform } from "../random";
import { type Core, describeBuilds } from "./core";
import { longRows } from "./longrows";

const vocabularies = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 67, 131, 1027];
const IGNORED = -100;

type Numbers = ArrayLike<number>;

/** Losses and gradients in f64, from the definition −Σ q·log p. */
function oracle(logits: Numbers, targets: Int32Array, V: number, smoothing: number) {
  const loss = new Float64Array(targets.length);
  const dLogits = new Float64Array(targets.length * V);
  targets.forEach((target, r) => {
    if (target === IGNORED) return;
    const row = Array.from({ length: V }, (_, v) => logits[r * V + v]!);
    const largest = row.reduce((a, b) => Math.max(a, b));
    const logTotal = Math.log(row.reduce((total, x) => total + Math.exp(x - largest), 0));
    row.forEach((x, v) => {
      const logP = x - largest - logTotal;
      const q = (v === target ? 1 - smoothing : 0) + smoothing / V;
      if (q > 0) loss[r]! -= q * logP;
      dLogits[r * V + v] = Math.exp(logP) - q;
    });
  });
  return { loss, dLogits };
}

function run(core: Core, logits: Float32Array, targets: Int32Array, V: number, smoothing = 0, threads = 1, factor = 1) {
  const R = targets.length;
  core.reset();
  const [loss, dLogits] = [core.output(R), core.output(R * V)];
  core.run(Op.CrossEntropy, { loss, dLogits, logits: core.input(logits), targets: core.input(targets), R, V, factor, smoothing, ignored: IGNORED }, threads);
  return { loss: loss.read() as Float32Array, dLogits: dLogits.read() as Float32Array };
}

/** Targets in [0, V), with one row in five ignored. */
function randomTargets(R: number, V: number, seed: number): Int32Array {
  const next = uniform(seed);
  return Int32Array.from({ length: R }, (_, r) => (r % 5 === 3 ? IGNORED : Math.floor(next() * V)));
}

describeBuilds("crossEntropy", (core) => {
  it("matches f64 within 1e-5 for 1 to 1027 logits, with and without smoothing, with the same bits in one slice and in three", () => {
    for (const V of vocabularies) {
      for (const smoothing of [0, 0.1]) {
        const logits = randomArray(7 * V, V, -8, 8);
        const targets = randomTargets(7, V, V);
        const actual = run(core, logits, targets, V, smoothing);
        const expected = oracle(logits, targets, V, smoothing);
        expectAllclose(actual.loss, expected.loss, { rtol: 1e-5, atol: 1e-6 });
        expectAllclose(actual.dLogits, expected.dLogits, { rtol: 1e-5, atol: 1e-7 });
        expect(run(core, logits, targets, V, smoothing, 3)).toEqual(actual);
      }
    }
  });

  it("has gradients within 1e-4 of finite differences of the f64 loss", () => {
    const V = 19;
    const logits = Float64Array.from(randomArray(4 * V, 1, -3, 3));
    const targets = Int32Array.of(0, 18, 7, IGNORED);
    const total = (): number => oracle(logits, targets, V, 0.1).loss.reduce((a, b) => a + b, 0);
    const expected = logits.map((x, i) => {
      logits[i] = x + 1e-5;
      const up = total();
      logits[i] = x - 1e-5;
      const down = total();
      logits[i] = x;
      return (up - down) / 2e-5;
    });
    expectAllclose(run(core, Float32Array.from(logits), targets, V, 0.1).dLogits, expected, { rtol: 1e-4, atol: 1e-6 });
  });

  it("gives the same bits in place, and the same losses without gradients", () => {
    for (const V of [5, 16, 131]) {
      const logits = randomArray(7 * V, V, -8, 8);
      const targets = randomTargets(7, V, V);
      const expected = run(core, logits, targets, V, 0.1);
      core.reset();
      const [loss, alone, both] = [core.output(7), core.output(7), core.input(logits)];
      core.run(Op.CrossEntropy, { loss: alone, dLogits: null, logits: both, targets: core.input(targets), R: 7, V, factor: 1, smoothing: 0.1, ignored: IGNORED });
      core.run(Op.CrossEntropy, { loss, dLogits: both, logits: both, targets: core.input(targets), R: 7, V, factor: 1, smoothing: 0.1, ignored: IGNORED });
      expect(alone.read()).toEqual(expected.loss);
      expect(loss.read()).toEqual(expected.loss);
      expect(both.read()).toEqual(expected.dLogits);
    }
  });

  it("gives exact zeros for an ignored row, even if it contains NaN", () => {
    const { loss, dLogits } = run(core, new Float32Array(9).fill(NaN), Int32Array.of(IGNORED), 9);
    expect([...loss]).toEqual([0]);
    expect([...dLogits]).toEqual(new Array(9).fill(0));
  });

  it("propagates NaN and Infinity to the loss from any position", () => {
    for (const V of [9, 16, 19]) {
      for (let v = 0; v < V; v++) {
        const logits = randomArray(V, v);
        for (const [bad, smoothing, expected] of [
          [NaN, 0, NaN],
          [NaN, 0.1, NaN],
          [Infinity, 0, NaN],
          [Infinity, 0.1, NaN],
          [-Infinity, 0.1, Infinity],
        ] as const) {
          logits[v] = bad;
          expect(run(core, logits, Int32Array.of(V >> 1), V, smoothing).loss[0]).toBe(expected);
        }
        logits[v] = -Infinity;
        const { loss } = run(core, logits, Int32Array.of(V >> 1), V);
        if (v === V >> 1) expect(loss[0]).toBe(Infinity);
        else expectAllclose(loss, oracle(logits, Int32Array.of(V >> 1), V, 0).loss);
      }
    }
  });

  it("multiplies losses and gradients by the factor, within 1e-6", () => {
    const logits = randomArray(7 * 33, 1, -8, 8);
    const targets = randomTargets(7, 33, 1);
    const plain = run(core, logits, targets, 33, 0.1);
    for (const factor of [0.37, 1e-20, -2, 0]) {
      const actual = run(core, logits, targets, 33, 0.1, 1, factor);
      const scale = Math.fround(factor);
      expectAllclose(actual.loss, Float64Array.from(plain.loss, (v) => scale * v), { rtol: 1e-6, atol: 0 });
      expectAllclose(actual.dLogits, Float64Array.from(plain.dLogits, (v) => scale * v), { rtol: 1e-5, atol: 1e-7 * Math.abs(scale) });
    }
  });

  it("stays within its bounds for rows of up to 10⁶: the loss within 4e-6 + 2e-7·(max − target), p within 4e-6 + 6e-8·(max − x)", () => {
    for (const [title, logits] of longRows()) {
      const V = logits.length;
      const target = V >> 1;
      const largest = logits.reduce((a, b) => Math.max(a, b));
      const expected = oracle(logits, Int32Array.of(target), V, 0);
      const { loss, dLogits } = run(core, logits, Int32Array.of(target), V);
      const bound = 4e-6 + 2e-7 * (largest - logits[target]!);
      expectAllclose(loss, expected.loss, { rtol: 0, atol: bound });
      const worst = dLogits.reduce((most, d, v) => {
        if (v === target) return most;
        const p = expected.dLogits[v]!;
        return p < 1e-37 ? most : Math.max(most, Math.abs(d / p - 1) / (4e-6 + 6e-8 * (largest - logits[v]!)));
      }, 0);
      expect(worst, title).toBeLessThan(1);
      const smoothed = run(core, logits, Int32Array.of(target), V, 0.1);
      expectAllclose(smoothed.loss, oracle(logits, Int32Array.of(target), V, 0.1).loss, { rtol: 1e-6, atol: bound });
    }
  });

  it("stays exact for huge logits", () => {
    const { loss, dLogits } = run(core, Float32Array.of(3e38, -3e38, 0, 1e30, 3e38), Int32Array.of(4), 5);
    expectAllclose(loss, [Math.LN2], { rtol: 1e-6 });
    expectAllclose(dLogits, [0.5, 0, 0, 0, -0.5], { rtol: 1e-6, atol: 0 });
  });

  it("gives NaN for an out-of-range target, and does not affect other rows", () => {
    const logits = randomArray(15, 1);
    const whole = run(core, logits, Int32Array.of(0, 1, 4), 5);
    for (const bad of [-1, 5, 2 ** 31 - 1, -(2 ** 31)]) {
      const { loss, dLogits } = run(core, logits, Int32Array.of(0, bad, 4), 5);
      expect([...loss]).toEqual([whole.loss[0], NaN, whole.loss[2]]);
      expect([...dLogits]).toEqual([...whole.dLogits].map((value, i) => (i >= 5 && i < 10 ? NaN : value)));
    }
  });
});

describeBuilds("lossSum", (core) => {
  it("adds the losses, and optionally the tokens, to the cells in f64, once for all threads", () => {
    const loss = randomArray(1001, 1, 0, 10);
    const targets = randomTargets(1001, 9, 2);
    targets.forEach((target, r) => target === IGNORED && (loss[r] = 0));
    const tokens = targets.filter((target) => target !== IGNORED).length;
    for (const [counted, threads] of [[1, 1], [1, 3], [0, 1]] as const) {
      const expected = new Float64Array(Cell.Bytes / 8).fill(3);
      expected[Cell.LossSum / 8] = loss.reduce((total, value) => total + value, 3);
      expected[Cell.TokenCount / 8] = 3 + counted * tokens;
      core.reset();
      const cells = core.input(new Float64Array(Cell.Bytes / 8).fill(3));
      core.run(Op.LossSum, { cells, loss: core.input(loss), targets: core.input(targets), R: 1001, ignored: IGNORED, counted }, threads);
      expect(cells.read()).toEqual(expected);
    }
  });
});
