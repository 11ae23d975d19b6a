// Prints, for each build, the hash of a training with the build of dist/.
import { createHash } from "node:crypto";
import { createRuntime, trialTraining } from "../../dist/node.js";

for (const build of ["turbo", "relaxed", "simd"]) {
  const runtime = await createRuntime({ build });
  const results = await trialTraining(runtime);
  console.log(runtime.build, results.length, createHash("sha256").update(Float64Array.from(results)).digest("hex"));
}
