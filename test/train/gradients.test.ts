import { describe, expect, it } from "vitest";
import { HeedError } from "../../host/errors";
import type { LanguageInputs } from "../../host/models/language";
import { computeGradients } from "../../host/train/evaluate";
import { Trainer, type TrainerOptions } from "../../host/train/trainer";
import { expectAllclose } from "../allclose";
import { drain, hashOf, type LanguageBatch, place, randomBatch, weightsOf } from "./counting";

const data = { batch: (step: number): LanguageBatch => randomBatch(step) };
const options: TrainerOptions<LanguageInputs> = { steps: 1, seed: 5, schedule: { kind: "constant", peak: 0.125 }, optimizer: { kind: "sgd" } };

describe("computeGradients", () => {
  it.each([0, 0.1])("with dropout %d gives what an SGD step subtracts, to 1e-6 of the weights", async (dropout) => {
    const model = await place({ dropout });
    const before = model.weights.read();
    const { loss, tokens, gradients } = computeGradients(model, randomBatch(0), { seed: 5 });
    const [event] = await drain(new Trainer(model, data, options));
    expect(event).toMatchObject({ loss, tokens, applied: true });
    expect([...gradients.keys()]).toEqual([...before.keys()]);
    for (const [name, { shape, data }] of model.weights.read()) {
      expect(gradients.get(name)!.shape).toEqual(shape);
      const expected = before.get(name)!.data.map((weight, i) => weight - 0.125 * gradients.get(name)!.data[i]!);
      expectAllclose(data, expected, { rtol: 1e-6, atol: 1e-7 });
    }
  });

  it("returns gradients whose norm matches the one a trainer's step reports", async () => {
    const model = await place();
    const { gradients } = computeGradients(model, randomBatch(0));
    const [event] = await drain(new Trainer(model, data, options));
    const squares = [...gradients.values()].reduce((sum, { data }) => data.reduce((sum, x) => sum + x * x, sum), 0);
    expect(event).toMatchObject({ gradientNorm: expect.closeTo(Math.sqrt(squares), 6) as number });
  });

  it("has no side effects on weights, other gradients, or training before, between and after calls", async () => {
    const [model, other] = [await place({ dropout: 0.1 }), await place({ dropout: 0.1 })];
    const six: TrainerOptions<LanguageInputs> = { ...options, steps: 6, microBatches: 2, optimizer: { kind: "adamw" } };
    const before = weightsOf(model);
    const first = hashOf(computeGradients(model, randomBatch(3)).gradients);
    expect(weightsOf(model)).toBe(before);
    const trainer = new Trainer(model, data, six);
    for await (const event of trainer.run()) {
      computeGradients(model, randomBatch(90 + event.step));
      expect(() => computeGradients(model, {} as LanguageBatch)).toThrow(TypeError);
    }
    await drain(new Trainer(other, data, six));
    expect(weightsOf(model)).toBe(weightsOf(other));
    model.weights.write((await place({ dropout: 0.1 })).weights.read());
    expect(hashOf(computeGradients(model, randomBatch(3)).gradients)).toBe(first);
  });

  it("allocates gradients once, and frees everything else, also after a failure", async () => {
    const model = await place();
    const { memory } = model.weights.runtime;
    computeGradients(model, randomBatch(0));
    const before = memory.report();
    for (let i = 0; i < 3; i++) computeGradients(model, randomBatch(i));
    expect(() => computeGradients(model, { ...randomBatch(0), targets: { shape: [2, 8], data: new Int32Array(16).fill(-1) } })).toThrow(HeedError);
    expect(memory.report()).toEqual(before);
  });

  it("seeds dropout with its seed", async () => {
    const model = await place({ dropout: 0.5 });
    const drawn = [1, 1, 2].map((seed) => hashOf(computeGradients(model, randomBatch(0), { seed }).gradients));
    expect(drawn[1]).toBe(drawn[0]);
    expect(drawn[2]).not.toBe(drawn[0]);
    expect(() => computeGradients(model, randomBatch(0), { seed: -1 })).toThrow(new RangeError("seed: expected an integer in [0, 2^53), got -1"));
  });

  it("refuses a batch without a target that counts", async () => {
    const ignored = { ...randomBatch(0), targets: { shape: [2, 8], data: new Int32Array(16).fill(-1) } };
    const model = await place();
    expect(() => computeGradients(model, ignored)).toThrow(new HeedError("data", "computeGradients: expected at least one target to predict, got none"));
  });
});
