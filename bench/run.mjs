/**
 * Runs the benchmarks: each suite in its own process, on the Node installed with the peers (which has relaxed SIMD enabled).
 *
 *     npm run bench -- [--suite matmul,ops] [--only TEXT] [--json FILE] [--record] [--clock wall|cpu] [--seconds N] [--threads N]
 */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { hasPeers, run } from "./child.mjs";
import { record } from "./results.mjs";
import { line } from "./table.mjs";

export const suites = ["matmul", "quant", "ops", "train", "encode", "decode", "cold", "size"];

const { values: options } = parseArgs({
  options: {
    suite: { type: "string", default: suites.join(",") }, // suites to run, comma-separated
    only: { type: "string", default: "" }, // only cases whose title contains this
    json: { type: "string" }, // where to write the rows
    record: { type: "boolean", default: false }, // write to results.json, from which bench:readme generates the tables
    clock: { type: "string", default: "wall" }, // cpu: CPU time of the process, for a busy machine
    seconds: { type: "string", default: "1" }, // per case, after warm-up
    threads: { type: "string", default: "1" },
  },
});
const chosen = options.suite.split(",");
for (const suite of chosen) if (!suites.includes(suite)) throw new RangeError(`--suite: expected one or more of ${suites.join(",")}, got ${suite}`);
if (!["wall", "cpu"].includes(options.clock)) throw new RangeError(`--clock: expected wall or cpu, got ${options.clock}`);

if (!hasPeers) console.log(`Peers are not installed (npm run bench:install): running heed alone, on Node ${process.versions.node}.\n`);

const { only, clock } = options;
const settings = { only, clock, seconds: Number(options.seconds), threads: Number(options.threads) };
const rows = [];
for (const suite of chosen) {
  console.log(`${suite}${options.clock === "cpu" ? ", CPU time" : ""}`);
  const status = await run("suite.mjs", [suite, JSON.stringify(settings)], (row) => {
    rows.push(row);
    console.log(line(row));
  });
  if (status !== 0) process.exitCode = 1;
  const found = rows.filter((row) => row.suite === suite);
  if (options.record && found.length) record(found, { whole: options.only === "" });
  console.log();
}
if (options.json) writeFileSync(options.json, `[\n${rows.map((row) => `  ${JSON.stringify(row)}`).join(",\n")}\n]\n`);
