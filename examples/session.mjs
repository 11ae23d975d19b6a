// A conversation with a model: a session keeps what was said, so each turn reads only what is new. It trains for a few seconds first.
//   node examples/session.mjs
import { Llama, Runtime, Session, Trainer } from "heed";
import { CharacterTokenizer, languageModelBatches } from "heed/data";

const lines = ["France? Paris.\n", "Italy? Rome.\n", "Spain? Madrid.\n", "Norway? Oslo.\n", "Peru? Lima.\n", "Japan? Tokyo.\n"];
const text = Array.from({ length: 600 }, (_, i) => lines[(i * i + (i >> 3)) % lines.length]).join("");
const tokenizer = CharacterTokenizer.of([text]);
const batches = languageModelBatches(Int32Array.from(tokenizer.encode(text)), { batch: 8, block: 64 });

const model = new Llama({ vocabulary: tokenizer.size, block: 128, layers: 2, heads: 4, keyValueHeads: 2, width: 32, hidden: 64 });
model.place(await Runtime.create(), { seed: 1 });
const trainer = new Trainer(model, { batch: (step) => batches.batchAt(step) }, {
  steps: 250,
  schedule: { kind: "cosine", peak: 1e-2, warmup: 20 },
  optimizer: { kind: "adamw" },
  clip: 1,
});
for await (const event of trainer.run()) if (event.type === "end") console.log(`trained for ${event.step} steps`);
trainer.dispose();

const session = new Session(model, { rows: 4 });

const [row] = await session.open([{ tokens: tokenizer.encode("France? ") }]);

/** Steps until the answer's line ends, and returns it. */
async function answer(speaker = row) {
  const start = speaker.tokens.length;
  for (let i = 0; i < 12; i++) {
    const [id] = await session.step([speaker]);
    if (tokenizer.decode([id]) === "\n") break;
  }
  return tokenizer.decode(speaker.tokens.slice(start)).trim();
}

console.log("France?", await answer());
for (const question of ["Norway?", "Japan?"]) {
  await session.append(row, tokenizer.encode(`${question} `)); // only these tokens are computed
  console.log(question, await answer());
}

// Two ways on from here. They share what was stored of the conversation so far.
const branch = session.fork(row, { temperature: 1, seed: 7 });
await session.append(row, tokenizer.encode("Italy? "));
await session.append(branch, tokenizer.encode("Peru? "));
console.log("Italy?", await answer(), "/ Peru?", await answer(branch));
console.log(`${row.tokens.length} tokens in the one, ${branch.tokens.length} in the other`);
session.dispose();
