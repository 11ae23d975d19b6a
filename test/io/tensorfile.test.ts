import { mkdtempSync, openSync, closeSync, ftruncateSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { GPT } from "../../host/models/gpt";
import { HeedError } from "../../host/errors";
import { openCheckpoint, saveCheckpoint } from "../../host/io/checkpoint";
import { type Dtype, type StoredTensor, toFloat32 } from "../../host/io/dtype";
import { MemoryFiles, type OpenFile } from "../../host/io/files";
import { loadModel, readSnapshot, saveModel } from "../../host/io/model";
import { readSafetensors, writeSafetensors } from "../../host/io/safetensors";
import { TensorFile } from "../../host/io/tensorfile";
import { nodeFiles } from "../../host/platform/node-files";
import { CharacterTokenizer } from "../../host/data/characters";
import { createRuntime } from "../graph/runtime";
import { randomArray } from "../random";

const root = mkdtempSync(join(tmpdir(), "heed-tensors-"));
afterAll(() => rmSync(root, { recursive: true }));

/** An open file with these bytes that records which ranges are read, and whether it was closed. */
function recorded(bytes: Uint8Array): OpenFile & { reads: [number, number][]; closed: number } {
  return {
    size: bytes.length, reads: [], closed: 0,
    async read(into, position) {
      this.reads.push([position, into.length]);
      into.set(bytes.subarray(position, position + into.length));
    },
    async close() {
      this.closed++;
    },
  };
}

const f32 = (length: number, seed: number): StoredTensor => ({ dtype: "F32", shape: [length], data: randomArray(length, seed) });

async function readAll(file: TensorFile, name: string, length: number): Promise<Float32Array> {
  const out = new Float32Array(length).fill(NaN);
  await file.readFloat32(name, (values, from) => out.set(values, from));
  return out;
}

describe("TensorFile", () => {
  it("reads the same elements as readSafetensors, in every floating-point dtype, at sizes around a chunk", async () => {
    for (const length of [0, 1, 1000, 2 ** 19 - 1, 2 ** 19 + 1, 2 ** 20, 2 ** 20 + 3]) {
      const bits = Uint16Array.from({ length }, (_, i) => (i * 40503) & 0x7bff);
      const tensors = new Map<string, StoredTensor>([
        ["single", f32(length, 1)],
        ["half", { dtype: "F16", shape: [length], data: bits }],
        ["brain", { dtype: "BF16", shape: [length], data: bits }],
        ["double", { dtype: "F64", shape: [length], data: Float64Array.from(randomArray(length, 2)) }],
      ]);
      const bytes = writeSafetensors(tensors, new Map([["format", "pt"]]));
      const file = await TensorFile.open(recorded(bytes), "x");
      expect([...file.tensors.keys()]).toEqual([...readSafetensors(bytes).tensors.keys()]);
      expect(file.metadata).toEqual(new Map([["format", "pt"]]));
      for (const [name, tensor] of tensors) expect(Buffer.compare(new Uint8Array((await readAll(file, name, length)).buffer), new Uint8Array(toFloat32(tensor).slice().buffer))).toBe(0);
    }
  });

  it("reads the header, then only the requested tensor", async () => {
    const bytes = writeSafetensors(new Map([["a", f32(1000, 1)], ["b", f32(10, 2)]]));
    const file = recorded(bytes);
    const opened = await TensorFile.open(file, "x");
    expect(file.reads).toEqual([[0, 8], [8, bytes.length - 8 - 4040]]);
    await readAll(opened, "b", 10);
    expect(file.reads.slice(2)).toEqual([[bytes.length - 40, 40]]);
    await opened.close();
    expect(file.closed).toBe(1);
  });

  it("rejects what readSafetensors rejects, naming the file, and closes it", async () => {
    const good = writeSafetensors(new Map([["a", f32(4, 1)]]));
    for (const bytes of [new Uint8Array(0), good.subarray(0, 7), good.subarray(0, 20), good.subarray(0, -1), Uint8Array.of(...good, 0), new TextEncoder().encode("not a model at all")]) {
      const message = (() => {
        try {
          readSafetensors(bytes);
        } catch (error) {
          return (error as Error).message;
        }
      })();
      const file = recorded(bytes);
      await expect(TensorFile.open(file, "m.safetensors")).rejects.toMatchObject({ code: "format", message: `m.safetensors: ${message}`, file: "m.safetensors" });
      expect(file.closed).toBe(1);
    }
  });

  it("names a tensor that is missing or cannot be read as f32", async () => {
    const file = await TensorFile.open(recorded(writeSafetensors(new Map<string, StoredTensor>([["a", f32(1, 1)], ["n", { dtype: "I32", shape: [1], data: Int32Array.of(1) }]]))), "x");
    await expect(readAll(file, "b", 1)).rejects.toThrow(new HeedError("checkpoint", "x: expected a tensor b, found a, n", { file: "x" }));
    await expect(readAll(file, "n", 1)).rejects.toThrow("x: tensor n: expected floating-point numbers, got I32");
    expect(() => file.check(new Map([["a", [1]], ["n", [1]]]))).toThrow("x: tensor n: expected floating-point numbers, got I32");
    expect(() => file.check(new Map([["a", [2]]]))).toThrow("x: 2 tensors do not match the model:\n  wrong shape: a: expected [2], got [1]\n  unexpected: n [1]");
  });

  it("reads ranges of files beyond 2 GiB", async () => {
    const elements = 2 ** 29 + 5; // 2 GiB and 20 bytes; the file is sparse
    const header = JSON.stringify({ hole: { dtype: "F32", shape: [elements], data_offsets: [0, 4 * elements] }, end: { dtype: "F32", shape: [2], data_offsets: [4 * elements, 4 * elements + 8] } });
    const path = `${root}/large.safetensors`;
    const start = new Uint8Array(8 + header.length);
    new DataView(start.buffer).setBigUint64(0, BigInt(header.length), true);
    start.set(new TextEncoder().encode(header), 8);
    const descriptor = openSync(path, "w");
    writeSync(descriptor, start);
    ftruncateSync(descriptor, start.length + 4 * elements);
    writeSync(descriptor, new Uint8Array(Float32Array.of(1.5, -2).buffer), 0, 8, start.length + 4 * elements);
    closeSync(descriptor);
    const file = await TensorFile.open(await nodeFiles.open(path), path);
    expect([...(await readAll(file, "end", 2))]).toEqual([1.5, -2]);
    await file.close();
  });
});

describe("loadModel", () => {
  const tokenizer = CharacterTokenizer.of(["abc"]);
  const config = { vocabulary: 3, block: 4, layers: 1, heads: 1, width: 4 };

  async function saved(): Promise<{ files: MemoryFiles; weights: Map<string, { shape: readonly number[]; data: Float32Array }> }> {
    const files = new MemoryFiles();
    const model = new GPT(config).place(await createRuntime(), { seed: 3 });
    await saveModel(files, "m", { model, tokenizer });
    return { files, weights: model.weights.read() };
  }

  async function store(files: MemoryFiles, tensors: Map<string, StoredTensor>): Promise<void> {
    await saveCheckpoint(files, "m", { "model.safetensors": writeSafetensors(tensors) });
  }

  it.each<Dtype>(["F32", "F16", "BF16", "F64"])("reads weights that are stored as %s", async (dtype) => {
    const { files, weights } = await saved();
    const stored = new Map(Array.from(weights, ([name, { shape, data }]): [string, StoredTensor] => {
      const bits = Uint16Array.from(data, (_, i) => (i * 40503) & 0x7bff);
      const array = dtype === "F32" ? data : dtype === "F64" ? Float64Array.from(data) : bits;
      return [name, { dtype, shape, data: array } as StoredTensor];
    }));
    await store(files, stored);
    const { model } = await loadModel(await createRuntime(), await openCheckpoint(files, "m"));
    for (const [name, { data }] of model.weights.read()) expect(data).toEqual(toFloat32(stored.get(name)!));
  });

  it("frees the memory if a file cannot be read completely", async () => {
    const { files } = await saved();
    const runtime = await createRuntime();
    const load = async () => loadModel(runtime, await openCheckpoint(files, "m"));
    (await load()).model.dispose(); // the arena remains allocated
    const before = runtime.memory.used;
    const open = files.open.bind(files);
    files.open = async (path) => {
      const file = await open(path);
      let reads = 0;
      return { ...file, read: (into, position) => (++reads > 4 ? Promise.reject(new HeedError("file", "the disk was removed")) : file.read(into, position)) };
    };
    await expect(load()).rejects.toThrow(new HeedError("file", "m/model.safetensors: the disk was removed", { file: "m/model.safetensors" }));
    expect(runtime.memory.used).toBe(before);
  });

  it("reads the original file completely even if a save replaces it meanwhile", async () => {
    const files = nodeFiles;
    const { weights } = await saved();
    const path = `${root}/replaced.safetensors`;
    const tensors = new Map(Array.from(weights, ([name, { shape, data }]): [string, StoredTensor] => [name, { dtype: "F32", shape, data }]));
    await files.write(path, writeSafetensors(tensors));
    const file = await TensorFile.open(await files.open(path), path);
    await files.write(`${path}.next`, new Uint8Array(10));
    await files.rename(`${path}.next`, path);
    for (const [name, { data }] of weights) expect(await readAll(file, name, data.length)).toEqual(data);
    await file.close();
  });
});

describe("readSnapshot", () => {
  it("needs only the names and shapes of the arrays, and returns the arrays", async () => {
    const files = new MemoryFiles();
    const arrays = new Map([["a", f32(6, 1)], ["b", f32(3, 2)]]);
    await saveCheckpoint(files, "s", { "model.safetensors": writeSafetensors(arrays), "optimizer.safetensors": writeSafetensors(arrays) });
    const like = new Map([["a", { shape: [6] }], ["b", { shape: [3] }]]);
    const state = { step: 1, updates: 1, skipped: 0, validatedStep: 0, bestStep: 0, bestLoss: null, stale: 0 };
    const { best, training } = await readSnapshot(await openCheckpoint(files, "s"), state, { best: like, training: like });
    for (const read of [best, training]) for (const [name, { data }] of arrays) expect(read.get(name)!.data).toEqual(data);
    const wrong = new Map([["a", { shape: [7] }]]);
    await expect(readSnapshot(await openCheckpoint(files, "s"), state, { best: like, training: wrong })).rejects.toThrow("s/optimizer.safetensors: 2 tensors do not match");
  });
});

describe("Weights.writer", () => {
  it("writes chunks at their offsets, and rejects other names and ranges", async () => {
    const model = new GPT(config()).place(await createRuntime());
    const write = model.weights.writer("norm.weight");
    write(Float32Array.of(7, 8), 1);
    expect([...model.weights.read().get("norm.weight")!.data]).toEqual([1, 7, 8, 1]);
    expect(() => model.weights.writer("norm.wait")).toThrow(RangeError);
    for (const [length, from] of [[5, 0], [1, 4], [1, -1], [1, 0.5]] as const) expect(() => write(new Float32Array(length), from)).toThrow(RangeError);
  });

  const config = () => ({ vocabulary: 3, block: 4, layers: 1, heads: 1, width: 4 });
});
