import { execFileSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
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

/** A checkpoint with 0.5 in every weight; written a tensor at a time. */
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

it.each(Object.keys(half) as (keyof typeof half)[])("a model of 200 MB stored as %s loads within 1.2 times its weights", (dtype) => {
  const folder = mkdtempSync(join(root, dtype));
  const size = write(folder, dtype);
  const { grown, sum, bytes } = JSON.parse(execFileSync(process.execPath, [script, folder], { encoding: "utf8" })) as Record<string, number>;
  rmSync(folder, { recursive: true });
  expect(sum).toBe(0.5 * size);
  expect(bytes).toBeGreaterThan(200e6);
  expect(grown! / bytes!, `${dtype}: ${grown} of ${bytes} bytes`).toBeLessThan(1.2);
  expect(grown! / bytes!).toBeGreaterThan(0.9); // else nothing was measured
});
