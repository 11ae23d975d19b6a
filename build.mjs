// Rebuilds outputs that are older than their sources: the core's wasm files, then the package in dist/.
//   node build.mjs [--force]
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, readdirSync, rmSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";

const force = process.argv.includes("--force");
const targets = ["simd", "relaxed", "turbo", "simd-threads", "relaxed-threads", "turbo-threads", "debug"];
const limits = ["limit.simd", "limit.relaxed"];
const wasm = [...targets.map((target) => `build/heed.${target}.wasm`), ...limits.map((target) => `build/${target}.wasm`)];
const settings = ["package.json", "package-lock.json"];

process.chdir(fileURLToPath(new URL(".", import.meta.url)));
if (isStale(wasm, ["assembly", "asconfig.json", ...settings])) {
  for (const target of targets) {
    const entries = target.endsWith("-threads") ? ["assembly/index.ts", "assembly/threads.ts"] : ["assembly/index.ts"];
    node("node_modules/assemblyscript/bin/asc.js", ...entries, "--target", target);
  }
  for (const target of limits) node("node_modules/assemblyscript/bin/asc.js", "assembly/limit.ts", "--target", target);
}
const sources = ["host", "assembly/opcodes.ts", "assembly/layouts.ts", "rollup.config.js", "tsconfig.json", ...wasm, ...settings];
if (isStale(["dist/index.js", "dist/cli.js", "dist/index.d.ts"], sources)) {
  rmSync("dist", { recursive: true, force: true }); // shared chunks change names between builds, and old ones would stay behind
  node("node_modules/rollup/dist/bin/rollup", "-c", "--silent");
  chmodSync("dist/cli.js", 0o755);
}

function node(...args) {
  const { status } = spawnSync(process.execPath, args, { stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
}

/** Whether an output is missing or older than the newest source. A source is a file or a folder. */
function isStale(outputs, sources) {
  if (force || !outputs.every(existsSync)) return true;
  const oldest = Math.min(...outputs.map((path) => statSync(path).mtimeMs));
  return Math.max(...sources.map(newest)) > oldest;
}

function newest(path) {
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.mtimeMs;
  return Math.max(stat.mtimeMs, ...readdirSync(path).map((name) => newest(`${path}/${name}`)));
}
