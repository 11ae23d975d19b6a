// The test command: builds what is stale, then runs every check and shows all of its output. The last line is the count;
// the type check and the lint count as one test each. Exits with 1 when anything failed.
// A step that prints nothing for HEED_TEST_SILENCE seconds (600 by default) is killed, and the test files that were running count as failed.
import { existsSync, readFileSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { stripVTControlCharacters } from "node:util";
import { runScript } from "./step.mjs";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));
const modules = "node_modules";
const silence = Number(process.env.HEED_TEST_SILENCE ?? 600);
const total = { passed: 0, failed: 0, skipped: 0 };

await step("build", () => ({ passed: 0, failed: 0, skipped: 0 }), "build.mjs");
for (const build of ["as-pect", "as-pect.relaxed"]) {
  await step(`core tests (${build})`, countAsPect, `${modules}/@as-pect/cli/bin/asp.js`, "--as-config", `${build}.asconfig.json`, "--no-logo");
}
const report = "build/tests.json"; // written by reporter.mjs
for (let left = []; left !== undefined;) left = await testFiles(left);
await step("types", asOne, `${modules}/typescript/bin/tsc`, "-p", ".");
await step("lint", asOne, `${modules}/eslint/bin/eslint.js`, ".", "--max-warnings=0");

const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : "";
console.log(`\n${total.passed} passed, ${total.failed} failed${skipped}`);
process.exitCode = total.failed > 0 ? 1 : 0;

/**
 * Runs the given test files, or all of them.
 * @returns the files that have not run because an earlier one hung, or undefined
 */
async function testFiles(files) {
  let left;
  rmSync(report, { force: true });
  const vitest = [`${modules}/vitest/vitest.mjs`, "run", "--reporter=default", "--reporter=./test/reporter.mjs"];
  const hung = await step("tests", () => {
    if (!existsSync(report)) return { passed: 0, failed: 1, skipped: 0 };
    const { passed, failed, skipped, running, waiting } = JSON.parse(readFileSync(report, "utf8"));
    for (const file of running) console.log(`${file}: did not end`);
    if (running.length > 0 && waiting.length > 0) left = waiting;
    return { passed, failed: failed + running.length, skipped };
  }, ...vitest, ...files);
  return hung ? left : undefined;
}

/** Runs a script of node's, showing what it prints, and adds up what `count` makes of its exit status and output. */
async function step(title, count, ...args) {
  console.log(`\n=== ${title}`);
  const { status, output, hung } = await runScript(args, { silence });
  if (hung) console.log(`\n${title}: killed after ${silence} s without output`);
  const counts = count(status, stripVTControlCharacters(output));
  // What fails without a failing test (a crash, a file that does not load) is a failure all the same.
  if (status !== 0 && counts.failed === 0) counts.failed = 1;
  for (const key of Object.keys(total)) total[key] += counts[key];
  return hung;
}

function asOne(status) {
  return { passed: status === 0 ? 1 : 0, failed: status === 0 ? 0 : 1, skipped: 0 };
}

/** as-pect ends with `[Tests]: 3 / 4`: passed, of all. */
function countAsPect(_, output) {
  const [, passed, all] = /\[Tests\]: (\d+) \/ (\d+)/.exec(output) ?? [null, 0, 0];
  return { passed: Number(passed), failed: all - passed, skipped: 0 };
}
