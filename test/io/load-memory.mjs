// Loads a checkpoint as a model or a snapshot, and prints the peak growth of the process's memory in bytes.
//   node test/io/load-memory.mjs <folder> model|snapshot
import { GPT, openCheckpoint, Runtime } from "heed";
import { loadModel, readSnapshot } from "heed/io";
import { nodeFiles } from "heed/node";

const [folder, what] = process.argv.slice(2);
const runtime = await Runtime.create({ build: "simd" });
const checkpoint = await openCheckpoint(nodeFiles, folder);
const { model: config } = JSON.parse(await checkpoint.readText("config.json"));
const shapes = new GPT(config).parameters();

/** Peak resident memory so far, as recorded by the operating system. */
const peak = () => process.resourceUsage().maxRSS * 1024;
const before = peak();
const arrays = what === "model" ? await loadWeights() : await loadSnapshot();
const grown = peak() - before;

const sum = (values) => values.reduce((total, value) => total + value, 0);
console.log(JSON.stringify({ grown, sum: sum(arrays.map(sum)), bytes: sum(arrays.map(({ byteLength }) => byteLength)) }));

async function loadWeights() {
  const { model } = await loadModel(runtime, checkpoint);
  return [...model.parameters().values()].map(({ state, size }) => state.block.f32(state.offset, size));
}

async function loadSnapshot() {
  const { best, training } = await readSnapshot(checkpoint, {}, { best: shapes, training: shapes });
  return [...best.values(), ...training.values()].map(({ data }) => data);
}
