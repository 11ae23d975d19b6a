import { describe, expect, it } from "vitest";
import { CharacterTokenizer } from "../../host/data/characters";
import { HeedError } from "../../host/errors";
import { openCheckpoint, saveCheckpoint } from "../../host/io/checkpoint";
import { MemoryFiles } from "../../host/io/files";
import { type AnyModel, loadModel, parseConfig, saveModel } from "../../host/io/model";
import { families } from "../../host/models/families";
import { GPT } from "../../host/models/gpt";
import { Llama } from "../../host/models/llama";
import { Transformer, transformerPresets } from "../../host/models/transformer";
import { createRuntime } from "../graph/runtime";
import { Digits } from "../models/digits";

const tokenizer = CharacterTokenizer.of(["abc"]);
const models = {
  gpt: () => new GPT({ vocabulary: 3, block: 4, layers: 2, heads: 2, width: 8, bias: true, activation: "geluTanh", tied: false, epsilon: 1e-3 }),
  llama: () => new Llama({ vocabulary: 3, block: 4, layers: 2, heads: 4, keyValueHeads: 2, headSize: 4, width: 8, hidden: 12, rotaryBase: 500, tied: true }),
  transformer: () => new Transformer({ ...transformerPresets.tiny, vocabulary: 3, width: 8, hidden: 8, heads: 2, padding: 1 }),
};
type Type = keyof typeof models;

async function save(type: Type): Promise<{ files: MemoryFiles; model: AnyModel }> {
  const files = new MemoryFiles();
  const model = models[type]().place(await createRuntime(), { seed: 3 });
  await saveModel(files, "m", { model, tokenizer });
  return { files, model };
}

describe("saveModel and loadModel", () => {
  it("are tested with every family", () => expect(Object.keys(models).sort()).toEqual(Object.keys(families).sort()));

  it.each(Object.keys(models) as Type[])("restore a %s with its type, every field of its config, and bit-identical weights", async (type) => {
    const { files, model } = await save(type);
    const loaded = await loadModel(await createRuntime(), await openCheckpoint(files, "m"));
    expect(loaded.type).toBe(type);
    expect(loaded.model).toBeInstanceOf(families[type].Model);
    expect(loaded.model.config).toEqual(model.config);
    expect(loaded.model.weights.read()).toEqual(model.weights.read());
    expect(loaded.tokenizer.decode([0, 1, 2])).toBe(tokenizer.decode([0, 1, 2]));
  });

  it.each<[string, () => unknown, string]>([
    ["a custom model", () => new Digits(), "Digits"],
    ["a class derived from a family's", () => new (class Mine extends GPT {})({ vocabulary: 3, block: 4, layers: 1, heads: 1, width: 4 }), "Mine"],
    ["nothing", () => undefined, "undefined"],
  ])("reject %s, and write nothing", async (_, make, name) => {
    const files = new MemoryFiles();
    const model = make() as AnyModel | undefined;
    model?.place(await createRuntime());
    const message = `saveModel: expected a model of one of heed's families (transformer, gpt, llama), got ${name}; save the weights of other models with writeSafetensors`;
    await expect(saveModel(files, "m", { model: model!, tokenizer })).rejects.toThrow(new TypeError(message));
    expect(await files.list("m")).toEqual([]);
  });

  it("reject a model without memory, and write nothing", async () => {
    const files = new MemoryFiles();
    await expect(saveModel(files, "m", { model: models.gpt(), tokenizer })).rejects.toThrow(new TypeError("the model has no memory yet: call model.place(runtime) first"));
    expect(await files.list("m")).toEqual([]);
  });

  it.each<[string, object, string]>([
    ["a width not divisible by the heads", { heads: 3 }, "m/config.json: attention: the width must be divisible by the number of heads, got width=8 heads=3"],
    ["an unknown field", { epsilom: 2 }, 'm/config.json: model: unknown field "epsilom"; did you mean "epsilon"?'],
    ["more layers than the file", { layers: 3 }, "m/model.safetensors: 12 tensors do not match the model"],
    ["a vocabulary smaller than the tokenizer's", { vocabulary: 2 }, "m: the tokenizer has 3 tokens, but the model's vocabulary only 2; they do not belong together"],
  ])("name a file with %s", async (_, changed, message) => {
    const { files, model } = await save("gpt");
    await saveCheckpoint(files, "m", { "config.json": JSON.stringify({ type: "gpt", model: { ...model.config, ...changed } }) });
    const runtime = await createRuntime();
    const before = runtime.memory.report();
    await expect(loadModel(runtime, await openCheckpoint(files, "m"))).rejects.toThrow(message);
    await expect(loadModel(runtime, await openCheckpoint(files, "m"))).rejects.toThrow(HeedError);
    expect(runtime.memory.report()).toEqual(before);
  });
});

describe("parseConfig", () => {
  it.each([
    ['{"type":"lama","model":{}}', 'type: expected "transformer" or "gpt" or "llama", got "lama"'],
    ['{"model":{}}', 'type: expected "transformer" or "gpt" or "llama", got nothing'],
    ['{"type":"llama"}', "model: expected an object, got nothing"],
    ['{"type":"llama","model":{"vocabulary":3}}', "model: block: expected an integer of at least 1, got nothing"],
    ['{"type":"gpt","model":{},"tsk":"text"}', 'unknown field "tsk"; did you mean "task"?'],
    ["[]", "expected an object with type, model, got []"],
  ])("reports what is wrong with %s", (text, message) => {
    expect(() => parseConfig(text)).toThrow(new HeedError("format", `config.json: ${message}`, { file: "config.json" }));
  });
});
