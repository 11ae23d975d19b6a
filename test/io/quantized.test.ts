import { describe, expect, it } from "vitest";
import { CharacterTokenizer } from "../../host/data/characters";
import { HeedError } from "../../host/errors";
import { openCheckpoint } from "../../host/io/checkpoint";
import { toFloat32 } from "../../host/io/dtype";
import { MemoryFiles } from "../../host/io/files";
import { type AnyModel, loadModel, saveModel } from "../../host/io/model";
import { readSafetensors, writeSafetensors } from "../../host/io/safetensors";
import { GPT } from "../../host/models/gpt";
import { Llama } from "../../host/models/llama";
import { Transformer, transformerPresets } from "../../host/models/transformer";
import { createRuntime } from "../graph/runtime";

const tokenizer = CharacterTokenizer.of(["abcdefghijklm"]);
const models: Record<string, () => AnyModel> = {
  gpt: () => new GPT({ vocabulary: 13, block: 8, layers: 1, heads: 3, width: 39, bias: true }),
  llama: () => new Llama({ vocabulary: 13, block: 8, layers: 1, heads: 4, keyValueHeads: 2, width: 40, hidden: 67 }),
  transformer: () => new Transformer({ ...transformerPresets.tiny, vocabulary: 13, width: 36, hidden: 70, heads: 2 }),
};
const formats = ["int8", "int8row", "int4"] as const;

async function saved(type: string, format?: (typeof formats)[number], weights?: AnyModel["weights"]): Promise<{ files: MemoryFiles; model: AnyModel }> {
  const files = new MemoryFiles();
  const model = models[type]!().place(await createRuntime(), { seed: 3, format });
  if (weights) model.weights.write(weights.read());
  await saveModel(files, "m", { model, tokenizer, seed: 5 });
  return { files, model };
}

describe.each(formats)("a model saved as %s", (format) => {
  it.each(Object.keys(models))("loads to the same integers: %s", async (type) => {
    const { files, model } = await saved(type, format);
    const loaded = await loadModel(await createRuntime(), await openCheckpoint(files, "m"));
    expect(loaded.config).toMatchObject({ format, seed: 5, type });
    expect([...loaded.model.weights.parameters.values()].map((parameter) => parameter.format)).toEqual([...model.weights.parameters.values()].map((parameter) => parameter.format));
    expect(loaded.model.weights.read()).toEqual(model.weights.read());
    const again = new MemoryFiles();
    await saveModel(again, "m", { ...loaded, seed: 5 });
    expect(await again.read("m/model.safetensors")).toEqual(await files.read("m/model.safetensors"));
  });

  it("loads as f32, and as panels, with the values of its integers", async () => {
    const { files, model } = await saved("gpt", format);
    const checkpoint = await openCheckpoint(files, "m");
    for (const as of ["f32", "panels"] as const) {
      const { model: loaded } = await loadModel(await createRuntime(), checkpoint, { format: as });
      expect(loaded.weights.read()).toEqual(model.weights.read());
      expect(loaded.weights.parameters.get("embedding.weight")!.format).toBe(as);
    }
    expect((await loadModel(await createRuntime(), checkpoint, { format: "fastest" })).model.weights.parameters.get("embedding.weight")!.format).toBe(format);
  });

  it("takes the bytes that its tensors say, and each value is within half a scale of the original", async () => {
    const { model: whole } = await saved("gpt");
    const { files } = await saved("gpt", format, whole.weights);
    const { tensors } = readSafetensors(await files.read("m/model.safetensors"));
    const [R, C] = [13, 39];
    const stored = tensors.get("embedding.weight")!;
    const scales = tensors.get("embedding.weight.scales")!;
    expect([stored.dtype, stored.shape]).toEqual(format === "int4" ? ["U8", [R, 20]] : ["I8", [R, C]]);
    expect([scales.dtype, scales.shape]).toEqual(["F16", [R, format === "int8row" ? 1 : 2]]);
    const original = whole.weights.read().get("embedding.weight")!.data;
    const factors = toFloat32(scales);
    for (let i = 0; i < R * C; i++) {
      const [r, c] = [Math.floor(i / C), i % C];
      const byte = stored.data[format === "int4" ? r * 20 + (c >> 1) : i] as number;
      const q = format === "int4" ? (c % 2 ? byte >> 4 : byte & 15) - 8 : byte;
      const scale = factors[format === "int8row" ? r : 2 * r + (c >> 5)]!;
      expect(Math.abs(q * scale - original[i]!)).toBeLessThanOrEqual(scale / 2 + 1e-9);
    }
  });
});

describe("loadModel with integers", () => {
  it("refuses files whose integers, scales or format do not fit, naming each tensor", async () => {
    const { files } = await saved("gpt", "int8");
    const rewrite = async (change: (tensors: Map<string, never>) => void): Promise<MemoryFiles> => {
      const copy = new MemoryFiles();
      for (const name of ["config.json", "tokenizer.json"]) await copy.write(`m/${name}`, await files.read(`m/${name}`));
      const tensors = new Map(readSafetensors(await files.read("m/model.safetensors")).tensors) as Map<string, never>;
      change(tensors);
      await copy.write("m/model.safetensors", writeSafetensors(tensors));
      return copy;
    };
    const load = async (from: MemoryFiles) => loadModel(await createRuntime(), await openCheckpoint(from, "m"));
    await expect(load(await rewrite((tensors) => tensors.delete("embedding.weight.scales")))).rejects.toThrow("embedding.weight.scales");
    const floats = { dtype: "F32", shape: [13, 39], data: new Float32Array(13 * 39) } as never;
    await expect(load(await rewrite((tensors) => tensors.set("embedding.weight", floats)))).rejects.toThrow("tensor embedding.weight: expected I8, got F32");
    const nan = { dtype: "F16", shape: [13, 2], data: new Uint16Array(26).fill(0x7e00) } as never;
    await expect(load(await rewrite((tensors) => tensors.set("embedding.weight.scales", nan)))).rejects.toThrow(HeedError);
    const plain = await rewrite(() => undefined);
    await plain.write("m/config.json", new TextEncoder().encode(new TextDecoder().decode(await files.read("m/config.json")).replace('"int8"', '"int5"')));
    await expect(load(plain)).rejects.toThrow('format: expected "int8" or "int8row" or "int4", got "int5"');
  });

  it("refuses to quantize weights that are not finite, with the file, the weight and the place", async () => {
    const { model } = await saved("gpt");
    const weights = model.weights.read();
    weights.get("embedding.weight")!.data[41] = NaN;
    model.weights.write(weights);
    const broken = new MemoryFiles();
    await saveModel(broken, "m", { model, tokenizer });
    await expect(loadModel(await createRuntime(), await openCheckpoint(broken, "m"), { format: "int8" })).rejects.toThrow(/^m\/model.safetensors: embedding.weight: int8 stores finite numbers .* got NaN in row 1, column 2$/);
  });
});
