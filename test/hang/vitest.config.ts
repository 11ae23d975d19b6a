import { defineConfig } from "vitest/config";

/** Test files for test/run.test.ts, of which one never ends. */
export default defineConfig({
  test: { root: import.meta.dirname, include: ["*.fixture.ts"], maxWorkers: 3, reporters: ["default", "../reporter.mjs"] },
});
