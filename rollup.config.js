import { readFileSync } from "node:fs";
import resolve from "@rollup/plugin-node-resolve";
import typescript from "@rollup/plugin-typescript";
import dts from "rollup-plugin-dts";

const { dependencies } = JSON.parse(readFileSync("package.json", "utf8"));
const external = [/^node:/, ...Object.keys(dependencies)];
const entries = { index: "host/index.ts", data: "host/data/index.ts", io: "host/io/index.ts", node: "host/node.ts", web: "host/web.ts" };
const scripts = { cli: "host/cli/main.ts", "node-worker": "host/platform/node-worker.ts", "web-worker": "host/platform/web-worker.ts" };
const builds = ["simd", "relaxed", "turbo"];

/** Puts the core's builds beside the bundle, and makes it look there for them and for the workers' scripts. */
const core = {
  name: "core",
  transform: (code) => ({ code: code.replaceAll(/new URL\("(\.\.\/)+(build|dist)\//g, 'new URL("./'), map: null }),
  generateBundle() {
    for (const name of [...builds.flatMap((build) => [`heed.${build}`, `heed.${build}-threads`]), "limit.simd", "limit.relaxed"]) {
      const fileName = `${name}.wasm`;
      this.emitFile({ type: "asset", fileName, source: readFileSync(`build/${fileName}`) });
    }
  },
};

/** The bundle holds the enums as objects (preserveConstEnums); its types say so, for compilers that go file by file. */
const plainEnums = {
  name: "plain-enums",
  renderChunk: (code) => ({ code: code.replace(/\bconst enum\b/g, "enum"), map: null }),
};

/** Two chunks for everything that heed/index needs, since Node takes 0.6 ms to load a file: what heed/data or the workers need too, and the rest. */
function chunkOf(id, { getModuleInfo }) {
  const isNeededBy = (entry) => isReached(id, entry, getModuleInfo);
  if (getModuleInfo(id).isEntry || !isNeededBy("host/index")) return undefined;
  return isNeededBy("host/data/index") || isNeededBy("-worker") ? "base" : "heed";
}

/** Whether an entry point whose path contains `entry` imports a module, directly or not. */
function isReached(id, entry, getModuleInfo, seen = new Set()) {
  if (seen.has(id)) return false;
  seen.add(id);
  const { isEntry, importers } = getModuleInfo(id);
  return (isEntry && id.includes(entry)) || importers.some((importer) => isReached(importer, entry, getModuleInfo, seen));
}

export default [
  {
    input: { ...entries, ...scripts },
    external,
    plugins: [core, resolve(), typescript({ noEmit: false, declaration: false, preserveConstEnums: true, removeComments: true, include: ["host/**", "assembly/opcodes.ts", "assembly/layouts.ts"], noEmitOnError: false })],
    output: {
      dir: "dist",
      format: "es",
      entryFileNames: "[name].js",
      chunkFileNames: "shared-[name].js",
      manualChunks: chunkOf,
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
