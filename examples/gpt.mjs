// Trains a character-level GPT on a text and generates from it.
//   node examples/gpt.mjs [text file] [steps]
import { readFile } from "node:fs/promises";
import { generate, GPT, Runtime, Trainer } from "heed";
import { CharacterTokenizer, languageModelBatches } from "heed/data";

const file = process.argv[2] ?? new URL("../docs/architecture.md", import.meta.url);
const steps = Number(process.argv[3] ?? 2000);
const text = await readFile(file, "utf8");
const tokenizer = CharacterTokenizer.of([text]);
const batches = languageModelBatches(Int32Array.from(tokenizer.encode(text)), { batch: 8, block: 32 });

const model = new GPT({ vocabulary: tokenizer.size, block: 32, layers: 2, heads: 4, width: 64 });
model.place(await Runtime.create(), { seed: 1 });
const trainer = new Trainer(model, { batch: (step) => batches.batchAt(step) }, {
  steps, // 2,000 steps take about ten seconds
  schedule: { kind: "cosine", peak: 3e-3, warmup: 20 },
  optimizer: { kind: "adamw", decay: 0.1 },
  clip: 1,
});
for await (const event of trainer.run()) {
  if (event.type === "step" && event.step % 100 === 0) console.log(`step ${event.step}: loss ${event.loss.toFixed(3)}`);
}
trainer.dispose(); // frees the optimizer's memory; the model remains usable

const prompt = [...text][0];
process.stdout.write(prompt);
for await (const [id] of generate(model, [tokenizer.encode(prompt)], { maxTokens: 100, temperature: 0.8, topK: 10, seed: 1 })) {
  process.stdout.write(tokenizer.decode([id]));
}
process.stdout.write("\n");
