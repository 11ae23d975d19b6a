/** Starts benchmark processes: on the Node installed with the peers, which has relaxed SIMD, or else on the current one. */
import { fork } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const peersNode = fileURLToPath(new URL("peers/node_modules/node/bin/node", import.meta.url));
export const hasPeers = existsSync(peersNode);
const execPath = hasPeers ? peersNode : process.execPath;
const relaxed = process.versions.node.startsWith("20.") && !hasPeers ? ["--experimental-wasm-relaxed-simd"] : [];

/**
 * Runs a file in this folder as a child process.
 * @param {(message: object) => void} onMessage  called with each message that it sends
 * @returns {Promise<number>} the exit code
 */
export function run(file, args, onMessage) {
  const child = fork(new URL(file, import.meta.url), args, { execPath, execArgv: ["--expose-gc", "--no-flush-bytecode", "--single-threaded-gc", ...relaxed] });
  child.on("message", onMessage);
  return new Promise((resolve) => child.on("exit", resolve));
}
