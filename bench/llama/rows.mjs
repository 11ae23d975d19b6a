/** The rows of the Llama-like model in Node: steps at several pasts, and prompts, next to llama.cpp as native code. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { round } from "../harness.mjs";
import { writeGguf } from "../peers/gguf.mjs";
import { loadLlamaCpp } from "../peers/llamacpp.mjs";
import { firstToken, steps } from "./heed.mjs";
import { config, formats, place, prompt, promptFlops, stepLimit } from "./model.mjs";

export const PASTS = [16, 1024];
/** Steps before a sequence starts again at its past. */
export const STEPS = 16;
const PROMPT = 512;

const stepTitle = ({ title }, past) => `Llama-like 135M, ${title}: step at past ${past}`;
const promptTitle = ({ title }) => `Llama-like 135M, ${title}: prompt of ${PROMPT}`;

/**
 * @param {Harness} harness
 * @param {object[]} runtimes  see kernels.mjs
 */
export async function llamaRows(harness, runtimes) {
  for (const format of formats(runtimes[0].runtime)) {
    const pasts = PASTS.filter((past) => harness.wants(stepTitle(format, past)));
    const readsPrompt = format.title !== "int4" && harness.wants(promptTitle(format));
    if (pasts.length === 0 && !readsPrompt) continue;
    const models = runtimes.map((heed) => ({ heed, model: place(heed.runtime, format.format) }));
    const peer = await loadPeer(harness, format, models[0].model);
    for (const past of pasts) await measureSteps(harness, format, past, models, peer);
    if (readsPrompt) await measurePrompt(harness, format, models, peer);
    await peer?.dispose();
    for (const { model } of models) model.dispose();
  }
}

async function measureSteps(harness, format, past, models, peer) {
  const tokens = prompt(past + 1);
  const contestants = [];
  for (const { heed, model } of models) contestants.push({ ...heed, ...(await steps(model, tokens, STEPS)) });
  if (peer) contestants.push(await peer.steps(tokens, STEPS));
  const limit = stepLimit(format, models[0].model.weights.block.bytes, past);
  await harness.compare(stepTitle(format, past), contestants, { unit: "tokens/s", amount: 1, limit, tolerance: format.tolerance });
  for (const { release } of contestants) release?.();
}

/** Time to the first token; then the same as GFLOP/s of the products. */
async function measurePrompt(harness, format, models, peer) {
  const tokens = prompt(PROMPT);
  const contestants = models.map(({ heed, model }) => ({ ...heed, ...firstToken(model, tokens) }));
  if (peer) contestants.push(peer.firstToken(tokens));
  const flops = promptFlops(PROMPT);
  const rows = [];
  const collecting = Object.assign(Object.create(harness), { emit: (row) => rows.push(row) });
  await collecting.compare(promptTitle(format), contestants, { unit: "ms", limit: { [format.arithmetic]: flops }, tolerance: format.tolerance });
  const speed = (ms) => ms && round(flops / ms / 1e6);
  for (const row of rows) harness.emit(row);
  for (const { peers, ...row } of rows) {
    const speeds = Object.fromEntries(Object.entries(peers).map(([name, ms]) => [name, speed(ms)]));
    harness.emit({ ...row, case: `${row.case}, products`, unit: "GFLOP/s", value: speed(row.value), limit: speed(row.limit), alone: speed(row.alone), peers: speeds });
  }
  for (const { release } of contestants) release?.();
}

/** llama.cpp with heed's weights. */
async function loadPeer(harness, { gguf }, model) {
  const llamaCpp = await loadLlamaCpp(harness.threads);
  if (!llamaCpp) return null;
  const folder = mkdtempSync(join(tmpdir(), "heed-bench-"));
  try {
    const file = join(folder, `${gguf}.gguf`);
    writeGguf(file, config, model.weights.read(), gguf);
    return await llamaCpp.load(file, config.block);
  } finally {
    rmSync(folder, { recursive: true }); // on Linux, the open file stays
  }
}
