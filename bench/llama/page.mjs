/** Runs in a browser's page: times heed and wllama in turns, as harness.mjs does in Node. bench/peers/browser.mjs calls the exported functions. */
import { Runtime } from "../../dist/index.js";
import { compileLimits } from "../limit.mjs";
import { Wllama } from "../peers/node_modules/@wllama/wllama/esm/index.js";
import { steps } from "./heed.mjs";
import { place } from "./model.mjs";

const FEWEST_TURNS = 5;
/** Runs of an arithmetic limit in a turn: a page's clock shows tenths of a millisecond. */
const LIMIT_RUNS = 100;
let heeds, wllama, limits;

/** Loads heed's builds, and wllama with the model at /model.gguf. */
export async function load({ format, block }) {
  limits ??= await compileLimits();
  heeds = [];
  for (const build of ["simd", "relaxed"]) {
    const runtime = await Runtime.create({ build });
    heeds.push({ name: build, runtime, model: place(runtime, format) });
  }
  wllama = new Wllama({ default: "/bench/peers/node_modules/@wllama/wllama/esm/wasm/wllama.wasm" }, { suppressNativeLog: true });
  const file = await (await globalThis.fetch("/model.gguf")).blob();
  const fastest = { flash_attn: false, cache_type_k: "f32", cache_type_v: "f32" }; // with f16 keys and values, a step at past 1,024 takes 2.5 × as long
  await wllama.loadModel([file], { n_ctx: block, n_batch: 512, n_threads: 1, n_gpu_layers: 0, ...fastest });
  return { threads: wllama.getNumThreads() };
}

export async function unload() {
  await wllama.exit();
  for (const { model } of heeds) model.dispose();
  heeds = wllama = undefined;
}

/**
 * Times steps after a prompt, for `seconds`.
 * @param {{ tokens: number[], text: string, count: number, seconds: number, limits: string[] }} settings  `text` are the same tokens
 * @returns {Promise<{ times: Record<string, number[]>, first: object }>} ms per step of each contestant, ms per FLOP, operation or byte of each
 *   limit, and the token that each library finds the likeliest to come first, with its log-probability
 */
export async function measureSteps({ tokens, text, count, seconds, limits: names }) {
  const contestants = [];
  for (const { name, model } of heeds) {
    const { run, result, release } = await steps(model, tokens, count);
    const turn = () => timed(async () => {
      for (let i = 0; i < count; i++) await run();
    }, count);
    contestants.push({ name, turn, release, result });
  }
  contestants.push({ name: "wllama", turn: () => wllamaTurn(text, count) });
  for (const name of names) contestants.push(limitContestant(limits[name], name === "bytes" ? 1 : LIMIT_RUNS));
  const first = await compareFirst(contestants[0], text);
  const times = Object.fromEntries(contestants.map(({ name }) => [name, []]));
  for (const { turn } of contestants) await turn(); // compiles, and fills wllama's cache
  const end = performance.now() + 1000 * seconds;
  for (let turns = 0; turns < FEWEST_TURNS || performance.now() < end; turns++) {
    for (let i = 0; i < contestants.length; i++) {
      const { name, turn } = contestants[(i + turns) % contestants.length];
      times[name].push(await turn());
    }
  }
  for (const { release } of contestants) release?.();
  return { times, first };
}

const limitContestant = ({ name, amount, run }, runs) => ({
  name,
  turn: () => timed(() => {
    for (let i = 0; i < runs; i++) run();
  }, runs * amount),
});

async function timed(work, count) {
  const start = performance.now();
  await work();
  return (performance.now() - start) / count;
}

/** Milliseconds per step by wllama's own clock, which begins after the first token. */
async function wllamaTurn(text, count) {
  const { timings } = await wllama.createCompletion({ prompt: text, max_tokens: count + 1, temperature: 0, ignore_eos: true });
  if (timings.predicted_n !== count + 1) throw new Error(`wllama generated ${timings.predicted_n} tokens instead of ${count + 1}`);
  return timings.predicted_ms / count;
}

async function compareFirst({ result }, text) {
  const logits = await result();
  const id = logits.indexOf(logits.reduce((a, b) => Math.max(a, b)));
  const sum = logits.reduce((sum, x) => sum + Math.exp(x - logits[id]), 0);
  const { choices } = await wllama.createCompletion({ prompt: text, max_tokens: 1, temperature: 0, logprobs: 1, ignore_eos: true });
  const [theirs] = choices[0].logprobs.content;
  return { heed: { id, logProbability: -Math.log(sum) }, wllama: { id: theirs.id, logProbability: theirs.logprob } };
}
