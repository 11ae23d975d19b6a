// Prints a hash of the results of two short training runs on the `simd` build in dist/.
// It must be the same on every engine and for any number of threads: test/core/bits.test.ts compares it.
//   node bits.mjs [steps] [threads]
import { createHash } from "node:crypto";
import { GPT, Runtime, Trainer, Transformer, transformerPresets } from "../../dist/index.js";
import { nodeWorkers } from "../../dist/node.js";

const [steps = 20, threads = 1] = process.argv.slice(2).map(Number);
const hash = createHash("sha256");

/** Ids that depend only on their position. */
const ids = (shape, seed) => {
  const size = shape.reduce((product, length) => product * length, 1);
  return { shape, data: Int32Array.from({ length: size }, (_, i) => 1 + ((i * 7 + seed * 13 + Math.imul(i, i) * 3) & 0xffff) % 18) };
};

async function train(model, batch) {
  const runtime = await Runtime.create({ build: "simd", threads, workers: nodeWorkers });
  model.place(runtime, { seed: 7 });
  const trainer = new Trainer(model, { batch }, {
    steps, seed: 11, clip: 1, microBatches: 2, validation: () => [batch(1000, 0)], validateEvery: 10,
    schedule: { kind: "cosine", peak: 1e-2, warmup: 4 }, optimizer: { kind: "adamw", decay: 0.1 },
  });
  for await (const event of trainer.run()) hash.update(JSON.stringify(event));
  const { best, training } = trainer.snapshot();
  for (const arrays of [best, training]) for (const [name, { data }] of arrays) hash.update(name).update(data);
}

await train(new GPT({ vocabulary: 19, block: 24, layers: 2, heads: 4, width: 48, dropout: 0.1 }), (step, micro) => ({
  tokens: ids([3, 24], step * 2 + micro),
  targets: ids([3, 24], step * 2 + micro + 1),
}));
await train(new Transformer({ ...transformerPresets.tiny, norm: "post", dropout: 0.1, attentionDropout: 0.1, hiddenDropout: 0.1, smoothing: 0.1, vocabulary: 19 }), (step, micro) => ({
  source: ids([4, 17], step * 2 + micro),
  sourceLengths: { shape: [4], data: Int32Array.of(17, 3, 11, 1) },
  target: ids([4, 9], step * 2 + micro + 1),
  targets: ids([4, 9], step * 2 + micro + 2),
}));
console.log(hash.digest("hex"));
