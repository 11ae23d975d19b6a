import type { Runtime } from "../core/runtime";
import { createRuntime } from "../node";
import type { CommonOptions } from "./options";
import type { Terminal } from "./terminal";

/** The runtime that the options ask for; a warning goes to stderr. */
export function openRuntime({ build }: CommonOptions, { stderr }: Terminal): Promise<Runtime> {
  return createRuntime({ build, onWarning: ({ message }) => stderr.write(`heed: ${message}\n`) });
}
