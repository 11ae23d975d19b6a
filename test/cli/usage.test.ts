import { describe, expect, it } from "vitest";
import { run } from "./command";

const commands = ["train dates", "train translate", "train text", "translate", "generate", "eval", "inspect", "profile"];

describe("the command line", () => {
  it.each(commands)("heed %s --help shows options, defaults and an example, and exits with 0", async (command) => {
    const { code, stdout, stderr } = await run([...command.split(" "), "--help"]);
    expect(code).toBe(0);
    expect(stderr).toBe("");
    for (const part of ["--json", "--build", "default: ", "--debug", "Examples:", `heed ${command}`]) expect(stdout).toContain(part);
  });

  it.each(["train dates", "train translate", "train text"])("heed %s --help shows the preset's settings", async (command) => {
    const { stdout } = await run([...command.split(" "), "--help"]);
    for (const part of ["--seed", "--steps", "--config", "--resume", "--overwrite", "--out", "Preset", '"validateEvery": ']) expect(stdout).toContain(part);
  });

  it("heed train text --help names both presets, and heed profile --help every program", async () => {
    const { stdout } = await run(["train", "text", "--help"]);
    for (const preset of ["nanogpt-cpu", "llama-cpu"]) expect(stdout).toContain(preset);
    expect((await run(["profile", "--help"])).stdout).toMatch(/encode,\s+prompt,\s+step,\s+train/);
  });

  it.each([["train text", ["train", "text"]], ["train", ["train"]], ["eval", ["eval"]], ["", []]])("heed help %s prints the help of that command", async (_, names) => {
    expect(await run(["help", ...names])).toEqual({ ...(await run([...names, "--help"])), code: 0, stderr: "" });
    expect((await run(["help", ...names])).stdout).toContain(`Usage: ${["heed", ...names].join(" ")} `);
  });

  it("without a command shows the help on stderr and exits with 2", async () => {
    const { code, stdout, stderr } = await run([]);
    expect(code).toBe(2);
    expect(stdout).toBe("");
    expect(stderr).toContain("Usage: heed");
  });

  it.each([
    [["train", "dates", "--stpes", "3"], "heed: unknown option '--stpes' (Did you mean --steps?)\n"],
    [["train", "text", "--stpes", "3"], "heed: unknown option '--stpes' (Did you mean --steps?)\n"],
    [["translate", "--modle", "x"], "heed: unknown option '--modle' (Did you mean --model?)\n"],
    [["trian"], "heed: unknown command 'trian' (Did you mean train?)\n"],
    [["train", "txt"], "heed: unknown command 'txt' (Did you mean text?)\n"],
    [["train", "text", "--preset", "nanogpt"], "heed: option '--preset <name>' argument 'nanogpt' is invalid. Unknown preset; did you mean nanogpt-cpu?\n"],
    [["train", "dates", "--steps", "0"], "heed: option '--steps <n>' argument '0' is invalid. Expected a whole number of at least 1.\n"],
    [["train", "dates", "--build", "fast"], "heed: option '--build <name>' argument 'fast' is invalid. Allowed choices are auto, simd, relaxed, turbo.\n"],
    [["train", "dates", "--threads", "0"], "heed: option '--threads <n>' argument '0' is invalid. Expected a whole number from 1 to 64.\n"],
    [["translate", "--threads", "x"], "heed: option '--threads <n>' argument 'x' is invalid. Expected a whole number from 1 to 64.\n"],
    [["generate", "--threads", "65"], "heed: option '--threads <n>' argument '65' is invalid. Expected a whole number from 1 to 64.\n"],
    [["eval", "--threads", "1.5"], "heed: option '--threads <n>' argument '1.5' is invalid. Expected a whole number from 1 to 64.\n"],
    [["help", "trian"], "heed: unknown command 'trian' (Did you mean train?)\n"],
    [["help", "train", "txt"], "heed: unknown command 'txt' (Did you mean text?)\n"],
    [["translate", "--model", "m", "--file", "f", "text"], "heed: option '--file <file>' cannot be used with texts on the command line\n"],
    [["eval", "--model", "m", "--data", "f", "--source", "s", "--target", "t"], "heed: option '--data <file>' cannot be used with option '--source <file>'\n"],
    [["eval", "--model", "m", "--held-out"], "heed: option '--held-out' needs --data <file>\n"],
    [["train", "text"], "heed: missing required option --data <file>\n"],
    [["generate"], "heed: missing required option -m, --model <folder>\n"],
  ])("heed %j exits with 2 and says what is wrong in one line", async (args, message) => {
    expect(await run(args)).toMatchObject({ code: 2, stdout: "", stderr: message });
  });

  it("shows an error's stack only under --debug", async () => {
    const plain = await run(["inspect", "no-such-file"]);
    expect(plain).toMatchObject({ code: 1, stderr: "heed: no-such-file: no such file\n" });
    const debug = await run(["inspect", "no-such-file", "--debug"]);
    expect(debug.stderr).toContain("    at ");
    expect(debug.stderr).toContain("caused by Error: ENOENT");
  });
});
