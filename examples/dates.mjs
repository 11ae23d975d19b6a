// The fifteen lines of the README: a Transformer learns to convert dates to ISO 8601.
//   node examples/dates.mjs
import { greedy, Runtime, Trainer, Transformer, transformerPresets, vaswaniAdam } from "heed";
import { CharacterTokenizer, dates, pairBatch, SPECIALS } from "heed/data";

const { train } = dates({ seed: 1, train: 25_600 }); // { text: "Sunday, March 3rd, 2019", iso: "2019-03-03" }, …
const tokenizer = CharacterTokenizer.of(train.flatMap(({ text, iso }) => [text, iso]), { specials: SPECIALS });
const pairs = train.map(({ text, iso }) => ({ source: tokenizer.encode(text), target: tokenizer.encode(iso) }));
const { pad, bos, eos } = tokenizer.specials;

const model = new Transformer({ ...transformerPresets.tiny, vocabulary: tokenizer.size });
model.place(await Runtime.create(), { seed: 1 });
const trainer = new Trainer(model, { batch: (step) => pairBatch(pairs.slice(32 * step, 32 * step + 32), { pad, bos, eos }) }, {
  steps: 800, schedule: { kind: "linear", peak: 5e-3, warmup: 100 }, optimizer: vaswaniAdam, clip: 1,
});
for await (const event of trainer.run()) if (event.type === "step" && event.step % 100 === 0) console.log(event.step, event.loss);

const [ids] = await greedy(model, [tokenizer.encode("the third of March 2019")], { start: bos, end: eos });
console.log(tokenizer.decode(ids)); // 2019-03-03
