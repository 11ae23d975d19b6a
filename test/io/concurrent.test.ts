import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { HeedError } from "../../host/errors";
import { type Checkpoint, openCheckpoint, recoverCheckpoint, saveCheckpoint } from "../../host/io/checkpoint";
import { type Files, MemoryFiles } from "../../host/io/files";
import { nodeFiles } from "../../host/platform/node-files";
import { SteppedFiles } from "./steppedfiles";

const root = mkdtempSync(join(tmpdir(), "heed-concurrent-"));
afterAll(() => rmSync(root, { recursive: true }));
const toBytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Reads all files, and returns their contents. */
async function readAll(checkpoint: Checkpoint): Promise<Record<string, string>> {
  const contents: Record<string, string> = {};
  for (const name of checkpoint.names) contents[name] = await checkpoint.readText(name);
  return contents;
}

const pair = (i: number): Record<string, string> => ({ "model.safetensors": `set ${i}`, "trainer.json": `set ${i}` });

describe.each<[string, () => Files, string, string[]]>([
  ["MemoryFiles", () => new MemoryFiles(), "runs/a", ["runs/a"]],
  ["nodeFiles", () => nodeFiles, `${root}/a`, [`${root}/a`, `${root}/./a/`, `${root}//b/../a`, relative(process.cwd(), `${root}/a`)]],
])("60 saves to one folder of %s that do not wait for each other", (_, make, folder, spellings) => {
  it("are done in order, and each set is complete when its promise resolves", async () => {
    const files = make();
    const saves = Array.from({ length: 60 }, async (_, i) => {
      await saveCheckpoint(files, spellings[i % spellings.length]!, pair(i));
      return readAll(await openCheckpoint(files, folder)).catch((error: unknown) => error);
    });
    for (const [i, found] of (await Promise.all(saves)).entries()) {
      if (found instanceof HeedError) expect(found.message).toContain("replaced while it was being read");
      else {
        const [model, trainer] = Object.values(found as object) as [string, string];
        expect(trainer).toBe(model);
        expect(Number(model.slice(4))).toBeGreaterThanOrEqual(i);
      }
    }
    expect(await readAll(await openCheckpoint(files, folder))).toEqual(pair(59));
    expect(await files.list(folder)).toEqual([".heed-saved.json", "model.safetensors", "trainer.json"]);
  });
});

describe("the queue of a folder", () => {
  it("continues after a save that failed", async () => {
    const files = new MemoryFiles();
    const write = files.write.bind(files);
    let isFirst = true;
    files.write = async (path, bytes) => {
      if (isFirst) throw ((isFirst = false), new HeedError("file", "EIO"));
      return write(path, bytes);
    };
    const [first, second, third] = await Promise.allSettled([
      saveCheckpoint(files, "a", pair(1)), saveCheckpoint(files, "a", pair(2)), recoverCheckpoint(files, "./b/../a/"),
    ]);
    expect([first.status, second.status, third.status]).toEqual(["rejected", "fulfilled", "fulfilled"]);
    expect(await readAll(await openCheckpoint(files, "a"))).toEqual(pair(2));
  });
});

describe("a reader, while another process saves", () => {
  const OLD = { "model.safetensors": "old", "optimizer.safetensors": "old", "trainer.json": "old", "config.json": "same" };
  const NEW = { "model.safetensors": "new", "trainer.json": "new", "tokenizer.json": "new", "config.json": "same" };
  const change = { "model.safetensors": "new", "optimizer.safetensors": null, "trainer.json": "new", "tokenizer.json": "new" };

  /** A folder that heed saved, or one whose files were put there by hand. */
  const starts: Record<string, (files: Files) => Promise<void>> = {
    "heed saved": (files) => saveCheckpoint(files, "a", OLD),
    "was made by hand": async (files) => {
      for (const [name, text] of Object.entries(OLD)) await files.write(`a/${name}`, toBytes(text));
    },
  };

  /** The reader pauses after `reads` operations, while the writer, which has done `before` operations, goes on to `after`. */
  async function interleave(start: string, reads: number, before: number, after: number) {
    const files = new MemoryFiles();
    await starts[start]!(files);
    const [writing, reading] = [new SteppedFiles(files), new SteppedFiles(files)];
    const saved = saveCheckpoint(writing, "a", change);
    await writing.advance(before, saved);
    const read = openCheckpoint(reading, "a").then(readAll).catch((error: unknown) => error);
    await reading.advance(reads, read);
    const beforeTurn = writing.operations;
    await writing.advance(after, saved);
    await reading.advance(Infinity, read);
    const result = await read;
    await writing.advance(Infinity, saved);
    await saved;
    return { result, reads: reading.operations, writes: writing.operations, isMoved: writing.operations > beforeTurn };
  }

  it.each(Object.keys(starts))("finds one whole set in a folder that %s, or is told that it was replaced, wherever either of them pauses", async (start) => {
    const { reads, writes } = await interleave(start, 0, 0, 0);
    const counts = { old: 0, new: 0, told: 0 };
    for (let read = 0; read <= reads; read++) {
      for (let before = 0; before <= writes; before++) {
        for (let after = before; after <= writes; after++) {
          const { result } = await interleave(start, read, before, after);
          const where = `reader paused at ${read}, writer went from ${before} to ${after}`;
          if (result instanceof HeedError) {
            expect(result, where).toMatchObject({ code: "checkpoint", message: "a: the checkpoint was replaced while it was being read; open it again" });
            counts.told++;
          } else {
            expect([OLD, NEW], where).toContainEqual(result);
            counts[(result as typeof OLD)["model.safetensors"] as "old" | "new"]++;
          }
        }
      }
    }
    for (const count of Object.values(counts)) expect(count).toBeGreaterThan(100);
  });

  it("is told if the checkpoint was opened before the save, except about files that are already open", async () => {
    const files = new MemoryFiles();
    await saveCheckpoint(files, "a", OLD);
    const checkpoint = await openCheckpoint(files, "a");
    const open = await checkpoint.open("model.safetensors");
    await saveCheckpoint(files, "a", change);
    const replaced = new HeedError("checkpoint", "a: the checkpoint was replaced while it was being read; open it again");
    for (const name of ["config.json", "model.safetensors", "optimizer.safetensors"]) {
      await expect(checkpoint.read(name), name).rejects.toThrow(replaced);
      await expect(checkpoint.open(name), name).rejects.toThrow(replaced);
    }
    const bytes = new Uint8Array(open.size);
    await open.read(bytes, 0);
    expect(new TextDecoder().decode(bytes)).toBe("old");
  });

  it("closes a file that it opened too late", async () => {
    const files = new MemoryFiles();
    await saveCheckpoint(files, "a", OLD);
    const checkpoint = await openCheckpoint(files, "a");
    const open = files.open.bind(files);
    let closed = 0;
    files.open = async (path) => (path.endsWith(".safetensors") ? { ...(await open(path)), close: async () => void closed++ } : open(path));
    await saveCheckpoint(files, "a", change);
    await expect(checkpoint.open("model.safetensors")).rejects.toThrow("replaced");
    expect(closed).toBe(1);
  });

  it("gives up after 100 attempts to open a folder that never rests", async () => {
    const files = new MemoryFiles();
    await saveCheckpoint(files, "a", OLD);
    const list = files.list.bind(files);
    let lists = 0;
    files.list = async (folder) => {
      if (++lists > 200) throw new Error("endless");
      await files.write("a/.heed-saved.json", toBytes(`save ${lists}`));
      return list(folder);
    };
    await expect(openCheckpoint(files, "a")).rejects.toThrow(
      new HeedError("checkpoint", "a: the checkpoint was replaced 100 times while it was being opened; try again"),
    );
    expect(lists).toBe(100);
  });

  it("is not disturbed by the log, which grows outside the set", async () => {
    const files = new MemoryFiles();
    await saveCheckpoint(files, "a", { ...OLD, "log.jsonl": "" });
    const checkpoint = await openCheckpoint(files, "a");
    await files.append("a/log.jsonl", toBytes("{}\n"));
    expect(await readAll(checkpoint)).toEqual({ ...OLD, "log.jsonl": "{}\n" });
  });
});

