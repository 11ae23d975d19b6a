// npm run test:mutants: plants one mistake at a time in a scratch copy of the project and runs a few tests against it. A mutant that
// survives is a gap in the tests. Exits with 1 if one did.
//   node test/mutants/run.mjs [words...]    only the mutants whose title or file contains one of the words
import { spawn, spawnSync } from "node:child_process";
import { copyFileSync, cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { mutants } from "./mutants.mjs";

/** Seconds after which a mutant counts as killed: its tests hang. */
const LIMIT = 60;
const root = fileURLToPath(new URL("../..", import.meta.url));
const words = process.argv.slice(2);
const chosen = mutants.filter(({ title, file }) => words.length === 0 || words.some((word) => `${title} ${file}`.includes(word)));

expectSuccess(root, "build.mjs");
const copy = mkdtempSync(join(tmpdir(), "heed-mutants-"));
try {
  for (const name of ["assembly", "host", "test", "build", "dist", "examples", "asconfig.json", "package.json", "tsconfig.json", "vitest.config.ts"]) {
    cpSync(join(root, name), join(copy, name), { recursive: true, preserveTimestamps: true });
  }
  symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
  await expectClean();
  const survivors = [];
  for (const mutant of chosen) {
    const end = await tryOut(mutant);
    if (end === "survived") survivors.push(mutant.title);
    console.log(`${end.padEnd(9)} ${mutant.file}: ${mutant.title}`);
  }
  console.log(`\n${chosen.length - survivors.length} of ${chosen.length} mutants killed`);
  process.exitCode = survivors.length > 0 ? 1 : 0;
} finally {
  rmSync(copy, { recursive: true, force: true });
}

/** Without a mistake, all tests must pass. */
async function expectClean() {
  const tests = [...new Set(chosen.flatMap(({ tests }) => tests))];
  if ((await run(tests, 10 * LIMIT)) !== "survived") throw new Error("the tests fail without a mutant; run npm test");
}

/** Plants a mutant, runs its tests and restores the file. */
async function tryOut({ file, from, to, tests, only, title }) {
  const path = join(copy, file);
  const original = readFileSync(path, "utf8");
  const places = original.split(from).length - 1;
  if (places !== 1) throw new Error(`${title}: expected one place in ${file} that reads ${JSON.stringify(from)}, found ${places}`);
  writeFileSync(path, original.replace(from, () => to));
  const wasm = file.startsWith("assembly/") ? ["heed.simd.wasm", "heed.simd-threads.wasm"].map((name) => `build/${name}`) : [];
  try {
    if (wasm.length > 0) {
      const asc = "node_modules/assemblyscript/bin/asc.js";
      expectSuccess(copy, asc, "assembly/index.ts", "--target", "simd");
      if (tests.some((test) => test.includes("threads"))) {
        expectSuccess(copy, asc, "assembly/index.ts", "assembly/threads.ts", "--target", "simd-threads");
      }
    }
    return await run([...tests, ...(only === undefined ? [] : ["-t", only])]);
  } finally {
    writeFileSync(path, original);
    for (const name of wasm) copyFileSync(join(root, name), join(copy, name));
  }
}

/** Runs tests in the copy, until the first one fails. */
function run(args, limit = LIMIT) {
  const vitest = ["node_modules/vitest/vitest.mjs", "run", "--bail=1", "--reporter=dot", ...args];
  const child = spawn(process.execPath, vitest, { cwd: copy, stdio: "ignore", detached: true }); // a process group, to kill its workers too
  return new Promise((resolve) => {
    const timer = setTimeout(() => process.kill(-child.pid, "SIGKILL"), limit * 1000);
    child.on("close", (status, signal) => {
      clearTimeout(timer);
      resolve(signal ? "hung" : status === 0 ? "survived" : "killed");
    });
  });
}

function expectSuccess(cwd, ...args) {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd, encoding: "utf8" });
  if (status !== 0) throw new Error(`node ${args.join(" ")} failed:\n${stdout}${stderr}`);
}
