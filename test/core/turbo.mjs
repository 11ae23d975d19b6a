// Prints the hash of a training run for several builds in dist/ and numbers of threads.
import { createHash } from "node:crypto";
import { createRuntime, trialTraining } from "../../dist/node.js";

for (const [build, threads] of [["turbo", 1], ["turbo", 2], ["relaxed", 1], ["simd", 1]]) {
  const runtime = await createRuntime({ build, threads });
  const results = await trialTraining(runtime);
  console.log(runtime.build, runtime.threads, createHash("sha256").update(Float64Array.from(results)).digest("hex"));
  await runtime.dispose();
}
