/** The size of what a web page downloads: the wasm module and its JavaScript, as published (heed's is not minified). */
import { existsSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { round } from "../harness.mjs";

const at = (path) => new URL(`../${path}`, import.meta.url);
const peer = (path) => at(`peers/node_modules/${path}`);

/** For one thread. tfjs is counted without its layers API, ORT without its WebGPU and WebNN backends. */
const peers = {
  "onnxruntime-web": { wasm: [peer("onnxruntime-web/dist/ort-wasm-simd-threaded.wasm")], js: [peer("onnxruntime-web/dist/ort.wasm.bundle.min.mjs")] },
  "tfjs-wasm": {
    wasm: [peer("@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm")],
    js: [peer("@tensorflow/tfjs-core/dist/tf-core.min.js"), peer("@tensorflow/tfjs-backend-wasm/dist/tf-backend-wasm.min.js")],
  },
  "jax-js": { wasm: [], js: closure(peer("@jax-js/jax/dist/index.js")) }, // it generates its wasm modules at run time
};

export default function size(harness) {
  const installed = Object.entries(peers).filter(([, { js }]) => js.every(existsSync));
  if (installed.length < 3) console.log("  (not all peers are installed)");
  for (const [how, bytesOf] of [["", raw], [", gzipped", gzipped]]) {
    const kB = (files) => round(files.reduce((sum, file) => sum + bytesOf(file), 0) / 1000);
    const theirs = (kind) => Object.fromEntries(installed.filter(([, files]) => files[kind].length).map(([name, files]) => [name, kB(files[kind])]));
    for (const build of ["simd", "relaxed", "turbo"]) {
      harness.emit({ case: `wasm${how}`, build, value: kB([at(`../dist/heed.${build}.wasm`)]), unit: "kB", peers: theirs("wasm") });
    }
    harness.emit({ case: `JavaScript${how}`, build: "all", value: kB(closure(at("../dist/index.js"))), unit: "kB", peers: theirs("js") });
  }
}

const raw = (file) => readFileSync(file).length;
const gzipped = (file) => gzipSync(readFileSync(file), { level: 9 }).length;

/** A module and everything it imports statically by relative paths. */
function closure(file, found = new Set()) {
  if (found.has(file.href)) return [];
  found.add(file.href);
  const imports = existsSync(file) ? [...readFileSync(file, "utf8").matchAll(/(?:from|import)\s*["'](\.\/[^"']+)["']/g)] : [];
  return [file, ...imports.flatMap(([, path]) => closure(new URL(path, file), found))];
}
