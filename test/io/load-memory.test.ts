import { execFileSync } from "node:child_process";
import { closeSync, copyFileSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, it } from "vitest";
import { CharacterTokenizer } from "../../host/data/characters";
import { arrayTypes } from "../../host/io/dtype";
import { GPT } from "../../host/models/gpt";

const root = mkdtempSync(join(tmpdir(), "heed-memory-"));
afterAll(() => rmSync(root, { recursive: true }));
const script = fileURLToPath(new URL("load-memory.mjs", import.meta.url));

/** 50 million parameters: 200 MB as f32. */
const config = { vocabulary: 256, block: 64, layers: 4, heads: 16, width: 1024 };
const half = { F32: 0.5, F16: 0x3800, BF16: 0x3f00, F64: 0.5 };

/** A checkpoint with 0.5 in every weight, written one tensor at a time. */
function write(folder: string, dtype: keyof typeof half): number {
  writeFileSync(`${folder}/config.json`, JSON.stringify({ type: "gpt", model: config }));
  writeFileSync(`${folder}/tokenizer.json`, JSON.stringify(CharacterTokenizer.of(["abc"])));
  const parameters = [...new GPT(config).parameters()];
  const type = arrayTypes[dtype];
  let end = 0;
  const header = Object.fromEntries(parameters.map(([name, { shape, size }]) => [name, { dtype, shape, data_offsets: [end, (end += size * type.BYTES_PER_ELEMENT)] }]));
  const text = new TextEncoder().encode(JSON.stringify(header));
  const start = new Uint8Array(8 + text.length);
  new DataView(start.buffer).setBigUint64(0, BigInt(text.length), true);
  start.set(text, 8);
  const file = openSync(`${folder}/model.safetensors`, "w");
  writeSync(file, start);
  for (const [, { size }] of parameters) writeSync(file, new type(size).fill(half[dtype]));
  closeSync(file);
  return parameters.reduce((sum, [, { size }]) => sum + size, 0);
}

/** The peak as a multiple of the size of what was loaded, and the sum of all values. */
function load(folder: string, what: "model" | "snapshot"): { ratio: number; sum: number; bytes: number } {
  const printed = execFileSync(process.execPath, [script, folder, what], { encoding: "utf8" });
  const { grown, sum, bytes } = JSON.parse(printed) as { grown: number; sum: number; bytes: number };
  return { ratio: grown / bytes, sum, bytes };
}

function expectWithin({ ratio }: { ratio: number }): void {
  expect(ratio).toBeLessThan(1.2);
  expect(ratio).toBeGreaterThan(0.9); // otherwise nothing was measured
}

it.each(Object.keys(half) as (keyof typeof half)[])("a model of 200 MB stored as %s loads within 1.2 times its weights", (dtype) => {
  const folder = mkdtempSync(join(root, dtype));
  const size = write(folder, dtype);
  const loaded = load(folder, "model");
  rmSync(folder, { recursive: true });
  expect(loaded).toMatchObject({ sum: 0.5 * size, bytes: 4 * size });
  expectWithin(loaded);
});

it("a snapshot of 400 MB loads within 1.2 times its arrays", () => {
  const folder = mkdtempSync(join(root, "snapshot"));
  const size = write(folder, "F32");
  copyFileSync(`${folder}/model.safetensors`, `${folder}/optimizer.safetensors`);
  const loaded = load(folder, "snapshot");
  expect(loaded).toMatchObject({ sum: size, bytes: 8 * size });
  expectWithin(loaded);
});
