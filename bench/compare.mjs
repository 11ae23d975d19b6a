/**
 * Compares this checkout with another one, usually the last release. Both must be built (`node build.mjs`).
 *
 *     node bench/compare.mjs --before DIR [--only TEXT] [--build simd,relaxed,turbo] [--pairs 30] [--processes 3] [--clock wall|cpu] [--json FILE]
 *
 * Each row shows the median of before/after over pairs of timings (compare/pairs.mjs) and its lower 95 % confidence bound. Bounds
 * below 0.98 are marked. Pairs are spread over several processes, because some things that affect speed are decided once per process:
 * the addresses of code and memory, and the inlining decisions of the compiler.
 */
import { execFileSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { run } from "./child.mjs";
import { statistics } from "./harness.mjs";
import { random } from "./random.mjs";
import { format } from "./table.mjs";

const LEAST = 0.98;
const RESAMPLES = 2000;
/** The exit code of pairs.mjs if Node cannot run the build. */
const NO_BUILD = 3;

/** The median of before/after, and its lower 95 % bound: the 5 % quantile of the medians of resampled pairs (bootstrap). */
export function ratioOf(pairs) {
  const ratios = pairs.map(([before, after]) => before / after);
  const picks = random(RESAMPLES * ratios.length, 7);
  const medians = Array.from({ length: RESAMPLES }, (_, i) => statistics(ratios.map((_, j) => ratios[Math.floor(((picks[i * ratios.length + j] + 1) / 2) * ratios.length)])).median);
  return { ratio: statistics(ratios).median, lower: medians.sort((x, y) => x - y)[Math.floor(0.05 * RESAMPLES)] };
}

async function main() {
  const { values: options } = parseArgs({
    options: {
      before: { type: "string" }, // the other checkout's folder
      only: { type: "string", default: "" }, // only cases whose title contains this
      build: { type: "string", default: "simd,relaxed,turbo" },
      pairs: { type: "string", default: "30" },
      processes: { type: "string", default: "3" },
      clock: { type: "string", default: "wall" }, // cpu: CPU time of the process, for a busy machine
      json: { type: "string" }, // where to write the rows
    },
  });
  if (!options.before || !existsSync(`${options.before}/dist/index.js`)) throw new Error(`--before: expected the folder of a built checkout, got ${options.before}`);
  const before = pathToFileURL(`${resolve(options.before)}/`).href;
  const processes = Number(options.processes);
  const about = {
    date: new Date().toISOString().slice(0, 10), machine: `${cpus().length} × ${cpus()[0].model.trim()}, ${process.platform} ${process.arch}`, clock: options.clock,
    before: commitOf(options.before), after: commitOf(fileURLToPath(new URL("../", import.meta.url))),
  };
  const rows = [];
  for (const build of options.build.split(",")) {
    const pairs = new Map();
    for (let seed = 1; seed <= processes; seed++) {
      const settings = { before, build, only: options.only, clock: options.clock, pairs: Math.ceil(options.pairs / processes), seed };
      const code = await run("compare/pairs.mjs", [JSON.stringify(settings)], (message) => {
        if (message.node && !about.node) {
          about.node = message.node;
          console.log(`${Object.entries(about).map(([name, value]) => `${name} ${value}`).join("; ")}\n${line(HEADER)}`);
        }
        if (!message.case) return;
        if (process.stderr.isTTY) process.stderr.write(`${build}, process ${seed} of ${processes}: ${message.case}\x1b[K\r`);
        const found = pairs.get(message.case) ?? [];
        pairs.set(message.case, [...found, ...message.pairs]);
        if (seed === processes) rows.push(report(build, message, pairs.get(message.case)));
      });
      if (code === NO_BUILD) {
        console.log(`${build}: this Node cannot run this build`);
        break;
      }
      if (code !== 0) throw new Error(`${build}: the process exited with code ${code}`);
    }
  }
  const slow = rows.filter(({ lower }) => lower < LEAST);
  console.log(`\n${rows.length} rows, ${slow.length} of them with a bound below ${LEAST}`);
  if (options.json) writeFileSync(options.json, `${JSON.stringify(about, null, 2).slice(0, -2)},\n  "rows": [\n${rows.map((row) => `    ${JSON.stringify(row)}`).join(",\n")}\n  ]\n}\n`);
}

/** Prints a case's row. */
function report(build, { case: title, tokens }, pairs) {
  const { ratio, lower } = ratioOf(pairs);
  const [before, after] = [0, 1].map((side) => statistics(pairs.map((pair) => pair[side])).median).map((ms) => (tokens ? (1000 * tokens) / ms : ms));
  const row = { case: title, build, unit: tokens ? "tokens/s" : "ms", before, after, ratio, lower, pairs: pairs.length };
  console.log(line([title, build, format(before), format(after), row.unit, ratio.toFixed(3), lower.toFixed(3), lower < LEAST ? `< ${LEAST}` : ""]));
  return row;
}

const HEADER = ["", "", "before", "after", "", "before/after", "bound", ""];
const WIDTHS = [58, 8, -9, -9, 9, -12, -7, 6];
/** A row of cells; a negative width aligns right. */
function line(cells) {
  return cells.map((cell, i) => (WIDTHS[i] < 0 ? cell.padStart(-WIDTHS[i]) : cell.padEnd(WIDTHS[i]))).join(" ").trimEnd();
}

function commitOf(folder) {
  try {
    return execFileSync("git", ["-C", folder, "describe", "--always", "--dirty"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  } catch {
    return folder; // not a repository but an unpacked release
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
