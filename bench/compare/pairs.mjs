/**
 * Measures pairs of timings in one process, started by ../compare.mjs: `node pairs.mjs SETTINGS`. A pair times both sides back to back, a few ms
 * each, in random order. Sends `{ node }`, then for each case `{ case, tokens, pairs: [[before, after], …] }`, in ms per run.
 */
import { openCheckout } from "../checkout.mjs";
import { Harness, verify } from "../harness.mjs";
import { current, Kernels } from "../kernels.mjs";
import { random } from "../random.mjs";
import { cases } from "./cases.mjs";
import { OlderKernels } from "./older.mjs";

const { before, build, only, clock, pairs, seed } = JSON.parse(process.argv[2]);
const harness = new Harness("compare", { clock, only, seconds: 0, threads: 1 }, () => {});
const flips = random(1e4, seed);
let flipped = 0;
const shuffled = ([a, b]) => (flips[flipped++ % flips.length] < 0 ? [a, b] : [b, a]);

const sides = [];
for (const [name, checkout] of shuffled([["before", await openCheckout(new URL(before))], ["after", current]])) {
  const runtime = await checkout.createRuntime({ build, threads: 1, onWarning() {} });
  if (runtime.build !== build) process.exit(3);
  const kernels = new (checkout === current ? Kernels : OlderKernels)({ name, build, threads: 1, runtime }, checkout);
  sides.push({ name, build, runtime, kernels, library: checkout.library, dist: new URL("dist/", checkout.root).href, clock });
}

process.send({ node: process.versions.node });
for (const { title, tokens, prepare } of cases) {
  if (!harness.wants(title)) continue;
  const contestants = [];
  for (const side of sides) contestants.push({ ...(await prepare(side)), name: side.name });
  if (contestants[0].run) process.send({ case: title, tokens, pairs: await timePairs(title, contestants) });
  for (const { release } of contestants) await release?.();
  for (const { kernels } of sides) kernels.clear();
}
process.disconnect();

async function timePairs(title, contestants) {
  await verify(title, contestants, 1e-4);
  let calls = 1;
  for (const { run, time } of contestants) if (!time) calls = Math.max(calls, await harness.warmUp(run));
  const timed = [];
  while (timed.length < pairs) {
    const ms = {};
    for (const { name, run, time } of shuffled(contestants)) {
      globalThis.gc?.({ type: "minor" }); // collects the garbage of the other side
      ms[name] = time ? await time() : await harness.turn(run, calls);
    }
    timed.push([ms.before, ms.after]);
  }
  return timed;
}
