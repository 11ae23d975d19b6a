/** Time from the first import to the first result, in a fresh process each time (with the files in the system's cache). */
import { fork } from "node:child_process";
import { round, statistics, verify } from "../harness.mjs";

const names = ["simd", "relaxed", "onnxruntime-web", "onnxruntime-node", "tfjs-wasm", "jax-js"];
const TURNS = 15;

export default async function cold(harness) {
  const title = "load to first result, tiny model";
  if (!harness.wants(title)) return;
  const found = new Map();
  for (let turn = 0; turn < TURNS; turn++) {
    for (const name of names) {
      const { ms, result, missing } = await start(name);
      if (missing && turn === 0) console.log(`  (${name} is not installed)`);
      if (missing) continue;
      if (turn === 0) found.set(name, { name, times: [], run() {}, result: () => result });
      else found.get(name).times.push(ms); // the first turn fills the system's cache
    }
  }
  await verify(title, [...found.values()], 1e-4);
  const values = new Map([...found].map(([name, { times }]) => [name, statistics(times)]));
  const peers = Object.fromEntries([...values].filter(([name]) => !isHeed(name)).map(([name, { median }]) => [name, round(median)]));
  for (const [build, { median, spread }] of values) if (isHeed(build)) harness.emit({ case: title, build, value: round(median), unit: "ms", peers, spread: round(spread), clock: "wall" });
}

const isHeed = (name) => name === "simd" || name === "relaxed";

/**
 * @param {string} [dist]  URL of the folder to load heed from; defaults to that of this checkout
 * @returns {Promise<{ ms: number, cpu: number, result: number[] } | { missing: true }>}
 */
export function start(name, dist = new URL("../../dist/", import.meta.url).href) {
  const child = fork(new URL("../peers/cold.mjs", import.meta.url), [name, dist], { execArgv: process.execArgv.filter((flag) => flag.includes("relaxed")) });
  return new Promise((resolve, reject) => {
    child.once("message", resolve);
    child.once("exit", (code) => reject(new Error(`${name}: the process exited with code ${code}`)));
  });
}
