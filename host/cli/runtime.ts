import type { Runtime } from "../core/runtime";
import { createRuntime } from "../node";
import type { Context } from "./context";
import type { ThreadsOptions } from "./options";
import { note } from "./terminal";

/** Opens the runtime chosen by the options. It is disposed when the command ends. Warnings go to stderr. */
export async function openRuntime({ build, threads }: ThreadsOptions, { runtimes, terminal }: Context): Promise<Runtime> {
  const runtime = await createRuntime({ build, threads, onWarning: ({ message }) => note(terminal, `heed: ${message}\n`) });
  runtimes.push(runtime);
  return runtime;
}
