/**
 * The rows of the Llama-like model: steps at several pasts, and prompts, next to llama.cpp as native code; and steps in Chromium, next to
 * llama.cpp as wasm. The peers load heed's weights from GGUF files. Keys and values are f32, but f16 in native llama.cpp, which is faster there.
 *
 * In f32, llama.cpp's logits are compared with heed's before anything is timed, and of wllama the likeliest token and its log-probability,
 * because it returns no more. In int8 and int4, only native llama.cpp's are compared, roughly.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { round, statistics } from "../harness.mjs";
import { openPage } from "../peers/browser.mjs";
import { tokenText, writeGguf } from "../peers/gguf.mjs";
import { loadLlamaCpp } from "../peers/llamacpp.mjs";
import { firstToken, steps } from "./heed.mjs";
import { config, formats, place, prompt, promptFlops, stepLimit } from "./model.mjs";

const PASTS = [16, 1024];
/** Steps before a sequence starts again at its past. */
const STEPS = 16;
const PROMPT = 512;

const stepTitle = ({ title }, past) => `Llama-like 135M, ${title}: step at past ${past}`;
const promptTitle = ({ title }) => `Llama-like 135M, ${title}: prompt of ${PROMPT}`;
const browserTitle = (format, past) => `${stepTitle(format, past)}, Chromium`;

/**
 * @param {Harness} harness
 * @param {object[]} runtimes  see kernels.mjs
 */
export async function llamaRows(harness, runtimes) {
  const cases = formats(runtimes[0].runtime).map((format) => ({
    format,
    pasts: PASTS.filter((past) => harness.wants(stepTitle(format, past))),
    readsPrompt: format.title !== "int4" && harness.wants(promptTitle(format)),
    browserPasts: harness.threads > 1 ? [] : PASTS.filter((past) => harness.wants(browserTitle(format, past))),
  }));
  const uses = (kind) => cases.some((each) => each[kind].length > 0);
  const inNode = uses("pasts") || cases.some(({ readsPrompt }) => readsPrompt);
  // On several threads, heed is alone: threads that wait by spinning take the processors from the other library (0.8 tokens/s for llama.cpp).
  const llamaCpp = inNode && harness.threads === 1 ? await loadLlamaCpp(1) : null;
  const page = uses("browserPasts") ? await openPage() : null;
  const folder = mkdtempSync(join(tmpdir(), "heed-bench-"));
  try {
    for (const { format, pasts, readsPrompt, browserPasts } of cases) {
      if (!(pasts.length > 0 || readsPrompt || (page && browserPasts.length > 0))) continue;
      const models = runtimes.map((heed) => ({ heed, model: place(heed.runtime, format.format) }));
      const weightBytes = models[0].model.weights.block.bytes;
      const file = join(folder, "model.gguf");
      if (llamaCpp || page) writeGguf(file, config, seededWeights(), format.gguf);
      if (pasts.length > 0 || readsPrompt) {
        const peer = await llamaCpp?.load(file, config.block);
        for (const past of pasts) await measureSteps(harness, format, past, models, peer);
        if (readsPrompt) await measurePrompt(harness, format, models, peer);
        await peer?.dispose();
      }
      for (const { model } of models) model.dispose();
      if (page) await measureInBrowser(harness, page, file, format, browserPasts, weightBytes);
    }
  } finally {
    rmSync(folder, { recursive: true });
    await page?.close();
    await llamaCpp?.dispose();
  }

  /** What all formats are rounded from. */
  function seededWeights() {
    const model = place(runtimes[0].runtime, "f32");
    const weights = model.weights.read();
    model.dispose();
    return weights;
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

async function measureInBrowser(harness, page, file, format, pasts, weightBytes) {
  if (pasts.length === 0) return;
  page.serveModel(file);
  await page.call("load", { format: format.format, block: config.block });
  for (const past of pasts) {
    const title = browserTitle(format, past);
    const tokens = prompt(past + 1);
    const amounts = Object.entries(stepLimit(format, weightBytes, past));
    const limits = amounts.flatMap(([name]) => (name === "flops" || name === "bytes" ? [name] : [name, `plain ${name}`]));
    const settings = { tokens, text: tokens.map(tokenText).join(""), count: STEPS, seconds: harness.settings.seconds, limits };
    const { times, first } = await page.call("measureSteps", settings);
    if (format.title === "f32") verifyFirst(title, first, format.tolerance);
    const median = (name) => statistics(times[name]).median;
    const boundOf = (build, name) => median(build === "simd" && times[`limit: plain ${name}`] ? `limit: plain ${name}` : `limit: ${name}`);
    const speed = (ms) => round(1000 / ms);
    for (const build of ["simd", "relaxed"]) {
      const limit = speed(Math.max(...amounts.map(([name, amount]) => amount * boundOf(build, name))));
      const { spread } = statistics(times[build]);
      harness.emit({ case: title, build, value: speed(median(build)), unit: "tokens/s", limit, peers: { wllama: speed(median("wllama")) }, spread: round(spread), clock: "wall" });
    }
  }
  await page.call("unload");
}

function verifyFirst(title, { heed, wllama }, tolerance) {
  if (heed.id === wllama.id && Math.abs(heed.logProbability - wllama.logProbability) <= tolerance) return;
  throw new Error(`${title}: wllama expects token ${wllama.id} (${wllama.logProbability}), heed ${heed.id} (${heed.logProbability})`);
}
