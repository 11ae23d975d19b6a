import { describe, expect, it } from "vitest";
import type { BatchOf } from "../../host/models/inputs";
import type { TranslationInputs } from "../../host/models/transformer";
import { Transformer, transformerPresets } from "../../host/models/transformer";
import { computeGradients, evaluate } from "../../host/train/evaluate";
import { Trainer } from "../../host/train/trainer";
import { expectAllclose } from "../allclose";
import { createRuntime } from "../graph/runtime";
import { Digits, digitsBatch } from "./digits";
import { logitsOf } from "./logits";

const i32 = (shape: number[], data: number[]): { shape: number[]; data: Int32Array } => ({ shape, data: Int32Array.from(data) });

/** −log softmax(logits)[target], in f64. */
function crossEntropy(logits: ArrayLike<number>, target: number): number {
  const values = Array.from(logits);
  const largest = Math.max(...values);
  return largest + Math.log(values.reduce((sum, value) => sum + Math.exp(value - largest), 0)) - values[target]!;
}

describe("a Transformer's padding", () => {
  const targets = [3, 0, 1, 4, 1, 0, 1, 1];
  const batch: BatchOf<TranslationInputs> = { source: i32([2, 3], [3, 4, 5, 6, 0, 0]), sourceLengths: i32([2], [3, 1]), target: i32([2, 4], [2, 3, 0, 1, 2, 1, 0, 0]), targets: i32([2, 4], targets) };
  const config = { ...transformerPresets.tiny, encoderLayers: 1, width: 16, hidden: 16, heads: 2, vocabulary: 9 };

  it.each([
    [1, [0, 1, 3, 5]],
    [0, [0, 2, 3, 4, 6, 7]],
    [undefined, [0, 2, 3, 4, 6, 7]],
    [8, [0, 1, 2, 3, 4, 5, 6, 7]],
  ])("of %s is ignored, and every other target counts", async (padding, counted) => {
    const model = new Transformer({ ...config, padding }).place(await createRuntime(), { seed: 1 });
    const logits = logitsOf(model, batch);
    const losses = counted.map((i) => crossEntropy(logits.subarray(9 * i, 9 * (i + 1)), targets[i]!));
    const mean = losses.reduce((a, b) => a + b) / counted.length;
    const { loss, tokens } = await evaluate(model, [batch]);
    expect(tokens).toBe(counted.length);
    expectAllclose([loss, computeGradients(model, batch).loss], [mean, mean], { rtol: 1e-5 });
  });

  it("contributes nothing to any gradient", async () => {
    const model = new Transformer({ ...config, padding: 1 }).place(await createRuntime(), { seed: 1 });
    const shorter = { ...batch, target: i32([2, 2], [2, 3, 2, 1]), targets: i32([2, 2], [3, 0, 1, 0]) };
    const longer = { ...batch, targets: i32([2, 4], [3, 0, 1, 1, 1, 0, 1, 1]) };
    const [a, b] = [computeGradients(model, shorter), computeGradients(model, longer)];
    for (const [name, { data }] of a.gradients) expectAllclose(b.gradients.get(name)!.data, data, { rtol: 1e-5, atol: 1e-7 });
  });

  it("must be an id in the vocabulary", () => {
    expect(() => new Transformer({ ...config, padding: 9 })).toThrow(new RangeError("Transformer: padding: expected an id in [0, 9), got 9"));
    expect(() => new Transformer({ ...config, padding: -1 })).toThrow(new RangeError("Transformer: padding: expected an integer of at least 0, got -1"));
  });
});

describe("a model with pixels and two heads", () => {
  const rows = 6;
  const batch = digitsBatch(1, rows);

  it("has the loss (Σ first head + Σ half of the second head) / rows of the first, to 1e-5", async () => {
    const model = new Digits().place(await createRuntime(), { seed: 1 });
    const weights = model.weights.read();
    const weight = (name: string): Float32Array => weights.get(name)!.data;
    const dot = (w: Float32Array, row: number, x: number[]): number => x.reduce((sum, value, i) => sum + value * w[row * x.length + i]!, 0);
    let total = 0;
    for (let b = 0; b < rows; b++) {
      const x = [...batch.pixels.data.subarray(16 * b, 16 * (b + 1))];
      const hidden = Array.from({ length: 12 }, (_, i) => Math.max(0, dot(weight("hidden.weight"), i, x) + weight("hidden.bias")[i]!));
      total += crossEntropy(Array.from({ length: 10 }, (_, i) => dot(weight("digit.weight"), i, hidden)), batch.digits.data[b]!);
      const parity = batch.parity.data[b]!;
      if (parity >= 0) total += 0.5 * crossEntropy([0, 1].map((i) => dot(weight("parity.weight"), i, hidden)), parity);
    }
    const { loss, tokens } = computeGradients(model, batch);
    expect(tokens).toBe(rows);
    expectAllclose([loss], [total / rows], { rtol: 1e-5 });
  });

  it("matches finite differences to 1 % in the gradients of both heads and their shared layers", async () => {
    const model = new Digits().place(await createRuntime(), { seed: 2 });
    const { gradients } = computeGradients(model, batch);
    for (const [name, place] of [["hidden.weight", 5], ["hidden.bias", 3], ["digit.weight", 17], ["parity.weight", 2], ["parity.weight", 20]] as const) {
      const lossWith = (change: number): number => {
        const state = model.weights.parameters.get(name)!.state!;
        const before = state.read();
        state.write([before[place]! + change], place);
        const { loss } = computeGradients(model, batch);
        state.write(before);
        return loss;
      };
      const difference = (lossWith(1e-2) - lossWith(-1e-2)) / 2e-2;
      expectAllclose([gradients.get(name)!.data[place]!], [difference], { rtol: 1e-2, atol: 1e-4 });
    }
  });

  it("learns: the loss falls below a tenth of its initial value within 150 steps", async () => {
    const model = new Digits().place(await createRuntime(), { seed: 3 });
    const trainer = new Trainer(model, { batch: (step) => digitsBatch(step, 32) }, { steps: 150, schedule: { kind: "constant", peak: 2e-2 }, optimizer: { kind: "adamw" } });
    const losses: number[] = [];
    for await (const event of trainer.run()) if (event.type === "step") losses.push(event.loss);
    expect(losses.at(-1)!).toBeLessThan(losses[0]! / 10);
  });

  it("does not apply a step whose pixels are NaN", async () => {
    const model = new Digits().place(await createRuntime(), { seed: 4 });
    const before = model.weights.read();
    const bad = { ...batch, pixels: { shape: [rows, 16], data: batch.pixels.data.map((value, i) => (i === 40 ? NaN : value)) } };
    const trainer = new Trainer(model, { batch: () => bad }, { steps: 1, schedule: { kind: "constant", peak: 1 }, optimizer: { kind: "sgd" } });
    expect((await trainer.run().next()).value).toMatchObject({ type: "step", applied: false });
    expect(model.weights.read()).toEqual(before);
  });
});
