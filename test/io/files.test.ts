import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { nodeFiles } from "../../host/platform/node-files";
import { HeedError } from "../../host/errors";
import { openCheckpoint, saveCheckpoint } from "../../host/io/checkpoint";
import { type Files, MemoryFiles } from "../../host/io/files";

const root = mkdtempSync(join(tmpdir(), "heed-files-"));
afterAll(() => rmSync(root, { recursive: true }));
const text = (content: string): Uint8Array => new TextEncoder().encode(content);

describe.each<[string, Files, string]>([
  ["MemoryFiles", new MemoryFiles(), "runs"],
  ["nodeFiles", nodeFiles, `${root}/files`],
])("%s", (_, files, folder) => {
  const read = async (name: string): Promise<string> => new TextDecoder().decode(await files.read(`${folder}/${name}`));

  it("writes, overwrites, appends, renames, lists and removes", async () => {
    expect(await files.list(folder)).toEqual([]);
    await files.makeDirectory(folder);
    await files.makeDirectory(folder);
    await files.write(`${folder}/b`, text("a long first content"));
    await files.write(`${folder}/b`, text("short"));
    await files.append(`${folder}/a`, text("1\n"));
    await files.append(`${folder}/a`, text("2\n"));
    expect(await files.list(folder)).toEqual(["a", "b"]);
    expect([await read("a"), await read("b")]).toEqual(["1\n2\n", "short"]);
    await files.rename(`${folder}/a`, `${folder}/b`);
    expect(await read("b")).toBe("1\n2\n");
    expect([await files.exists(`${folder}/a`), await files.exists(`${folder}/b`)]).toEqual([false, true]);
    await files.remove(`${folder}/b`);
    await files.remove(`${folder}/b`);
    expect(await files.list(folder)).toEqual([]);
  });

  it("keeps its own copy of the bytes", async () => {
    const bytes = text("mine");
    await files.makeDirectory(folder);
    await files.write(`${folder}/c`, bytes);
    bytes.fill(0);
    (await files.read(`${folder}/c`)).fill(0);
    expect(await read("c")).toBe("mine");
  });

  it("rejects with a HeedError that names the path", async () => {
    for (const fail of [() => files.read(`${folder}/none`), () => files.rename(`${folder}/none`, `${folder}/x`)]) {
      const error = await fail().catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(HeedError);
      expect(error).toMatchObject({ code: "file", message: expect.stringContaining(`${folder}/none`) as string });
    }
  });
});

describe("saveCheckpoint on a real disk", () => {
  const megabyte = new Uint8Array(1 << 20).fill(7);

  it("can be read back, even from a read-only folder", async () => {
    const folder = `${root}/deep/run`;
    await saveCheckpoint(nodeFiles, folder, { "model.safetensors": megabyte, "config.json": "{}" });
    await saveCheckpoint(nodeFiles, folder, { "config.json": '{"layers":2}' });
    chmodSync(folder, 0o500);
    const opened = await openCheckpoint(nodeFiles, folder);
    expect(opened.names).toEqual(["config.json", "model.safetensors"]);
    expect(await opened.readText("config.json")).toBe('{"layers":2}');
    expect(new Uint8Array(await opened.read("model.safetensors"))).toEqual(megabyte);
    chmodSync(folder, 0o700);
  });

  it("keeps the previous checkpoint when the disk is full", async ({ skip }) => {
    const disk = mkdtempSync(join(root, "disk-"));
    try {
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=3m", "tmpfs", disk], { stdio: "ignore" });
    } catch {
      skip("no right to mount a small tmpfs");
    }
    try {
      const folder = `${disk}/run`;
      await saveCheckpoint(nodeFiles, folder, { "model.safetensors": megabyte, "trainer.json": "1" });
      const entries = { "trainer.json": "2", "model.safetensors": megabyte, "optimizer.safetensors": new Uint8Array(2 << 20) };
      await expect(saveCheckpoint(nodeFiles, folder, entries)).rejects.toMatchObject({
        code: "file",
        message: expect.stringMatching(/cannot write .*optimizer\.safetensors\.heed-\w+\.next: ENOSPC.*; the previous checkpoint is intact$/) as string,
      });
      expect(readdirSync(folder).sort()).toEqual([".heed-saved.json", "model.safetensors", "trainer.json"]);
      const opened = await openCheckpoint(nodeFiles, folder);
      expect(await opened.readText("trainer.json")).toBe("1");
      expect(new Uint8Array(await opened.read("model.safetensors"))).toEqual(megabyte);
    } finally {
      execFileSync("umount", [disk]);
    }
  });
});
