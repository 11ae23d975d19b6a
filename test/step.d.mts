/** See step.mjs. */
export function runScript(
  args: readonly string[],
  options: { silence: number; env?: NodeJS.ProcessEnv; show?: (text: string, stream: NodeJS.WriteStream) => void },
): Promise<{ status: number | null; output: string; hung: boolean }>;
