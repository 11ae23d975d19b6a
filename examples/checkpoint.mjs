// Saves a model to a folder and loads it into another runtime, where it generates the same text.
//   node examples/checkpoint.mjs [folder]
import { generate, GPT, openCheckpoint, Runtime, Trainer } from "heed";
import { CharacterTokenizer, languageModelBatches } from "heed/data";
import { loadModel, saveModel } from "heed/io";
import { nodeFiles } from "heed/node";

const folder = process.argv[2] ?? "runs/hello";
const text = "hello, world; ".repeat(20);
const tokenizer = CharacterTokenizer.of([text]);
const batches = languageModelBatches(Int32Array.from(tokenizer.encode(text)), { batch: 4, block: 16 });
const model = new GPT({ vocabulary: tokenizer.size, block: 16, layers: 1, heads: 2, width: 32 });
model.place(await Runtime.create(), { seed: 1 });
const trainer = new Trainer(model, { batch: (step) => batches.batchAt(step) }, {
  steps: 150,
  schedule: { kind: "constant", peak: 1e-2 },
  optimizer: { kind: "adamw" },
});
for await (const event of trainer.run()) if (event.type === "end") console.log(`trained for ${event.step} steps`);

await saveModel(nodeFiles, folder, { model, tokenizer });
const loaded = await loadModel(await Runtime.create(), await openCheckpoint(nodeFiles, folder));
if (loaded.type !== "gpt") throw new Error(`${folder} holds a ${loaded.type}`);

for (const gpt of [model, loaded.model]) {
  let said = "hello";
  for await (const [id] of generate(gpt, [loaded.tokenizer.encode(said)], { maxTokens: 16, temperature: 0 })) said += loaded.tokenizer.decode([id]);
  console.log(said);
}
