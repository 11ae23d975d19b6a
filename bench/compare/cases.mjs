/**
 * The cases of compare.mjs. `prepare` creates the contestant (see ../harness.mjs) of one side, `{ build, clock, kernels, runtime, library,
 * dist }`. A contestant with a `time()` measures itself, in ms. `tokens` is the number of tokens generated per run.
 */
import { Op } from "../kernels.mjs";
import { random } from "../random.mjs";
import { start } from "../suites/cold.mjs";
import { models, PROMPT, prompts } from "../suites/decode.mjs";
import { ours, operandsOf } from "../suites/matmul.mjs";
import { attentionPasses, layerNorm, softmax } from "../suites/ops.mjs";
import { heedTrainer, ids, nanogpt, trainingContestant, translation } from "../suites/train.mjs";

const products = [[64, 64, 64], [128, 128, 128], [512, 512, 512], [1024, 1024, 1024], [128, 512, 2048], [768, 768, 4096]]; // M N K
const vectors = [[1, 768, 768], [1, 50257, 768], [4, 768, 768], [8, 3072, 768], [8, 768, 3072]];
const attentions = [
  ["GPT-2, 1024 tokens", { B: 1, H: 12, T: 1024, D: 64, causal: true }],
  ["GPT-2, 8x128 tokens", { B: 8, H: 12, T: 128, D: 64, causal: true }],
  ["Transformer small, 41x24 tokens to 24", { B: 41, H: 4, T: 24, Tk: 24, D: 48, causal: false, lengths: ids(41, 13, 5).map((length) => length + 11) }],
  ["GPT-2, one query, 512 keys", { B: 1, H: 12, T: 1, Tk: 512, D: 64, causal: true }],
];

export const cases = [
  ...["NN", "NT", "TN"].flatMap((layout) => products.map((shape) => product(layout, ...shape))),
  ...vectors.map((shape) => product("NT", ...shape)),
  ...attentions.flatMap(([title, shape]) => (shape.T === 1 ? ["forward"] : ["forward", "backward"]).map((pass) => attention(title, pass, shape))),
  rows("softmax", 1024, 1024, softmax), rows("softmax", 64, 50257, softmax), rows("LayerNorm", 1024, 768, layerNorm),
  crossEntropy(768, 65), crossEntropy(256, 4000),
  training("nanogpt-cpu: step of 12x64 tokens", nanogpt), training("Transformer small: step of 41x24 tokens", translation),
  ...Object.entries(models).flatMap(([name, config]) => [1, 8].map((count) => generation(`${name}: greedy, ${count} x 16 tokens`, config, count, 1, 16))),
  generation(`GPT, 6 layers of 384: first token after ${PROMPT}`, models["GPT, 6 layers of 384"], 1, PROMPT, 1),
  translating(32, 24),
  { title: "load to first result, tiny model", prepare: coldStart },
];

function product(layout, M, N, K) {
  return { title: `${layout} ${M}x${N}x${K}`, prepare: ({ kernels }) => ours(kernels, layout, M, N, K, operandsOf(layout, M, N, K)) };
}

function attention(title, pass, shape) {
  const { B, H, T, Tk, D } = shape;
  const inputs = { qkv: random(B * H * D * (Tk ? T + 2 * Tk : 3 * T)), dOut: random(B * T * H * D, 2) };
  return { title: `attention ${pass}: ${title}`, prepare: ({ kernels }) => attentionPasses(kernels, shape, inputs)[pass] };
}

/** A case for an op that maps [R, C] to [R, C]. */
function rows(op, R, C, instruction) {
  const prepare = ({ kernels }) => {
    const out = kernels.reserve(4 * R * C);
    const x = kernels.input(random(R * C).map((value) => 4 * value));
    return kernels.contestant([instruction(kernels, out, x, R, C)], out, R * C);
  };
  return { title: `${op} ${R}x${C}`, prepare };
}

function crossEntropy(R, V) {
  const prepare = ({ kernels }) => {
    const [loss, dLogits] = [kernels.reserve(4 * R), kernels.reserve(4 * R * V)];
    const [logits, targets] = [kernels.input(random(R * V)), kernels.input(ids(R, V))];
    return kernels.contestant([[Op.CrossEntropy, { loss, dLogits, logits, targets, R, V, factor: 1, smoothing: 0.1, ignored: -1 }]], dLogits, R * V);
  };
  return { title: `cross-entropy ${R}x${V}`, prepare };
}

function training(title, recipe) {
  const prepare = ({ library, runtime }) => {
    const { create, batchAt } = recipe(library);
    const model = create().place(runtime, { seed: 1 });
    const weights = model.weights.read();
    const contestant = trainingContestant({}, () => heedTrainer(library, model, weights, batchAt));
    return { ...contestant, release: () => (contestant.release(), model.dispose()) };
  };
  return { title, prepare };
}

/** Greedy continuations with `generate`; the session is reused if the library has sessions. */
function generation(title, config, count, length, tokens) {
  const prepare = ({ library: { generate, GPT, Session }, runtime }) => {
    const model = new GPT(config).place(runtime, { seed: 1, ...(Session && { format: "panels" }) });
    const session = Session && new Session(model, { rows: count });
    const run = async () => {
      const steps = [];
      for await (const ids of generate(session ?? model, prompts(config, count, length), { maxTokens: tokens, temperature: 0 })) steps.push(...ids);
      return steps;
    };
    return { run, result: run, release: () => (session?.dispose(), model.dispose()) };
  };
  return { title, tokens: tokens > 1 ? tokens * count : undefined, prepare };
}

/** The Multi30k translation preset on a batch of sentences. It is untrained, so none of them ends early. */
function translating(count, tokens) {
  const prepare = ({ library: { greedy, Transformer, transformerPresets, Session }, runtime }) => {
    const model = new Transformer({ ...transformerPresets.small, vocabulary: 4000 }).place(runtime, { seed: 1, ...(Session && { format: "panels" }) });
    const session = Session && new Session(model, { rows: count });
    const sources = prompts({ vocabulary: 4000 }, count, 24).map((source, i) => source.slice(0, 12 + (i % 12)));
    const run = async () => (await greedy(session ?? model, sources, { start: 1, end: 2, maxTokens: tokens })).flat();
    return { run, result: run, release: () => (session?.dispose(), model.dispose()) };
  };
  return { title: `Transformer small: greedy, ${count} x ${tokens} tokens`, tokens: tokens * count, prepare };
}

/** Cold start, in a process that times itself. Skips the turbo build, which must be compiled by `createRuntime`. */
function coldStart({ build, dist, clock }) {
  if (build === "turbo") return undefined;
  let last;
  const time = async () => {
    last = await start(build, dist);
    return clock === "cpu" ? last.cpu : last.ms;
  };
  return { time, run: time, result: () => last.result };
}
