import { type ChildProcess, fork } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ModuleKind, ScriptTarget, transpile } from "typescript";
import { afterAll } from "vitest";

export const repository = fileURLToPath(new URL("../..", import.meta.url));
const children = new Set<ChildProcess>();
afterAll(() => children.forEach((child) => child.kill("SIGKILL")));

/** A temporary folder, removed at the end. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "heed-slow-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }));
  return folder;
}

/** Starts a script of this folder that answers each message with one message. */
export function start(script: string, ...args: string[]): ChildProcess {
  const child = fork(join(repository, "test/slow", script), args, { cwd: repository });
  children.add(child);
  child.once("exit", () => children.delete(child));
  return child;
}

/** Sends a message and waits for the answer. Resolves to undefined if the process ends instead. */
export function ask<T>(child: ChildProcess, message: object): Promise<T | undefined> {
  return new Promise((resolve) => {
    const onMessage = (answer: unknown): void => (child.off("exit", onExit), resolve(answer as T));
    const onExit = (): void => (child.off("message", onMessage), resolve(undefined));
    child.once("message", onMessage).once("exit", onExit);
    child.send(message, (error) => error && onExit());
  });
}

export async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGKILL");
  await ended;
}

/** Compiles host/cli/lock.ts, which no entry point exports, to a module in the folder. */
export function compileLock(folder: string): string {
  for (const [source, target] of [["host/cli/lock.ts", "lock.mjs"], ["host/errors.ts", "errors.mjs"]] as const) {
    const code = transpile(readFileSync(join(repository, source), "utf8"), { module: ModuleKind.ESNext, target: ScriptTarget.ES2022 });
    writeFileSync(join(folder, target), code.replaceAll('"../errors"', '"./errors.mjs"'));
  }
  return join(folder, "lock.mjs");
}

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
