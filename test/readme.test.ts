import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { ModuleKind, ScriptTarget, transpile } from "typescript";
import { beforeAll, describe, expect, it } from "vitest";
import { run, temporaryFolder, text, tinyTransformer } from "./cli/command";

const root = fileURLToPath(new URL("..", import.meta.url));
const read = (path: string): string => readFileSync(`${root}/${path}`, "utf8");
const readme = read("README.md");

const blocks = Array.from(readme.matchAll(/```(\w*)\n([^]*?)```/g), ([, language, code]) => ({ language, code: code! }));
const codeIn = (language: string): string[] => blocks.flatMap((block) => (block.language === language ? [block.code] : []));

describe("README.md", () => {
  it("contains only shell, JavaScript and TypeScript code, all of which runs here", () => {
    expect([...new Set(blocks.map(({ language }) => language))].sort()).toEqual(["js", "sh", "ts"]);
  });

  it("starts with the example dates.mjs, which examples.test.ts runs", () => {
    expect(read("examples/dates.mjs").replace(/^\/\/.*\n/gm, "")).toBe(codeIn("js")[0]);
    expect(codeIn("js")[0]!.split("\n").filter((line) => line && !line.startsWith("import")).length).toBeLessThanOrEqual(15);
  });

  it.each([...[...codeIn("js").slice(1), ...codeIn("ts")].entries()])("block %i prints what its comments state", (index, code) => {
    mkdirSync(`${root}/build/readme`, { recursive: true }); // within the package, so that it finds "heed"
    const file = `${root}/build/readme/block-${index}.mjs`;
    writeFileSync(file, transpile(code, { module: ModuleKind.ESNext, target: ScriptTarget.ES2022 }));
    const printed = execFileSync(process.execPath, [file], { encoding: "utf8" });
    for (const [, value] of code.matchAll(/^console\.log\(.*\); \/\/ (\S+)$/gm)) expect(printed.split("\n")).toContain(value);
  });

  it("links only to files that exist and are in the package", () => {
    const { files } = JSON.parse(read("package.json")) as { files: string[] };
    const packed = [...files, "README.md", "LICENSE"];
    for (const [, link] of readme.matchAll(/\]\((?!https?:)([^)#]+)[^)]*\)/g)) {
      expect(existsSync(`${root}/${link}`), link).toBe(true);
      expect(packed, link).toContain(link!.split("/")[0]);
    }
  });

  it("states the size of the core to within 3 KB, and to within 1 KB gzipped", () => {
    const [, raw, gzipped] = /one `\.wasm` of (\d+) KB \((\d+) KB gzipped\)/.exec(readme)!;
    const file = `${root}/build/heed.simd.wasm`;
    expect(Math.abs(Number(raw) * 1000 - statSync(file).size)).toBeLessThan(3000);
    expect(Math.abs(Number(gzipped) * 1000 - gzipSync(readFileSync(file), { level: 9 }).length)).toBeLessThan(1000);
  });
});

describe("README.md's commands", () => {
  const { path, file } = temporaryFolder();
  const lines = codeIn("sh").flatMap((code) => code.trim().split("\n")).map((line) => line.replace(/\s+#.*/, ""));

  beforeAll(async () => {
    file("book.txt", `Once ${text}`);
    await run(["train", "dates", "--config", file("tiny.json", JSON.stringify(tinyTransformer)), "--steps", "2", "--out", path("runs/dates")]);
  });

  it("use only npm and heed", () => expect(lines.filter((line) => !/^(npm ci && npm|npx heed) /.test(line))).toEqual([]));

  it.each(lines.filter((line) => line.startsWith("npm")))("%s names a script in package.json", (line) => {
    const script = /^npm ci && npm (?:run )?(\w+)$/.exec(line)?.[1];
    expect(Object.keys((JSON.parse(read("package.json")) as { scripts: object }).scripts)).toContain(script);
  });

  it.each(lines.filter((line) => line.startsWith("npx heed")))("%s runs", (line) => {
    const args = Array.from(line.slice("npx heed ".length).matchAll(/"([^"]*)"|(\S+)/g), ([, quoted, plain]) => quoted ?? plain!);
    const quick = args[0] === "train" ? ["--steps", "2"] : [];
    const printed = execFileSync(process.execPath, [`${root}/dist/cli.js`, ...args, ...quick], { cwd: path("."), encoding: "utf8" });
    expect(printed).not.toBe("");
  });
});
