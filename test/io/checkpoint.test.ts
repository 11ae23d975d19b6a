import { describe, expect, it } from "vitest";
import { HeedError } from "../../host/errors";
import { type Shapes, checkTensors } from "../../host/io/checktensors";
import { openCheckpoint, recoverCheckpoint, saveCheckpoint } from "../../host/io/checkpoint";
import { type Files, MemoryFiles } from "../../host/io/files";
import { type Fault, FaultyFiles } from "./faultyfiles";

type Set = Record<string, string | null>;
const folder = "runs/a";
const OLD: Set = { "model.safetensors": "old model", "config.json": "{}", "optimizer.safetensors": "old moments", "trainer.json": "1" };
const NEW: Set = { "model.safetensors": "a new, longer model", "optimizer.safetensors": null, "trainer.json": "2", "tokenizer.json": "t" };
const AFTER: Set = { "model.safetensors": NEW["model.safetensors"]!, "config.json": "{}", "trainer.json": "2", "tokenizer.json": "t" };

/** The contents of the folder when opened; null if there is no checkpoint. */
async function load(files: Files): Promise<Set | null> {
  const opened = await openCheckpoint(files, folder).catch((error: unknown) => {
    if (error instanceof HeedError && error.code === "file") return null;
    throw error;
  });
  if (opened === null) return null;
  return Object.fromEntries(await Promise.all(opened.names.map(async (name) => [name, await opened.readText(name)] as const)));
}

const freeze = (files: Files): Files => new FaultyFiles(files, { at: Infinity, isDone: false, then: "dead" });

/** Initial states: an empty folder, a complete checkpoint, and checkpoints whose save was killed before or after its commit. */
const starts: Record<string, { before: Set | null; make: () => Promise<MemoryFiles> }> = {
  "an empty folder": { before: null, make: async () => new MemoryFiles() },
  "a checkpoint": {
    before: OLD,
    make: async () => {
      const files = new MemoryFiles();
      await saveCheckpoint(files, folder, OLD);
      return files;
    },
  },
  "a save that was killed before its commit": { before: OLD, make: () => killedSave(async (files) => (await files.list(folder)).some((name) => name.startsWith("trainer.json.heed-"))) },
  "a save that was killed after its commit": { before: { ...OLD, "trainer.json": "1.5" }, make: () => killedSave((files) => files.exists(`${folder}/commit.json`)) },
};

async function killedSave(isThere: (files: Files) => Promise<boolean>): Promise<MemoryFiles> {
  for (let at = 0; ; at++) {
    const files = await starts["a checkpoint"]!.make();
    await saveCheckpoint(new FaultyFiles(files, { at, isDone: false, then: "dead" }), folder, { "trainer.json": "1.5" }).catch(() => null);
    if (await isThere(files)) return files;
  }
}

describe("saveCheckpoint", () => {
  it("replaces the given files, removes those that are null and keeps the rest", async () => {
    const files = await starts["a checkpoint"]!.make();
    expect(await load(files)).toEqual(OLD);
    await saveCheckpoint(files, folder, { ...NEW, "weights.bin": Uint8Array.of(1, 2, 3) } as Record<string, string | Uint8Array | null>);
    const { names, ...opened } = await openCheckpoint(files, folder);
    expect(names).toEqual([...Object.keys(AFTER), "weights.bin"].sort());
    expect(await files.list(folder)).toEqual([".heed-saved.json", ...names]);
    expect(opened.folder).toBe(folder);
    expect(await (await openCheckpoint(files, folder)).read("weights.bin")).toEqual(Uint8Array.of(1, 2, 3));
  });

  for (const [title, { before, make }] of Object.entries(starts)) {
    for (const then of ["dead", "well", "full"] as const) {
      for (const isDone of [false, true]) {
        const end = { dead: "and being killed", well: "once", full: "and the disk filling up" }[then];
        const when = isDone ? "after" : "before";
        it(`leaves the complete old or new set, starting from ${title}, after failing ${when} each operation ${end}`, async () => {
          const after = before === null ? withoutNull(NEW) : AFTER;
          for (let at = 0; at === 0 || (await failAt({ at, isDone, then })); at++);

          async function failAt(fault: Fault): Promise<boolean> {
            const files = await make();
            const faulty = new FaultyFiles(files, fault);
            const error = await saveCheckpoint(faulty, folder, NEW).then(() => null, String);
            const loaded = await load(freeze(files));
            expect([before, after]).toContainEqual(loaded);
            if (error === null) expect(loaded).toEqual(after);
            if (/intact|nothing was saved/.test(error ?? "")) expect(loaded).toEqual(before);
            if (/new checkpoint is complete/.test(error ?? "")) expect(loaded).toEqual(after);
            await recoverCheckpoint(files, folder);
            expect(await load(files)).toEqual(loaded);
            expect((await files.list(folder)).filter((name) => /next|commit/.test(name))).toEqual([]);
            await saveCheckpoint(files, folder, NEW);
            expect(await load(files)).toEqual(after);
            return faulty.operations > fault.at;
          }
        });
      }
    }
  }

  it("makes a commit that was interrupted durable before it changes the files that the commit names", async () => {
    const files = await starts["a save that was killed after its commit"]!.make();
    const changes: string[] = [];
    const [remove, rename] = [files.remove.bind(files), files.rename.bind(files)];
    files.remove = (path) => (changes.push(`remove ${path}`), remove(path));
    files.rename = (from, to) => (changes.push(`rename ${from}`), rename(from, to));
    await recoverCheckpoint(files, folder);
    const shown = changes.map((change) => change.replace(/heed-\w+/, "heed-id"));
    expect(shown).toEqual(["remove runs/a/commit.json.heed-id.next", "rename runs/a/trainer.json.heed-id.next", "rename runs/a/commit.json"]);
  });

  it("reports a full disk, and removes what it has written", async () => {
    const files = await starts["a checkpoint"]!.make();
    const full = new FaultyFiles(files, { at: 6, isDone: false, then: "full" });
    const error = await saveCheckpoint(full, folder, NEW).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(HeedError);
    expect(error).toMatchObject({
      code: "file",
      message: "saveCheckpoint: runs/a: ENOSPC: no space left on device; the previous checkpoint is intact",
    });
    expect(await files.list(folder)).toEqual([".heed-saved.json", ...Object.keys(OLD).sort()]);
  });

  it("rejects names that leave the folder or are reserved for the journal", async () => {
    for (const name of ["../x", "a/b", "a\\b", "", ".", "..", ".hidden", "commit.json", "model.next", "é"]) {
      await expect(saveCheckpoint(new MemoryFiles(), folder, { [name]: "x" }), name).rejects.toThrow(RangeError);
    }
  });
});

