import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { beforeAll, describe, expect, it } from "vitest";
import { examples, exportsOf, pages } from "./documented";

// Checks the published types (dist/*.d.ts, imported by the package's name) in a strict project without skipLibCheck: once without lib "dom"
// and @types/node, with the few globals that examples use declared here, and once with both, which must not conflict.

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = `${root}/build/types`; // within the package, so that it finds "heed"

const environment = `
declare const console: { log(...values: unknown[]): void; error(...values: unknown[]): void };
declare const process: { argv: string[]; stdout: { write(text: string): void }; once(event: string, listener: () => void): void };
declare class URL { constructor(url: string, base?: string); readonly href: string; readonly protocol: string }
declare class TextEncoder { encode(text: string): Uint8Array }
declare class TextDecoder { decode(bytes: Uint8Array): string }
declare const performance: { now(): number };
declare class AbortController { readonly signal: { readonly aborted: boolean; throwIfAborted(): void }; abort(): void }
interface ImportMeta { readonly url: string }
declare module "node:fs/promises" { export function readFile(path: string | URL, encoding: "utf8"): Promise<string> }
`;

/** Declares the variables that docstring examples assume (see given() in docstrings.test.ts). */
const given = (file: string): string => `
declare const runtime: heed.Runtime, graph: heed.Graph, model: heed.${file === "decode/generate.ts" ? "GPT" : "Transformer"};
declare const tokenizer: data.CharacterTokenizer<"<pad>" | "<bos>" | "<eos>" | "<unk>">, files: heed.MemoryFiles;
declare const batches: import("heed/data").PairBatch[], tensors: Map<string, heed.StoredTensor>, encoderJSON: string, vocabBPE: string;
`;

const names = new Map(Object.entries(pages).flatMap(([page, file]) => exportsOf(file).map((name) => [name, page] as const))).set("Activation", "heed");

/** Turns a docstring example into a module that imports what it uses and declares what it assumes. */
function asModule(file: string, code: string): string {
  const declared = new Set(Array.from(code.matchAll(/\b(?:const|let|class|function) (\w+)/g), ([, name]) => name));
  const used = new Set(code.match(/(?<![\w]|(?<!\.)\.)[A-Za-z]\w*/g)?.filter((name) => names.has(name) && !declared.has(name)));
  const needsData = /\bdata\b/.test(code) && !declared.has("data") ? 'declare const data: { batch(step: number, microBatch: number): import("heed/data").PairBatch };\n' : "";
  const imports = [...used].map((name) => `import { ${name} } from "${names.get(name)}";\n`).join("");
  const locals = given(file).replaceAll("data.CharacterTokenizer", 'import("heed/data").CharacterTokenizer');
  return `import type * as heed from "heed";\n${imports}${locals}${needsData}{\n${code}\n}\n`;
}

const sources: Record<string, string> = { "everything.ts": Object.keys(pages).map((page, i) => `export * as page${i} from "${page}";`).join("\n") };
const readme = readFileSync(`${root}/README.md`, "utf8");
for (const [index, [, code]] of Array.from(readme.matchAll(/```(?:js|ts)\n([^]*?)```/g)).entries()) sources[`readme-${index}.ts`] = code!;
for (const name of readdirSync(`${root}/examples`)) sources[`example-${name.replace(/\.\w+$/, ".ts")}`] = readFileSync(`${root}/examples/${name}`, "utf8");
const documented = examples.filter(({ name }) => names.has(name));
documented.forEach(({ file, name, code }, i) => (sources[`docstring-${i}-${name}.ts`] = asModule(file, code)));

/** Errors by file, as "line: message". */
function check(options: ts.CompilerOptions, more: string[] = []): Record<string, string[]> {
  const files = [...Object.keys(sources), ...more].map((name) => `${folder}/${name}`);
  const program = ts.createProgram(files, {
    strict: true, noEmit: true, skipLibCheck: false, target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.NodeNext, moduleDetection: ts.ModuleDetectionKind.Force, ...options,
  });
  const errors: Record<string, string[]> = {};
  for (const { file, start, messageText } of ts.getPreEmitDiagnostics(program)) {
    const line = file && start !== undefined ? file.getLineAndCharacterOfPosition(start).line + 1 : 0;
    (errors[file?.fileName.replace(`${root}/`, "").replace(root, "") ?? ""] ??= []).push(`${line}: ${ts.flattenDiagnosticMessageText(messageText, "\n")}`);
  }
  return errors;
}

describe("the published types", () => {
  beforeAll(() => {
    expect(existsSync(`${root}/dist/index.d.ts`), "build first: node build.mjs").toBe(true);
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    for (const [name, code] of Object.entries(sources)) writeFileSync(`${folder}/${name}`, code);
    writeFileSync(`${folder}/environment.d.ts`, environment);
  });

  it("are tested on the README's code, the examples, and the examples of most docstrings", () => {
    expect(Object.keys(sources).filter((name) => name.startsWith("readme")).length).toBe(2);
    expect(Object.keys(sources).filter((name) => name.startsWith("example")).length).toBe(6);
    expect(documented.length).toBeGreaterThan(40);
  });

  it("type-check in strict mode with lib es2022 only: no DOM, no Node types", () => {
    expect(check({ lib: ["lib.es2022.d.ts"], types: [] }, ["environment.d.ts"])).toEqual({});
  });

  it("type-check in strict mode with DOM and Node types", () => {
    expect(check({ lib: ["lib.es2022.d.ts", "lib.dom.d.ts", "lib.dom.iterable.d.ts"], types: ["node"] })).toEqual({});
  });
});
