import { expect, it } from "vitest";
import { trainBPE } from "../../host/data/bpe";
import { CharacterTokenizer } from "../../host/data/characters";
import { SPECIALS } from "../../host/data/tokenizer";
import { generate } from "../../host/decode/generate";
import { greedy } from "../../host/decode/greedy";
import { HeedError } from "../../host/errors";
import { openCheckpoint, recoverCheckpoint } from "../../host/io/checkpoint";
import { MemoryFiles } from "../../host/io/files";
import { type AnyModel, loadModel, type LoadedModel, saveModel } from "../../host/io/model";
import { GPT } from "../../host/models/gpt";
import { Llama } from "../../host/models/llama";
import { Transformer, transformerPresets } from "../../host/models/transformer";
import { createRuntime } from "../graph/runtime";
import { attack, type Dice, mutateBytes, mutateJson } from "./mutate";
import { rounds } from "./settings";

const runtime = await createRuntime();
const tokenizer = CharacterTokenizer.of(["abcdefgh"], { specials: SPECIALS });
const bpe = trainBPE(["low lower"], { vocabularySize: 262 });
const models: AnyModel[] = [
  new GPT({ vocabulary: 12, block: 8, layers: 1, heads: 2, width: 8 }),
  new Llama({ vocabulary: 262, block: 8, layers: 1, heads: 2, keyValueHeads: 1, width: 8, hidden: 12 }),
  new Transformer({ ...transformerPresets.tiny, vocabulary: 12, width: 8, hidden: 8, heads: 2, encoderLayers: 1, decoderLayers: 1, padding: 0 }),
];

async function folderOf(model: AnyModel, index: number): Promise<Map<string, Uint8Array>> {
  const files = new MemoryFiles();
  model.place(runtime, { seed: 1 });
  await saveModel(files, "m", { model, tokenizer: index === 1 ? bpe : tokenizer });
  model.dispose();
  const names = await files.list("m");
  return new Map(await Promise.all(names.map(async (name): Promise<[string, Uint8Array]> => [name, await files.read(`m/${name}`)])));
}

const folders = await Promise.all(models.map(folderOf));
const numbers = [0, 1, 2, 3, 7, 8, 16, 1000, 1001, 2 ** 16, 2 ** 31, 2 ** 32, 2 ** 53, 1e300, -1, 0.5];

/** A folder with one to three changed files, and now and then a journal of nonsense. */
async function mutatedFolder(dice: Dice): Promise<MemoryFiles> {
  const files = new MemoryFiles();
  const folder = dice.pick(folders);
  for (const [name, bytes] of folder) {
    const isChanged = dice.below(3) === 0;
    const isJson = name.endsWith(".json");
    if (isChanged && dice.below(12) === 0) continue; // missing
    if (isChanged && name === "config.json") await files.write(`m/${name}`, mutatedConfig(dice, bytes));
    else if (isChanged && isJson && dice.below(2) === 0) {
      await files.write(`m/${name}`, new TextEncoder().encode(stringify(mutateJson(dice, JSON.parse(new TextDecoder().decode(bytes)) as object))));
    } else await files.write(`m/${name}`, isChanged ? mutateBytes(dice, bytes) : bytes);
  }
  if (dice.below(10) === 0) {
    const journal = { format: "heed-commit-1", replace: ["config.json", "model.safetensors"], remove: ["tokenizer.json"] };
    await files.write("m/commit.json", new TextEncoder().encode(stringify(mutateJson(dice, journal))));
  }
  return files;
}

/** A config whose numbers change more often than its structure: those reach the constructors and the planner. */
function mutatedConfig(dice: Dice, bytes: Uint8Array): Uint8Array {
  const config = JSON.parse(new TextDecoder().decode(bytes)) as { model: Record<string, unknown> };
  if (dice.below(3) === 0) return new TextEncoder().encode(stringify(mutateJson(dice, config)));
  for (let edits = 1 + dice.below(2); edits > 0; edits--) config.model[dice.pick(Object.keys(config.model))] = dice.pick(numbers);
  return new TextEncoder().encode(JSON.stringify(config));
}

/** JSON of values that are nested too deep for JSON.stringify is cut to their first level. */
function stringify(value: object): string {
  try {
    return JSON.stringify(value);
  } catch {
    return "[".repeat(100_000);
  }
}

async function use(loaded: LoadedModel): Promise<void> {
  const { model } = loaded;
  try {
    if (loaded.type === "transformer") await greedy(loaded.model, [[1, 2]], { start: 1, end: 2, maxTokens: 3 });
    else for await (const ids of generate(loaded.model, [[1, 2]], { maxTokens: 3 })) expect(Number.isInteger(ids[0])).toBe(true);
  } finally {
    model.dispose();
  }
}

it("a mutated checkpoint loads and generates, or ends in a HeedError: no other error, trap or hang", async () => {
  let loadedCount = 0;
  await attack("checkpoints", rounds(4000), 20, async (dice) => {
    const files = await mutatedFolder(dice);
    try {
      if (dice.below(4) === 0) await recoverCheckpoint(files, "m");
      const loaded = await loadModel(runtime, await openCheckpoint(files, "m"));
      await use(loaded);
      loadedCount++;
    } catch (error) {
      if (!(error instanceof HeedError)) throw error;
      expect([error.message.slice(0, 300), error.message.length < 20_000]).toEqual([error.message.slice(0, 300), true]);
      expect(error.message.replaceAll("\n", "")).not.toMatch(/[\p{Cc}\p{Cf}]/u);
    }
  });
  expect(loadedCount).toBeGreaterThan(rounds(4000) / 20);
});
