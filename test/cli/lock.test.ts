import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import * as fs from "node:fs/promises";
import { hostname } from "node:os";
import { afterEach, describe, expect, it, vi } from "vitest";
import { readCheckpoint } from "../../host/cli/load";
import { lockFolder } from "../../host/cli/lock";
import { HeedError } from "../../host/errors";
import { saveCheckpoint } from "../../host/io/checkpoint";
import { nodeFiles } from "../../host/platform/node-files";
import { run, temporaryFolder, text, tinyGPT } from "./command";

vi.mock("node:fs/promises", async (importActual) => ({ ...(await importActual<typeof fs>()) }));
afterEach(() => vi.restoreAllMocks());

const { path, file } = temporaryFolder();
const claimsIn = (folder: string): string[] => readdirSync(folder).filter((name) => name.startsWith(".lock-"));
let count = 0;
const newFolder = (): string => {
  const folder = path(`run-${count++}`);
  mkdirSync(folder);
  return folder;
};

/** The claim of another process, made from one of this process. */
async function claimOf(pid: number, { start }: { start?: string } = {}): Promise<string> {
  const folder = newFolder();
  const unlock = await lockFolder(folder);
  const [, , ownStart, host, token] = claimsIn(folder)[0]!.split("-");
  await unlock();
  const actual = start ?? /\) (?:\S+ ){19}(\d+)/.exec(readFileSync(`/proc/${pid}/stat`, "utf8"))?.[1] ?? ownStart;
  return `.lock-${pid}-${actual}-${host}-${token}`;
}

describe("lockFolder", () => {
  it("lets one of 20 calls hold the lock, refuses the others, and leaves nothing behind", async () => {
    for (let round = 0; round < 5; round++) {
      const folder = path(`twenty-${round}`);
      const results = await Promise.allSettled(Array.from({ length: 20 }, () => lockFolder(folder)));
      const held = results.filter((result) => result.status === "fulfilled");
      expect(held).toHaveLength(1);
      for (const result of results) {
        if (result.status === "rejected") expect(result.reason).toMatchObject({ code: "checkpoint", message: expect.stringContaining("is already training there") as string });
      }
      expect(claimsIn(folder)).toHaveLength(1);
      await held[0]!.value();
      expect(existsSync(folder)).toBe(false);
    }
  });

  it("refuses a second call while the lock is held, whichever claim sorts first", async () => {
    await Promise.all(Array.from({ length: 10 }, async () => {
      const folder = newFolder();
      const unlock = await lockFolder(folder);
      await expect(lockFolder(folder)).rejects.toMatchObject({ code: "checkpoint" });
      await unlock();
    }));
  });

  it("keeps a folder that is not empty", async () => {
    const folder = newFolder();
    const unlock = await lockFolder(`${folder}/new`);
    writeFileSync(`${folder}/new/model`, "");
    await unlock();
    expect(readdirSync(`${folder}/new`)).toEqual(["model"]);
  });

  it("can be taken again after it was released", async () => {
    const folder = newFolder();
    for (let i = 0; i < 3; i++) await (await lockFolder(folder))();
    expect(existsSync(folder)).toBe(false);
  });
});

describe.skipIf(process.platform !== "linux")("the claim of another process", () => {
  it("is respected while that process runs", async () => {
    const claim = await claimOf(process.ppid);
    const folder = newFolder();
    writeFileSync(`${folder}/${claim}`, "");
    const error = await lockFolder(folder).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(HeedError);
    expect(error).toMatchObject({
      code: "checkpoint",
      message: `${folder}: process ${process.ppid} is already training there; stop it first, or choose another --out (if it is not a training run, remove ${folder}/${claim})`,
    });
    expect(readdirSync(folder)).toEqual([claim]);
  });

  it.each<[string, () => Promise<string>]>([
    ["has ended", () => claimOf(4194304, { start: "1" })],
    ["has ended, and another has its id", () => claimOf(process.ppid, { start: "1" })],
    ["has ended, and this one has its id", () => claimOf(process.pid, { start: "1" })],
    ["ran on another machine", async () => (await claimOf(process.ppid)).replace(/-[0-9a-f]{8}-/, "-00000000-")],
  ])("is removed if that process %s", async (_, make) => {
    const folder = newFolder();
    writeFileSync(`${folder}/${await make()}`, "");
    const unlock = await lockFolder(folder);
    expect(claimsIn(folder)).toHaveLength(1);
    await unlock();
    expect(existsSync(folder)).toBe(false);
  });

  it("is removed if that process was killed, and its parent has not noticed", async () => {
    const parent = spawn("sh", ["-c", "sh -c 'echo $$; kill -9 $$' & exec sleep 60"], { stdio: ["ignore", "pipe", "ignore"] });
    const [output] = (await once(parent.stdout, "data")) as [Buffer];
    const zombie = Number(output.toString());
    while (!/\) Z /.test(readFileSync(`/proc/${zombie}/stat`, "utf8"))) await new Promise((resolve) => setTimeout(resolve, 5));
    const folder = newFolder();
    writeFileSync(`${folder}/${await claimOf(zombie)}`, "");
    await (await lockFolder(folder))();
    parent.kill();
    expect(existsSync(folder)).toBe(false);
  });

  it("is ignored if it cannot be removed", async () => {
    const folder = newFolder();
    const claim = await claimOf(4194304, { start: "1" });
    writeFileSync(`${folder}/${claim}`, "");
    const { rm } = fs;
    vi.spyOn(fs, "rm").mockImplementation(async (name, options) => {
      if (String(name).endsWith(claim)) throw Object.assign(new Error("EPERM"), { code: "EPERM" });
      return rm(name, options);
    });
    await (await lockFolder(folder))();
    expect(readdirSync(folder)).toEqual([claim]);
  });
});

