import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, it, vi } from "vitest";
import { yieldToEventLoop } from "../../host/core/yieldtoeventloop";

afterEach(() => vi.unstubAllGlobals());

describe.each([
  ["setImmediate", []],
  ["MessageChannel, as in browsers", ["setImmediate"]],
  ["setTimeout, where there is nothing else", ["setImmediate", "MessageChannel"]],
])("yieldToEventLoop by %s", (_, missing) => {
  it("lets a due timer fire", async () => {
    for (const name of missing) vi.stubGlobal(name, undefined);
    let fired = false;
    setTimeout(() => (fired = true));
    for (let i = 0; i < 10_000 && !fired; i++) await yieldToEventLoop();
    expect(fired).toBe(true);
  });

  it("does not keep a process alive", () => {
    const script = `
      ${missing.map((name) => `globalThis.${name} = undefined;`).join("\n")}
      import { GPT, Runtime, evaluate } from "heed";
      const tokens = { shape: [1, 8], data: new Int32Array(8) };
      const model = new GPT({ vocabulary: 9, block: 8, layers: 1, heads: 1, width: 8 }).place(await Runtime.create());
      console.log((await evaluate(model, [{ tokens, targets: tokens }, { tokens, targets: tokens }])).tokens);`;
    const cwd = fileURLToPath(new URL("../..", import.meta.url));
    expect(execFileSync(process.execPath, ["--input-type=module", "--eval", script], { cwd, encoding: "utf8", timeout: 60_000 })).toBe("16\n");
  });
});
