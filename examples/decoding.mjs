// Ways to decode: a stream of text, the best of several beams, the probability of a text, a session saved as bytes, and what a model attends
// to. It trains for a few seconds first.
//   node examples/decoding.mjs
import { attentionWeights, beamSearch, Llama, Runtime, score, Session, streamText, Trainer } from "heed";
import { CharacterTokenizer, languageModelBatches } from "heed/data";

const lines = ["France? Paris.\n", "Italy? Rome.\n", "Spain? Madrid.\n", "Norway? Oslo.\n", "Peru? Lima.\n", "Japan? Tokyo.\n"];
const text = Array.from({ length: 600 }, (_, i) => lines[(i * i + (i >> 3)) % lines.length]).join("");
const tokenizer = CharacterTokenizer.of([text]);
const batches = languageModelBatches(Int32Array.from(tokenizer.encode(text)), { batch: 8, block: 64 });
const [newline] = tokenizer.encode("\n");

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

// A stream: pieces of text as they are generated, up to a stop string.
const stream = streamText(model, tokenizer, "France? ", { temperature: 0.3, topP: 0.9, seed: 1, stop: ["\n"] });
for await (const piece of stream) process.stdout.write(piece);
console.log(` (${stream.result?.reason} after ${stream.result?.tokens} tokens)`);

// Beam search: the best hypotheses, with their scores.
const [found] = await beamSearch(model, [{ tokens: tokenizer.encode("Spain? ") }], { end: newline, beams: 3, nBest: 2, maxTokens: 16 });
for (const { ids, score } of found) console.log(tokenizer.decode(ids), score > -10);

// How likely the model finds a text.
const [known, strange] = [await score(model, tokenizer.encode("Japan? Tokyo.\n")), await score(model, tokenizer.encode("Japan? Lima.\n"))];
console.log(known.perplexity < strange.perplexity); // true

// A session as bytes: another process, or a page after a reload, continues without reading the text again.
const session = new Session(model, { rows: 1 });
await session.open([{ tokens: tokenizer.encode("Peru?") }]);
const bytes = session.save();
session.dispose();
const restored = Session.restore(model, bytes, { rows: 1 });
const [row] = restored.openedRows;
while (row.tokens.at(-1) !== newline) await restored.step([row]);
console.log(tokenizer.decode(row.tokens).trim());
restored.dispose();

// What the last token of a question attends to, in the first head of the first layer.
const ids = tokenizer.encode("Norway? ");
const batch = { tokens: { shape: [1, ids.length], data: Int32Array.from(ids) }, targets: { shape: [1, ids.length], data: Int32Array.from(ids) } };
const weights = attentionWeights(model, batch).get("layers.0.attention")?.data ?? new Float32Array(0);
console.log(weights.slice(ids.length * (ids.length - 1), ids.length ** 2).length); // 8 weights, one for each character
