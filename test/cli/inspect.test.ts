import { ftruncateSync, openSync, closeSync, mkdirSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { writeSafetensors, type StoredTensor } from "../../host/io";
import { run, temporaryFolder } from "./command";

const { path, file } = temporaryFolder();
const escape = "\u001b]0;owned\u0007\u202e\n";
const unsafe = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;
const one: StoredTensor = { dtype: "F32", shape: [1], data: Float32Array.of(1) };

/** A file that is all holes after its first bytes: it takes no space on the disk. */
function sparse(name: string, first: Uint8Array, size: number): string {
  const descriptor = openSync(file(name, first), "r+");
  ftruncateSync(descriptor, size);
  closeSync(descriptor);
  return path(name);
}

describe("heed inspect, of an untrusted file", () => {
  it("prints names and metadata with escapes, and the same names as JSON", async () => {
    const hostile = file("hostile.safetensors", writeSafetensors(new Map([[`w${escape}`, one]]), new Map([[escape, escape]])));
    const { stdout } = await run(["inspect", hostile]);
    expect(stdout.replaceAll("\n", "")).not.toMatch(unsafe);
    expect(stdout).toContain("w\\u001b]0;owned\\u0007\\u202e\\n");
    const { json, stdout: text } = await run(["inspect", hostile, "--json"]);
    expect(text.trimEnd()).not.toMatch(unsafe);
    expect(json).toMatchObject({ metadata: { [escape]: escape }, tensors: [{ name: `w${escape}` }] });
  });

  it("prints errors with escapes, in bounded length, under --debug too: journals, configs, headers", async () => {
    const folder = path("checkpoint");
    mkdirSync(folder);
    writeFileSync(`${folder}/commit.json`, escape.repeat(10_000));
    const journal = await run(["inspect", folder, "--debug"]);
    writeFileSync(`${folder}/commit.json`, JSON.stringify({ format: "heed-commit-1", replace: [], remove: ["commit.json"] }).replace('["commit.json"]', "[]"));
    writeFileSync(`${folder}/config.json`, JSON.stringify({ type: "gpt", model: { [escape.repeat(1000)]: escape.repeat(1000) } }));
    const config = await run(["inspect", folder]);
    writeFileSync(`${folder}/config.json`, `{"type": "${escape}`);
    const json = await run(["inspect", folder]);
    const header = await run(["inspect", file("broken.safetensors", Buffer.concat([Buffer.from(writeSafetensors(new Map([["w", one]]))).subarray(0, 9), Buffer.from(escape)]))]);
    for (const { code, stderr } of [journal, config, json, header]) {
      expect(code).toBe(1);
      expect(stderr.replaceAll("\n", "")).not.toMatch(unsafe);
      expect(stderr.length).toBeLessThan(4000);
    }
    expect(config.stderr).toContain('unknown field "\\u001b]0;owned');
  });

  it.each<[string, Uint8Array, string]>([
    ["text", Buffer.from("hello world, hello world"), "got text"],
    ["a gzip file", gzipSync("x"), "got a gzip file; decompress it first"],
    ["a PyTorch file", Buffer.from("PK\u0003\u0004......................"), "got a zip archive, as PyTorch's .pt and .bin files are; convert it to safetensors"],
    ["a GGUF file", Buffer.from("GGUF\u0003......................"), "got a GGUF file; convert it to safetensors"],
    ["other bytes", Uint8Array.of(1, 2, 0xff), "got other data, which starts with the bytes 01 02 ff"],
  ])("says what %s is", async (name, bytes, message) => {
    const { code, stderr } = await run(["inspect", file(`${name}.bin`, bytes)]);
    expect({ code, stderr }).toEqual({ code: 1, stderr: `heed: ${path(`${name}.bin`)}: expected a .safetensors file or a WebAssembly module, ${message}\n` });
  });

  it("reads only the header of files beyond 2 GiB, whatever their name, and says what the others are not", async () => {
    const elements = 3 * 2 ** 30;
    const header = `{"w":{"dtype":"U8","shape":[${elements}],"data_offsets":[0,${elements}]}}`.padEnd(72);
    const first = new Uint8Array(80);
    new DataView(first.buffer).setBigUint64(0, 72n, true);
    first.set(new TextEncoder().encode(header), 8);
    for (const name of ["large.safetensors", "large.model"]) {
      const { stdout } = await run(["inspect", sparse(name, first, 80 + elements)]);
      expect(stdout).toContain("1 tensors, 3,221,225,472 elements, 3.00 GiB");
    }
    const { code, stderr } = await run(["inspect", sparse("large.bin", Buffer.from("PK\u0003\u0004"), elements)]);
    expect([code, stderr]).toEqual([1, expect.stringContaining("large.bin: expected a .safetensors file or a WebAssembly module, got a zip archive")]);
  });
});