describe("files that heed did not write", () => {
  it("named .next are kept by saves and recovery, also folders", async () => {
    const folder = `${root}/theirs`;
    mkdirSync(`${folder}/.next`, { recursive: true });
    await nodeFiles.write(`${folder}/notes.next`, toBytes("mine"));
    await nodeFiles.write(`${folder}/model.safetensors.next`, toBytes("mine"));
    await saveCheckpoint(nodeFiles, folder, pair(1));
    await saveCheckpoint(nodeFiles, folder, pair(2));
    await recoverCheckpoint(nodeFiles, folder);
    expect(readdirSync(folder).sort()).toEqual([".heed-saved.json", ".next", "model.safetensors", "model.safetensors.next", "notes.next", "trainer.json"]);
    expect(await readAll(await openCheckpoint(nodeFiles, folder))).toEqual(pair(2));
  });

  it("that replace heed's by hand are read as they are", async () => {
    const files = new MemoryFiles();
    await saveCheckpoint(files, "a", { ...pair(1), "config.json": null });
    await files.write("a/config.json", toBytes("by hand"));
    await files.write("a/.heed-saved.json", toBytes("garbage"));
    expect(await readAll(await openCheckpoint(files, "a"))).toEqual({ ...pair(1), "config.json": "by hand" });
  });
});

describe("a save that an earlier version left unfinished", () => {
  it("is read, and completed by the next save", async () => {
    const files = new MemoryFiles();
    await files.write("a/model.safetensors", toBytes("old"));
    await files.write("a/gone.json", toBytes("old"));
    await files.write("a/model.safetensors.next", toBytes("new"));
    await files.write("a/commit.json", toBytes('{"format":"heed-commit-1","replace":["model.safetensors"],"remove":["gone.json"]}'));
    expect(await readAll(await openCheckpoint(files, "a"))).toEqual({ "model.safetensors": "new" });
    await saveCheckpoint(files, "a", { "trainer.json": "1" });
    expect(await readAll(await openCheckpoint(files, "a"))).toEqual({ "model.safetensors": "new", "trainer.json": "1" });
    expect(await files.list("a")).toEqual([".heed-saved.json", "model.safetensors", "trainer.json"]);
  });
});

describe("saveCheckpoint with overwrite", () => {
  it("replaces a checkpoint whose journal is invalid, atomically", async () => {
    for (let operations = 0, isDone = false; !isDone && operations < 100; operations++) {
      const files = new MemoryFiles();
      await saveCheckpoint(files, "a", pair(1));
      await files.write("a/commit.json", toBytes("{"));
      await expect(saveCheckpoint(files, "a", pair(2))).rejects.toMatchObject({ code: "checkpoint" });
      const stepped = new SteppedFiles(files);
      const saved = saveCheckpoint(stepped, "a", pair(2), { overwrite: true }).then(() => (isDone = true));
      await stepped.advance(operations, saved); // killed here
      const loaded = await openCheckpoint(files, "a").then(readAll).catch((error: HeedError) => error.code);
      if (isDone) expect(loaded).toEqual(pair(2));
      else expect(["checkpoint", pair(2)]).toContainEqual(loaded);
      expect(operations).toBeLessThan(99);
    }
  });
});
