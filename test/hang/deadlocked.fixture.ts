import { writeFileSync } from "node:fs";
import { it } from "vitest";

it("passes before the other hangs", () => undefined);
it("waits for ever, as at a barrier that another thread never reaches", () => {
  writeFileSync(process.env.HEED_TEST_PID!, String(process.pid));
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
});
