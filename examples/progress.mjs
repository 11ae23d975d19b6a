// Shows a progress bar for a training run, keeps the best weights, and stops on Ctrl-C.
//   node examples/progress.mjs [steps]
import { GPT, Runtime, Trainer } from "heed";
import { CharacterTokenizer, evaluationBatches, languageModelBatches } from "heed/data";

const steps = Number(process.argv[2] ?? 120);
const text = Array.from({ length: 2000 }, (_, i) => `${i} is ${i % 2 ? "odd" : "even"}\n`).join("");
const tokenizer = CharacterTokenizer.of([text]);
const tokens = Int32Array.from(tokenizer.encode(text));
const split = Math.floor(0.9 * tokens.length);
const training = languageModelBatches(tokens.subarray(0, split), { batch: 8, block: 32 });
const held = evaluationBatches(tokens.subarray(split), { batch: 32, block: 32 });

const interrupt = new AbortController();
process.once("SIGINT", () => interrupt.abort());

const model = new GPT({ vocabulary: tokenizer.size, block: 32, layers: 2, heads: 2, width: 32 });
model.place(await Runtime.create(), { seed: 1 });
const trainer = new Trainer(model, { batch: (step) => training.batchAt(step) }, {
  steps,
  schedule: { kind: "cosine", peak: 5e-3, warmup: 20 },
  optimizer: { kind: "adamw", decay: 0.1 },
  validation: () => Array.from({ length: held.batches }, (_, index) => held.batchAt(index)),
  validateEvery: 40,
  patience: 3, // stop after three validations without improvement
  signal: interrupt.signal,
});

for await (const event of trainer.run()) {
  if (event.type === "step") {
    const bar = "█".repeat(Math.round((20 * event.step) / steps)).padEnd(20, "░");
    process.stdout.write(`\r${bar} ${event.step}/${steps} loss ${event.loss.toFixed(3)}`);
  } else if (event.type === "validation") {
    console.log(`\nvalidation after step ${event.step}: ${event.loss.toFixed(3)}${event.best ? ", the best so far" : ""}`);
  } else {
    const why = { steps: "all steps are done", patience: "no further improvement", aborted: "interrupted" }[event.reason];
    console.log(`${why}; the best loss was ${trainer.state.bestLoss?.toFixed(3)}, after step ${trainer.state.bestStep}`);
  }
}
