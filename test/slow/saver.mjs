// Saves sets of files to a folder, or reads them, until it is told to stop. The files of set i all begin with i.
//   node saver.mjs save|read folder first
import { openCheckpoint, saveCheckpoint } from "../../dist/io.js";
import { nodeFiles } from "../../dist/node.js";

const [, , mode, folder, first] = process.argv;
const LENGTH = 40_000;
let stopped = false;
process.on("message", () => (stopped = true));
process.on("disconnect", () => process.exit());
process.send(await (mode === "save" ? save() : read()));
process.disconnect();

async function save() {
  let i = Number(first);
  for (; !stopped; i++) {
    const text = `${i} `.padEnd(LENGTH, String(i % 10));
    const odd = i % 2 === 1 ? text : null; // every second set has one file more
    await saveCheckpoint(nodeFiles, folder, { "model.safetensors": text, "optimizer.safetensors": text, "trainer.json": text, odd });
    await nodeFiles.append(`${folder}/log.jsonl`, Buffer.from("{}\n"));
  }
  return { saved: i };
}

async function read() {
  const counts = { whole: 0, told: 0, sets: 0 };
  let newest = -1;
  while (!stopped) {
    try {
      const checkpoint = await openCheckpoint(nodeFiles, folder);
      const names = checkpoint.names.filter((name) => name !== "log.jsonl");
      const texts = [];
      for (const name of names) texts.push(await checkpoint.readText(name));
      const i = parseInt(texts[0]);
      const expected = ["model.safetensors", ...(i % 2 === 1 ? ["odd"] : []), "optimizer.safetensors", "trainer.json"];
      const problem =
        String(names) !== String(expected) ? `set ${i} has the files ${names}`
        : new Set(texts).size > 1 ? `mixed: ${texts.map((text) => parseInt(text))}`
        : texts[0].length !== LENGTH ? `${texts[0].length} characters`
        : i < newest ? `set ${i} after set ${newest}`
        : undefined;
      if (problem) return { ...counts, problem };
      if (i > newest) counts.sets++;
      newest = i;
      counts.whole++;
    } catch (error) {
      if (error.code !== "checkpoint" || !error.message.includes("replaced while it was being read")) return { ...counts, problem: String(error) };
      counts.told++;
    }
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  return counts;
}
