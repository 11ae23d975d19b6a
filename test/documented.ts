import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const host = fileURLToPath(new URL("../host/", import.meta.url));
const read = (file: string): string => readFileSync(host + file, "utf8");

export interface Documented {
  file: string;
  /** `function`, `class`, `const`, `type`, … */
  kind: string;
  name: string;
  example: string;
}

/** Every export that has a docstring, with its `@example`, outside the command line. */
const documented = readdirSync(host, { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts") && !file.startsWith("cli"))
  .flatMap((file) =>
    Array.from(read(file).matchAll(/\/\*\*((?:(?!\*\/)[^])*)\*\/\nexport (?:declare |abstract |async )*(\w+)\*? (\w+)/g), ([, text, kind, name]): Documented => {
      const [, example = ""] = /@example\n([^]*)$/.exec(text!.replace(/^ ?\* ?/gm, "")) ?? [];
      return { file, kind: kind!, name: name!, example: example.trim() };
    }),
  );
/** The examples one by one; what they import is in scope anyway. */
export const examples = documented.flatMap(({ file, name, example }) =>
  example.split("@example").map((code) => ({ file, name, code: code.replace(/^import .*\n/gm, "").trim() })).filter(({ code }) => code !== ""),
);
export const byName = new Map(documented.map((entry) => [entry.name, entry]));

/** What each page of the API exports, types included. The const enum Activation is explained in assembly/opcodes.ts. */
export const pages = { heed: "index.ts", "heed/data": "data/index.ts", "heed/io": "io/index.ts", "heed/node": "node.ts", "heed/web": "web.ts" };
export const exportsOf = (file: string): string[] =>
  Array.from(read(file).matchAll(/^export (?:\{([^}]*)\}|(?:async )?(?:function|class|const|interface|type) (\w+))/gm), ([, names, name]) => (names ?? name!).split(","))
    .flat()
    .map((name) => name.trim().replace(/^type /, ""))
    .filter((name) => name !== "Activation");
