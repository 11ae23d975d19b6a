import type { Runtime } from "../core/runtime";
import { GPT } from "../models/gpt";
import { Trainer } from "./trainer";

const config = { vocabulary: 37, block: 70, layers: 1, heads: 2, width: 40, hidden: 90, dropout: 0.1, bias: true };
const optimizer = { kind: "adamw", decay: 0.1 } as const;

/** Made-up ids that depend only on their position. */
const ids = (rows: number, columns: number, seed: number): { shape: [number, number]; data: Int32Array } => ({
  shape: [rows, columns],
  data: Int32Array.from({ length: rows * columns }, (_, i) => (i * 7 + seed * 13 + Math.imul(i, i) * 3) % config.vocabulary),
});
const batch = (rows: number, columns: number, seed: number) => ({
  tokens: ids(rows, columns, seed),
  targets: ids(rows, columns, seed + 1),
});

/**
 * A training run of two steps that fingerprints a runtime: two runtimes that compute alike return the same numbers. It takes about 50 ms.
 *
 * Its shapes end in the middle of tiles, vectors and attention blocks, and its 280 tokens exceed one block of a matmul's K dimension.
 * Validation has few rows, so it runs the kernels used for decoding.
 * @returns the losses, followed by all weights and moments
 *
 * @example
 * const results = await trialTraining(runtime);
 * results.every(Number.isFinite); // true
 */
export async function trialTraining(runtime: Runtime): Promise<number[]> {
  const model = new GPT(config).place(runtime, { seed: 1 });
  const trainer = new Trainer(model, { batch: (step) => batch(4, 70, step) }, {
    steps: 2, seed: 1, clip: 1, optimizer, schedule: { kind: "constant", peak: 1e-2 }, validation: () => [batch(1, 5, 9)],
  });
  const results: number[] = [];
  for await (const event of trainer.run()) if (event.type !== "end") results.push(event.loss);
  for (const { data } of trainer.snapshot().training.values()) for (const value of data) results.push(value);
  trainer.dispose();
  model.dispose();
  return results;
}
