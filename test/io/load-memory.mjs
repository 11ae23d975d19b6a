// Loads a checkpoint, and prints how much the process's memory grew at its peak, in bytes.
//   node test/io/load-memory.mjs <folder>
import { openCheckpoint, Runtime } from "heed";
import { loadModel } from "heed/io";
import { nodeFiles } from "heed/node";

/** The most that has been resident, which Linux and macOS keep count of. */
const peak = () => process.resourceUsage().maxRSS * 1024;

const runtime = await Runtime.create({ build: "simd" });
const checkpoint = await openCheckpoint(nodeFiles, process.argv[2]);
const before = peak();
const { model } = await loadModel(runtime, checkpoint);
const grown = peak() - before;
const sums = [...model.parameters()].map(([, { address, size }]) => runtime.memory.f32(address, size).reduce((sum, value) => sum + value, 0));
console.log(JSON.stringify({ grown, sum: sums.reduce((a, b) => a + b, 0), bytes: model.weights.bytes }));