function withoutNull(set: Set): Set {
  return Object.fromEntries(Object.entries(set).filter(([, content]) => content !== null));
}

describe("openCheckpoint", () => {
  it("writes nothing", async () => {
    const files = await starts["a save that was killed after its commit"]!.make();
    const before = await files.list(folder);
    await load(files);
    expect(await files.list(folder)).toEqual(before);
  });

  it("lists the existing files if one is missing, and names the folder if there is no checkpoint", async () => {
    const files = await starts["a checkpoint"]!.make();
    const opened = await openCheckpoint(files, folder);
    expect(opened.has("tokenizer.json")).toBe(false);
    await expect(opened.read("tokenizer.json")).rejects.toThrow(
      "checkpoint runs/a: expected tokenizer.json, found config.json, model.safetensors, optimizer.safetensors, trainer.json",
    );
    await expect(openCheckpoint(files, "runs/b")).rejects.toThrow("runs/b: expected a checkpoint, found no files");
  });

  it("rejects a journal that it did not write", async () => {
    const files = await starts["a checkpoint"]!.make();
    const hostile = ["", "{", "null", "[]", "{}", '{"format":"heed-commit-2","replace":[],"remove":[]}'];
    const outside = ["../x", "/etc/passwd", "commit.json", "a.next", 3].map((name) => ({ format: "heed-commit-1", replace: [name], remove: [] }));
    for (const text of [...hostile, ...outside.map((journal) => JSON.stringify(journal))]) {
      await files.write(`${folder}/commit.json`, new TextEncoder().encode(text));
      for (const use of [openCheckpoint, recoverCheckpoint]) {
        await expect(use(files, folder)).rejects.toMatchObject({ code: "checkpoint", message: /^runs\/a\/commit.json: expected a journal/ as unknown as string });
      }
    }
  });

  it("rejects text that is not UTF-8", async () => {
    const files = new MemoryFiles();
    await saveCheckpoint(files, folder, { "config.json": Uint8Array.of(0xff) });
    await expect((await openCheckpoint(files, folder)).readText("config.json")).rejects.toThrow(/config.json: expected UTF-8 text/);
  });
});

describe("checkTensors", () => {
  const shapes = (entries: Record<string, number[]>): Shapes => new Map(Object.entries(entries));

  it("accepts the same names and shapes in any order", () => {
    expect(() => checkTensors(shapes({ a: [2, 3], b: [] }), shapes({ b: [], a: [2, 3] }))).not.toThrow();
  });

  it("lists every tensor that is missing, unexpected or of the wrong shape in one error", () => {
    const expected = shapes({ a: [2, 3], b: [4], c: [], d: [1] });
    const found = shapes({ b: [4, 1], d: [1], x: [7], y: [] });
    expect(() => checkTensors(expected, found)).toThrow(
      new HeedError(
        "checkpoint",
        "5 tensors do not match the model:\n  missing: a [2,3]\n  wrong shape: b: expected [4], got [4,1]\n  missing: c []\n  unexpected: x [7]\n  unexpected: y []",
      ),
    );
  });
});
