/** A complete training step as a user's loop runs it: batch, forward, backward, clipping, AdamW, and reading the loss. */
import { compile, Graph } from "../../dist/index.js";
import { current, heeds } from "../kernels.mjs";
import { jaxTrainer } from "../peers/jax.mjs";
import { loadPeers } from "../peers/load.mjs";
import { gpt, peerWeights, transformer } from "../peers/models.mjs";
import { tfjsTrainer, tunedTfjsTrainer } from "../peers/tfjs.mjs";
import { random } from "../random.mjs";

const adamw = { rate: 1e-3, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, decay: 0.1, clip: 1 };
/** Number of losses compared before anything is timed; the last one follows COMPARED − 1 updates. */
const COMPARED = 4;

export default async function train(harness) {
  const runtimes = await heeds(harness.threads, { turbo: true });
  const { tfjs, jax } = await loadPeers(harness, ["tfjs", "jax"]);
  await step("nanogpt-cpu: 12x64 tokens", nanogpt(current.library));
  await step("Transformer, small: 41x24 tokens", translation(current.library));

  async function step(title, { create, batchAt, peer, peerBatch, config }) {
    if (!harness.wants(title)) return;
    const contestants = [];
    let weights;
    let flops;
    for (const heed of runtimes) {
      const model = create().place(heed.runtime, { seed: 1 });
      weights ??= model.weights.read();
      contestants.push(trainingContestant(heed, () => heedTrainer(current.library, model, weights, batchAt)));
      contestants.at(-1).release = () => model.dispose();
      flops ??= flopsOf(model, batchAt(0));
    }
    const theirs = [["jax-js", jax, jaxTrainer], ["tfjs-wasm", tfjs, tfjsTrainer], ["tfjs-wasm tuned", tfjs, tunedTfjsTrainer]].filter(([, library]) => library);
    for (const [name, library, trainer] of theirs) {
      const model = (ops, p, batch) => peer(ops, p, batch, config);
      contestants.push(trainingContestant({ name }, () => trainer(library, model, peerWeights(weights), peerBatch, adamw)));
    }
    await harness.compare(title, contestants, { unit: "ms", amount: flops, limit: "flops" });
    for (const { release } of contestants) release();
  }
}

/** A contestant that keeps training; `result` restarts and returns the first losses. */
export function trainingContestant(who, start) {
  let trainer = start();
  return {
    ...who,
    run: () => trainer.step(),
    async result() {
      trainer.dispose();
      trainer = start();
      const losses = [];
      while (losses.length < COMPARED) losses.push(await trainer.step());
      return losses;
    },
    release: () => trainer.dispose(),
  };
}

export function heedTrainer({ Trainer }, model, weights, batchAt) {
  const { rate, beta1, beta2, epsilon, decay, clip } = adamw;
  model.weights.write(weights);
  const trainer = new Trainer(model, { batch: batchAt }, {
    steps: 1e6, clip, schedule: { kind: "constant", peak: rate }, optimizer: { kind: "adamw", beta1, beta2, epsilon, decay },
  });
  const events = trainer.run();
  return {
    async step() {
      const { value } = await events.next();
      return value.loss;
    },
    dispose: () => trainer.dispose(),
  };
}

/** The FLOPs of heed's training step. */
function flopsOf(model, batch) {
  const graph = new Graph(model.weights.runtime, { training: true });
  const inputs = Object.fromEntries(Object.entries(batch).map(([name, { shape }]) => [name, graph.input(shape, "i32")]));
  model.loss(inputs).backward(graph.tensor([64]));
  const program = compile(graph);
  const { flops } = program.describe();
  program.dispose();
  return flops;
}

/** nanoGPT's CPU recipe with the 65 characters of Tiny Shakespeare; `library` holds heed's exports. */
export function nanogpt({ GPT, gptPresets }) {
  const [B, T, vocabulary] = [12, 64, 65];
  const config = { ...gptPresets["nanogpt-cpu"], vocabulary };
  const tokens = batches((seed) => ids(B * (T + 1), vocabulary, seed));
  const part = (step, offset) => Int32Array.from({ length: B * T }, (_, i) => tokens(step)[i + offset]);
  return {
    create: () => new GPT(config),
    batchAt: (step) => ({ tokens: { shape: [B, T], data: part(step, 0) }, targets: { shape: [B, T], data: part(step, 1) } }),
    peer: gpt,
    peerBatch: (step) => ({ tokens: { shape: [B * T], data: part(step, 0) }, targets: { shape: [B * T], data: part(step, 1) } }),
    config: { ...config, B, T },
  };
}

/** The Multi30k translation preset at its most common batch shape, without dropout, whose random numbers differ between libraries. */
export function translation({ Transformer, transformerPresets }) {
  const [B, T, vocabulary] = [41, 24, 4000];
  const config = { ...transformerPresets.small, dropout: 0, attentionDropout: 0, hiddenDropout: 0, vocabulary };
  const padded = (lengths, ids) => ids.map((id, i) => (i % T < lengths[Math.floor(i / T)] ? id : 0));
  const data = batches((seed) => {
    const [sourceLengths, targetLengths] = [0, 1].map((side) => ids(B, 12, 7 * seed + side).map((length) => length + T - 12));
    const [source, target, targets] = [2, 3, 4].map((side) => ids(B * T, vocabulary, 7 * seed + side));
    return { source: padded(sourceLengths, source), sourceLengths, target: padded(targetLengths, target), targets: padded(targetLengths, targets) };
  });
  const positions = sinusoids(T, config.width);
  return {
    create: () => new Transformer(config),
    batchAt: (step) => Object.fromEntries(Object.entries(data(step)).map(([name, data]) => [name, { shape: name === "sourceLengths" ? [B] : [B, T], data }])),
    peer: transformer,
    peerBatch: (step) => {
      const { source, sourceLengths, target, targets } = data(step);
      const bias = Float32Array.from({ length: B * T }, (_, i) => (i % T < sourceLengths[Math.floor(i / T)] ? 0 : -1e9));
      const rows = Object.entries({ source, target, targets, counts: Float32Array.from(targets, (id) => (id ? 1 : 0)) });
      return { ...Object.fromEntries(rows.map(([name, data]) => [name, { shape: [B * T], data }])), bias: { shape: [B, 1, 1, T], data: bias }, positions };
    },
    config: { ...config, B, T },
  };
}

/** A batch for each step: sixteen batches in rotation. */
function batches(make) {
  const made = Array.from({ length: 16 }, (_, i) => make(i + 1));
  return (step) => made[step % made.length];
}

/** Seeded token ids, starting at 1. */
export const ids = (length, vocabulary, seed = 1) => Int32Array.from(random(length, seed), (x) => 1 + Math.floor(((x + 1) / 2) * (vocabulary - 1)));

function sinusoids(T, C) {
  const data = Float32Array.from({ length: T * C }, (_, i) => {
    const [position, column] = [Math.floor(i / C), i % C];
    const angle = position / 10000 ** ((column - (column % 2)) / C);
    return column % 2 ? Math.cos(angle) : Math.sin(angle);
  });
  return { shape: [T, C], data };
}
