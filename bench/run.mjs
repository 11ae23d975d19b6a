/**
 * The benchmark: every suite in a process of its own, on the Node that the peers brought (relaxed SIMD is on there).
 *
 *     npm run bench -- [--suite matmul,ops] [--only TEXT] [--json FILE] [--record] [--clock wall|cpu] [--seconds N] [--threads N]
 */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { hasPeers, run } from "./child.mjs";
import { record } from "./results.mjs";
import { line } from "./table.mjs";

export const suites = ["matmul", "ops", "train", "encode", "decode", "cold", "size"];

const { values: options } = parseArgs({
  options: {
    suite: { type: "string", default: suites.join(",") }, // which, comma-separated
    only: { type: "string", default: "" }, // only cases whose title contains this
    json: { type: "string" }, // where to write the rows
    record: { type: "boolean", default: false }, // into results.json, from which bench:readme writes the tables of the README
    clock: { type: "string", default: "wall" }, // cpu: this process's own time, for a machine with other work
    seconds: { type: "string", default: "1" }, // for each case, after warming up
    threads: { type: "string", default: "1" },
  },
});
const chosen = options.suite.split(",");
for (const suite of chosen) if (!suites.includes(suite)) throw new RangeError(`--suite: expected some of ${suites.join(",")}, got ${suite}`);
if (!["wall", "cpu"].includes(options.clock)) throw new RangeError(`--clock: expected wall or cpu, got ${options.clock}`);

if (!hasPeers) console.log(`Peers are not installed (npm run bench:install): heed alone, on Node ${process.versions.node}.\n`);

const { only, clock } = options;
const settings = { only, clock, seconds: Number(options.seconds), threads: Number(options.threads) };
const rows = [];
for (const suite of chosen) {
  console.log(`${suite}${options.clock === "cpu" ? ", by processor time" : ""}`);
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