describe("errors of lockFolder say what to do", () => {
  const failure = async (folder: string): Promise<unknown> => lockFolder(folder).catch((reason: unknown) => reason);

  it("if .lock is a folder", async () => {
    const folder = newFolder();
    mkdirSync(`${folder}/.lock`);
    const error = await failure(folder);
    expect(error).toBeInstanceOf(HeedError);
    expect(error).toMatchObject({
      code: "file",
      message: expect.stringMatching(/cannot take over the lock .*\.lock: EISDIR.*; remove .*\.lock if no training run uses the folder, or choose another --out$/) as string,
    });
    expect(readdirSync(folder)).toEqual([".lock"]);
  });

  it("if .lock cannot be removed", async () => {
    const folder = newFolder();
    writeFileSync(`${folder}/.lock`, `4194304 ${hostname()}\n`);
    const { rm } = fs;
    vi.spyOn(fs, "rm").mockImplementation(async (name, options) => {
      if (String(name).endsWith("/.lock")) throw Object.assign(new Error("EPERM: operation not permitted"), { code: "EPERM" });
      return rm(name, options);
    });
    expect(await failure(folder)).toMatchObject({ code: "file", message: expect.stringMatching(/EPERM: operation not permitted; remove /) as string });
  });

  it("if the folder is a file", async () => {
    const folder = file("a-file", "");
    expect(await failure(folder)).toMatchObject({ code: "file", message: expect.stringMatching(/cannot lock .*EEXIST.*; choose another --out, or make it a writable folder$/) as string });
  });
});

describe("heed train in a folder with the user's own files", () => {
  const config = file("gpt.json", JSON.stringify(tinyGPT));
  const book = file("book.txt", text);
  const train = (out: string, ...more: string[]) => run(["train", "text", "--data", book, "--config", config, "--steps", "2", "--out", out, ...more]);

  it("refuses to replace tokenizer.json and log.jsonl, unless --overwrite is given", async () => {
    const out = newFolder();
    writeFileSync(`${out}/tokenizer.json`, "mine");
    writeFileSync(`${out}/log.jsonl`, "mine");
    const refused = await train(out);
    expect(refused).toMatchObject({ code: 1, stderr: `heed: ${out} already contains log.jsonl and tokenizer.json; choose another --out, or use --overwrite to replace these files\n` });
    const resumed = await train(out, "--resume");
    expect(resumed.code).toBe(1);
    expect(resumed.stderr).toContain(`heed: ${out} contains no training state to resume from: expected trainer.json, found log.jsonl, tokenizer.json\n`);
    expect(["tokenizer.json", "log.jsonl"].map((name) => readFileSync(`${out}/${name}`, "utf8"))).toEqual(["mine", "mine"]);
    expect(readdirSync(out).sort()).toEqual(["log.jsonl", "tokenizer.json"]);
    expect((await train(out, "--overwrite")).code).toBe(0);
  });

  it("refuses a checkpoint that another training run saved between the first check and the lock", async () => {
    const out = newFolder();
    const mkdir = vi.spyOn(fs, "mkdir").mockImplementationOnce(async () => { // the first step of taking the lock
      mkdir.mockRestore();
      await saveCheckpoint(nodeFiles, out, { "trainer.json": "theirs" });
      return undefined;
    });
    const { code, stderr } = await train(out);
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining("already contains a checkpoint") as string });
    expect(readFileSync(`${out}/trainer.json`, "utf8")).toBe("theirs");
  });

  it("keeps its .next folder and notes.next", async () => {
    const out = newFolder();
    mkdirSync(`${out}/.next/cache`, { recursive: true });
    writeFileSync(`${out}/notes.next`, "mine");
    expect((await train(out)).code).toBe(0);
    expect((await train(out, "--resume")).code).toBe(0);
    expect(readdirSync(out)).toEqual(expect.arrayContaining([".next", "notes.next"]));
  });

  it("replaces a checkpoint with an invalid journal if --overwrite is given", async () => {
    const out = newFolder();
    expect((await train(out)).code).toBe(0);
    writeFileSync(`${out}/commit.json`, "{");
    expect((await train(out)).stderr).toContain("already contains a checkpoint");
    expect((await train(out, "--resume")).stderr).toContain(`heed: ${out}/commit.json: expected a journal`);
    expect((await train(out, "--overwrite")).code).toBe(0);
    expect(existsSync(`${out}/commit.json`)).toBe(false);
    expect((await run(["generate", "--model", out, "--prompt", "the", "--max", "3"])).code).toBe(0);
  });
});

describe("a command that reads a checkpoint while it is replaced", () => {
  const replaced = async (times: number) => {
    const out = newFolder();
    await saveCheckpoint(nodeFiles, out, { "config.json": "0" });
    let reads = 0;
    const result = await readCheckpoint(out, async (checkpoint) => {
      if (reads++ < times) await saveCheckpoint(nodeFiles, out, { "config.json": String(reads) });
      return checkpoint.readText("config.json");
    }).catch((error: unknown) => error);
    return { result, reads };
  };

  it("starts again, at most 9 times", async () => {
    expect(await replaced(9)).toEqual({ result: "9", reads: 10 });
    const { result, reads } = await replaced(10);
    expect(result).toMatchObject({ code: "checkpoint", message: expect.stringContaining("was replaced while it was being read") as string });
    expect(reads).toBe(10);
  });

  it("does not start again for another error", async () => {
    const out = newFolder();
    await saveCheckpoint(nodeFiles, out, { "config.json": "0" });
    let reads = 0;
    await expect(readCheckpoint(out, (checkpoint) => (reads++, checkpoint.readText("none")))).rejects.toMatchObject({ code: "file" });
    expect(reads).toBe(1);
  });
});
