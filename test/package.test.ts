import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "heed-package-"));
afterAll(() => rmSync(folder, { recursive: true }));

interface Result {
  status: number | null;
  stdout: string;
  stderr: string;
}

/** Runs the npm that is running this test, or else the one on the path. */
function npm(cwd: string, ...args: string[]): Result {
  const outer = process.env["npm_execpath"];
  const [command, first] = outer?.endsWith(".js") ? [process.execPath, [outer]] : ["npm", []];
  return spawnSync(command, [...first, ...args], { cwd, encoding: "utf8" });
}

function node(...args: string[]): Result {
  return spawnSync(process.execPath, args, { cwd: folder, encoding: "utf8" });
}

describe("the packed tarball, installed into an empty folder", () => {
  let packed: Result;
  let installed: Result;

  beforeAll(() => {
    packed = npm(root, "pack", "--pack-destination", folder);
    writeFileSync(join(folder, "package.json"), '{ "private": true, "type": "module" }');
    const tarball = readdirSync(folder).find((name) => name.endsWith(".tgz"));
    installed = npm(folder, "install", "--prefer-offline", "--no-audit", "--no-fund", `./${tarball}`);
  }, 300_000);

  /** Skips a test visibly if it cannot run without a registry. */
  function needInstall(skip: (note: string) => never): void {
    const isOffline = /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ENOTCACHED|network/.test(installed.stderr);
    if (installed.status !== 0 && isOffline) skip("no network: npm cannot fetch the dependencies");
    expect(installed.status, installed.stderr).toBe(0);
  }

  it("contains dist, docs, examples, README, LICENSE, CHANGELOG and SECURITY, and nothing else", () => {
    expect(packed.status, packed.stderr).toBe(0);
    const { stdout } = npm(root, "pack", "--dry-run", "--json", "--ignore-scripts");
    const [{ files }] = JSON.parse(stdout) as [{ files: { path: string }[] }];
    const paths = files.map(({ path }) => path);
    const others = paths.filter((path) => !/^(dist|docs|examples)\//.test(path));
    const expected = ["CHANGELOG.md", "LICENSE", "README.md", "SECURITY.md", "package.json"].filter((name) => existsSync(join(root, name)));
    expect(others.sort()).toEqual(expected);
    expect(paths).toEqual(expect.arrayContaining(["dist/cli.js", "dist/index.js", "dist/index.d.ts", "dist/node.js", "dist/heed.simd.wasm", "dist/heed.relaxed.wasm", "dist/heed.turbo.wasm", "dist/web.js", "dist/heed.simd-threads.wasm", "dist/heed.relaxed-threads.wasm", "dist/heed.turbo-threads.wasm", "dist/limit.simd.wasm", "dist/limit.relaxed.wasm"]));
  });

  it("computes in three lines, with the bundled core", ({ skip }) => {
    needInstall(skip);
    const script = `import { Graph, Runtime, add, compile } from "heed";
      const graph = new Graph(await Runtime.create()), x = graph.input([3]), y = graph.keep(add(x, x)), program = compile(graph);
      program.write(x, [1, 2, 3]); program.run(); console.log(...program.read(y));`;
    const { status, stdout, stderr } = node("--input-type=module", "--eval", script);
    expect(status, stderr).toBe(0);
    expect(stdout).toBe("2 4 6\n");
  });

  it("provides file access in Node through heed/node", ({ skip }) => {
    needInstall(skip);
    const script = `import { openCheckpoint, saveCheckpoint } from "heed"; import { createRuntime, nodeFiles } from "heed/node";
      await saveCheckpoint(nodeFiles, "run", { "config.json": "{}" });
      console.log(await (await openCheckpoint(nodeFiles, "run")).readText("config.json"));`;
    const { status, stdout, stderr } = node("--input-type=module", "--eval", script);
    expect(status, stderr).toBe(0);
    expect(stdout).toBe("{}\n");
  });

  it("computes on two threads in Node, and exits on its own", ({ skip }) => {
    needInstall(skip);
    const script = `import { Graph, Runtime, add, compile } from "heed"; import { nodeWorkers } from "heed/node";
      const runtime = await Runtime.create({ threads: 2, workers: nodeWorkers });
      const graph = new Graph(runtime), x = graph.input([3]), y = graph.keep(add(x, x)), program = compile(graph);
      program.write(x, [1, 2, 3]); program.run(); console.log(runtime.threads, ...program.read(y));`;
    const { status, stdout, stderr } = node("--input-type=module", "--eval", script);
    expect(status, stderr).toBe(0);
    expect(stdout).toBe("2 2 4 6\n");
  });

  it("provides the heed command, which reports the package's version", ({ skip }) => {
    needInstall(skip);
    const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
    const { status, stdout, stderr } = node(join(folder, "node_modules/.bin/heed"), "--version");
    expect(status, stderr).toBe(0);
    expect(stdout).toBe(`${version}\n`);
  });

  it("type-checks in a strict project with isolated modules", ({ skip }) => {
    needInstall(skip);
    writeFileSync(
      join(folder, "use.ts"),
      `import { Activation, type GPTConfig, gptPresets, readSafetensors } from "heed";
       import { createRuntime, nodeFiles } from "heed/node";
       export const config: GPTConfig = { ...gptPresets.gpt2, vocabulary: 65 };
       export const kind: Activation = Activation.Gelu;
       export const build: "simd" | "relaxed" | "turbo" = (await createRuntime({ build: "turbo" })).build;
       export const names: string[] = [...readSafetensors(await nodeFiles.read("x")).tensors.keys()];`,
    );
    const options = "--noEmit --strict --isolatedModules --verbatimModuleSyntax --target es2022 --module nodenext --lib es2022,dom".split(" ");
    const { status, stdout } = node(join(root, "node_modules/typescript/bin/tsc"), ...options, "use.ts");
    expect(stdout).toBe("");
    expect(status).toBe(0);
  });
});
