import { spawnSync } from "node:child_process";
import { existsSync, openSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it, vi } from "vitest";
import * as translator from "../../host/cli/translator";
import { run, temporaryFolder, text, tinyGPT, tinyTransformer } from "./command";

const root = fileURLToPath(new URL("../..", import.meta.url));
const { path, file } = temporaryFolder();
const train = (out: string, ...more: string[]): string[] =>
  ["train", "text", "--data", file("book.txt", text), "--config", file("gpt.json", JSON.stringify(tinyGPT)), "--out", path(out), ...more];
const weights = (out: string): Buffer => readFileSync(path(`${out}/model.safetensors`));

beforeAll(async () => {
  expect(await run(train("whole"))).toMatchObject({ code: 0 });
}, 120_000);

describe("stdout that cannot be written", () => {
  it.each([["inspect"], ["generate", "--max", "3"], ["eval", "--data", path("book.txt")]])("%s: is an error in one line if the disk is full, and ends the command quietly if the reader has gone", async (command, ...more) => {
    const args = command === "inspect" ? [command, path("whole")] : [command, "--model", path("whole"), ...more];
    expect(await run(args, { broken: { stdout: "ENOSPC" } })).toMatchObject({ code: 1, stderr: "heed: cannot write to stdout: ENOSPC: write\n" });
    expect(await run(args, { broken: { stdout: "EPIPE" } })).toMatchObject({ code: 0, stderr: "" });
  });

  it("is an error for --help too", async () => {
    for (const args of [["--help"], ["train", "text", "--help"], ["help", "eval"], ["--version"]]) {
      expect(await run(args, { broken: { stdout: "ENOSPC" } })).toMatchObject({ code: 1, stderr: "heed: cannot write to stdout: ENOSPC: write\n" });
      expect(await run(args, { broken: { stdout: "EPIPE" } })).toMatchObject({ code: 0, stderr: "" });
    }
  });

  it("fails a training run only after its model is saved", async () => {
    expect(await run(train("saved"), { broken: { stdout: "ENOSPC" } })).toMatchObject({ code: 1 });
    expect(weights("saved")).toEqual(weights("whole"));
  });
});

describe("stderr that cannot be written", () => {
  it.each([["ENOSPC", false], ["EPIPE", false], ["ENOSPC", true], ["EIO", true]])("(%s, a terminal: %s) does not stop training", async (stderr, isTTY) => {
    const out = `unread-${stderr}-${isTTY}`;
    expect(await run(train(out, "--json"), { broken: { stderr }, isTTY })).toMatchObject({ code: 0, json: { steps: 24, ended: "steps" } });
    expect(weights(out)).toEqual(weights("whole"));
  });

  it("leaves the exit code of an error at 1", async () => {
    expect(await run(["inspect", path("none")], { broken: { stderr: "ENOSPC" } })).toMatchObject({ code: 1, stdout: "" });
  });
});

describe.skipIf(!existsSync("/dev/full"))("the process, writing to /dev/full,", () => {
  const heed = (args: string[], stdout: "pipe" | number, stderr: "pipe" | number) =>
    spawnSync(process.execPath, ["dist/cli.js", ...args], { cwd: root, encoding: "utf8", stdio: ["ignore", stdout, stderr] });
  beforeAll(() => {
    expect(spawnSync(process.execPath, ["build.mjs"], { cwd: root }).status).toBe(0);
  }, 300_000);

  it("ends with 1 and one line on stderr if it is stdout", () => {
    const { status, stderr } = heed(["inspect", path("whole")], openSync("/dev/full", "w"), "pipe");
    expect({ status, stderr }).toEqual({ status: 1, stderr: "heed: cannot write to stdout: ENOSPC: no space left on device, write\n" });
  });

  it("trains to the end if it is stderr", () => {
    const { status, stdout } = heed(train("full", "--json"), "pipe", openSync("/dev/full", "w"));
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ steps: 24, ended: "steps" });
  });
});

describe("a sample that fails", () => {
  it("is reported after the checkpoint is saved, and the run continues", async () => {
    const failing = vi.spyOn(translator, "translateTexts").mockRejectedValueOnce(new Error("too long"));
    const config = file("transformer.json", JSON.stringify(tinyTransformer));
    const { code, stderr, json } = await run(["train", "dates", "--config", config, "--out", path("dates"), "--json"]);
    failing.mockRestore();
    expect({ code, steps: json.steps }).toEqual({ code: 0, steps: 24 });
    expect(stderr).toMatch(/step 8: .*\n {2}no samples: too long\nstep 16: .*\n {2}.* → /);
  });

  it("costs no more than itself: the validation before it can be resumed from", async () => {
    const config = file("transformer.json", JSON.stringify(tinyTransformer));
    const args = ["train", "dates", "--config", config, "--out", path("lost"), "--json"];
    const states: unknown[] = [];
    const failing = vi.spyOn(translator, "translateTexts").mockImplementationOnce(() => {
      states.push((JSON.parse(readFileSync(path("lost/trainer.json"), "utf8")) as { state: unknown }).state);
      return Promise.reject(new Error("too long"));
    });
    await run(args);
    failing.mockRestore();
    expect(states).toEqual([expect.objectContaining({ step: 8, validatedStep: 8 })]);
  });
});
