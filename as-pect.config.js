// Unit tests of the core, written in AssemblyScript: `npm run test:core`.
import { setFlagsFromString } from "node:v8";

// On Node 20, relaxed SIMD is behind a flag.
setFlagsFromString("--experimental-wasm-relaxed-simd");

export default {
  entries: ["test/assembly/*.spec.ts"],
  include: [],
  disclude: [/node_modules/],
  async instantiate(memory, createImports, instantiate, binary) {
    return instantiate(binary, createImports({ env: { memory } }));
  },
  outputBinary: false,
};
