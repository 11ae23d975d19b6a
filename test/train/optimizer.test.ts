import { describe, expect, it } from "vitest";
import type { LanguageInputs } from "../../host/models/language";
import { computeGradients } from "../../host/train/evaluate";
import type { OptimizerConfig } from "../../host/train/optimizer";
import { Trainer } from "../../host/train/trainer";
import { expectAllclose } from "../allclose";
import { drain, place, randomBatch } from "./counting";

const STEPS = 4;
const RATE = 0.01;

/** One update of a weight in f64, by the equations of assembly/kernels/optimizer.ts; `state` holds the moments. */
function update(config: OptimizerConfig, state: number[], weight: number, g: number, t: number, decays: boolean): number {
  const decay = decays ? (config.decay ?? 0) : 0;
  if (config.kind === "sgd") {
    state[0] = (config.momentum ?? 0) * (state[0] ?? 0) + g + decay * weight;
    return weight - RATE * state[0];
  }
  const { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8 } = config;
  const [m, v] = [beta1 * (state[0] ?? 0) + (1 - beta1) * g, beta2 * (state[1] ?? 0) + (1 - beta2) * g * g];
  [state[0], state[1]] = [m, v];
  return weight - RATE * (m / (1 - beta1 ** t) / (Math.sqrt(v / (1 - beta2 ** t)) + epsilon) + decay * weight);
}

describe("a trainer's weights", () => {
  it.each<OptimizerConfig>([
    { kind: "adamw" },
    { kind: "adamw", decay: 0.5 },
    { kind: "adamw", beta1: 0.5, beta2: 0.6, epsilon: 1e-3, decay: 0.1 },
    { kind: "sgd" },
    { kind: "sgd", momentum: 0.7, decay: 0.5 },
  ])("follow %j with its documented defaults, and decay in matrices only, to 1e-5 in 4 steps", async (optimizer) => {
    const [model, other] = [await place(), await place()];
    const expected = new Map(Array.from(model.weights.read(), ([name, { shape, data }]) => [name, { shape, values: Array.from(data), states: Array.from(data, (): number[] => []) }]));
    for (let t = 1; t <= STEPS; t++) {
      const { gradients } = computeGradients(other, randomBatch(t - 1));
      for (const [name, { shape, values, states }] of expected) {
        gradients.get(name)!.data.forEach((g, i) => (values[i] = update(optimizer, states[i]!, values[i]!, g, t, shape.length > 1)));
      }
      other.weights.write(new Map(Array.from(expected, ([name, { shape, values }]) => [name, { shape, data: Float32Array.from(values) }])));
    }
    const options = { steps: STEPS, schedule: { kind: "constant", peak: RATE }, optimizer } as const;
    await drain(new Trainer<LanguageInputs>(model, { batch: (step) => randomBatch(step) }, options));
    expect([...expected.values()].some(({ shape }) => shape.length === 1)).toBe(true);
    for (const [name, { data }] of model.weights.read()) expectAllclose(data, expected.get(name)!.values, { rtol: 1e-4, atol: 1e-5 });
  });
});
