import { readFileSync } from "node:fs";
import resolve from "@rollup/plugin-node-resolve";
import typescript from "@rollup/plugin-typescript";
import dts from "rollup-plugin-dts";

const { dependencies } = JSON.parse(readFileSync("package.json", "utf8"));
const external = [/^node:/, ...Object.keys(dependencies)];
const entries = { index: "host/index.ts", data: "host/data/index.ts", io: "host/io/index.ts", node: "host/node.ts" };

/** Puts the core's builds beside the bundle, where the bundled `host/core/bundled.ts` and `host/node.ts` then look. */
const core = {
  name: "core",
  transform(code, id) {
    const isFromHere = id.endsWith("/host/core/bundled.ts") || id.endsWith("/host/node.ts");
    return isFromHere ? { code: code.replaceAll(/(\.\.\/)+build\//g, "./"), map: null } : null;
  },
  generateBundle() {
    for (const fileName of ["heed.simd.wasm", "heed.relaxed.wasm", "heed.turbo.wasm", "limit.simd.wasm", "limit.relaxed.wasm"]) {
      this.emitFile({ type: "asset", fileName, source: readFileSync(`build/${fileName}`) });
    }
  },
};

/** The bundle holds the enums as objects (preserveConstEnums); its types say so, for compilers that go file by file. */
const plainEnums = {
  name: "plain-enums",
  renderChunk: (code) => ({ code: code.replace(/\bconst enum\b/g, "enum"), map: null }),
};

export default [
  {
    input: { ...entries, cli: "host/cli/main.ts" },
    external,
    plugins: [core, resolve(), typescript({ noEmit: false, declaration: false, preserveConstEnums: true, include: ["host/**", "assembly/opcodes.ts"], noEmitOnError: false })],
    output: {
      dir: "dist",
      format: "es",
      entryFileNames: "[name].js",
      chunkFileNames: "shared-[name].js",
      banner: (chunk) => (chunk.name === "cli" ? "#!/usr/bin/env node" : ""),
    },
  },
  {
    input: entries,
    external,
    plugins: [dts(), plainEnums],
    output: { dir: "dist", format: "es", entryFileNames: "[name].d.ts", chunkFileNames: "shared-[name].d.ts" },
  },
];
