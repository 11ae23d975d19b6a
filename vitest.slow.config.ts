import { defineConfig } from "vitest/config";

/** The slow suite, `npm run test:slow`: attacks on files, locks and the command, seeded and sized by HEED_SEED and HEED_ROUNDS. */
export default defineConfig({
  test: { include: ["test/slow/**/*.slow.ts"], testTimeout: 600_000, fileParallelism: false },
});
