import type { Runtime } from "../core/runtime";
import { createRuntime } from "../node";
import type { Context } from "./context";
import type { ThreadsOptions } from "./options";

/** The runtime that the options ask for; it ends with the command. A warning goes to stderr. */
export async function openRuntime({ build, threads }: ThreadsOptions, { runtimes, terminal }: Context): Promise<Runtime> {
  const runtime = await createRuntime({ build, threads, onWarning: ({ message }) => terminal.stderr.write(`heed: ${message}\n`) });
  runtimes.push(runtime);
  return runtime;
}
