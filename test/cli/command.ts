import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable, Writable } from "node:stream";
import { afterAll } from "vitest";
import { heed } from "../../host/cli/program";

export interface Outcome {
  code: number;
  stdout: string;
  stderr: string;
  /** The last line on stdout, as `--json` prints it. */
  json: Record<string, unknown>;
}

interface RunOptions {
  stdin?: string | Uint8Array | Iterable<string>;
  /** Fails every write to a stream with this error code. */
  broken?: { stdout?: string; stderr?: string };
  /** Presses Ctrl-C when stderr shows this. */
  interruptAt?: string;
  /** Makes stderr a terminal. */
  isTTY?: boolean;
}

/** Runs the command in this process. */
export async function run(args: string[], { stdin = "", broken = {}, interruptAt, isTTY }: RunOptions = {}): Promise<Outcome> {
  const output = { stdout: "", stderr: "" };
  let interrupt: (() => void) | undefined;
  const collect = (name: "stdout" | "stderr", settings = {}): Writable => {
    const write = (chunk: Buffer, _: string, done: (error?: Error) => void): void => {
      output[name] += chunk.toString();
      const code = broken[name];
      if (code) return done(Object.assign(new Error(`${code}: write`), { code }));
      if (interruptAt && output.stderr.includes(interruptAt)) interrupt?.();
      done();
    };
    return Object.assign(new Writable({ write }), settings);
  };
  const code = await heed(args, {
    stdin: Readable.from(typeof stdin === "string" || stdin instanceof Uint8Array ? [stdin] : stdin),
    stdout: collect("stdout", { isTTY }),
    stderr: collect("stderr", { isTTY, columns: 100 }),
    onInterrupt(callback) {
      interrupt = callback;
      return () => (interrupt = undefined);
    },
  });
  const last = output.stdout.trimEnd().split("\n").at(-1)!;
  return { code, ...output, json: last.startsWith("{") ? (JSON.parse(last) as Record<string, unknown>) : {} };
}

/** A temporary folder for one test file, removed at its end. */
export function temporaryFolder(): { path(name: string): string; file(name: string, content: string | Uint8Array): string } {
  const folder = mkdtempSync(join(tmpdir(), "heed-test-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const path = (name: string): string => join(folder, name);
  const file = (name: string, content: string | Uint8Array): string => {
    writeFileSync(path(name), content);
    return path(name);
  };
  return { path, file };
}

/** Settings that train in an instant. */
export const tinyTransformer = {
  model: { width: 16, hidden: 16, heads: 2, encoderLayers: 1, decoderLayers: 1, maxLength: 40, dropout: 0.1 },
  training: { steps: 24, batch: 8, validateEvery: 8, schedule: { warmup: 4 } },
};

export const tinyGPT = {
  model: { width: 16, heads: 2, layers: 1, block: 16, dropout: 0.1 },
  training: { steps: 24, batch: 4, validateEvery: 8, schedule: { warmup: 4 } },
};

export const tinyLlama = { ...tinyGPT, model: { width: 16, heads: 2, keyValueHeads: 1, layers: 1, block: 16, hidden: 24, dropout: 0.1 } };

/** A text that repeats a few words. */
export const text = "the cat sat on the mat, and the dog sat on the log.\n".repeat(40);

/** A parallel corpus with three words per line. */
export function corpus(lines: number): { source: string; target: string } {
  const [nouns, verbs] = [["hund", "katze", "mann"], ["rennt", "schläft", "isst"]];
  const [nounsEn, verbsEn] = [["dog", "cat", "man"], ["runs", "sleeps", "eats"]];
  const write = (of: string[], how: string[], the: string): string =>
    Array.from({ length: lines }, (_, i) => `${the} ${of[i % 3]} ${how[Math.floor(i / 3) % 3]}\n`).join("");
  return { source: write(nouns, verbs, "der"), target: write(nounsEn, verbsEn, "the") };
}
