import { yieldToEventLoop } from "../core/yieldtoeventloop";
import type { Limit } from "../core/limit";
import type { InstructionInfo, Program } from "../graph/program";

/** A program to time. `prepare` is called before each run, to write the inputs. */
export interface Timed {
  readonly program: Program;
  readonly prepare?: () => void;
}

/** An instruction with its time. */
export interface ProfileLine extends InstructionInfo {
  /** Median over the runs, in milliseconds. */
  readonly ms: number;
}

/** The result of `profile`. */
export interface Profile {
  /** Every instruction, in execution order. */
  readonly lines: readonly ProfileLine[];
  readonly runs: number;
  /** The machine's limits during the measurement, per millisecond. */
  readonly limits: { readonly flops: number; readonly bytes: number };
}

/** Options of `profile`. */
export interface ProfileOptions {
  /** A clock, in milliseconds: `() => performance.now()`. */
  now: () => number;
  /** The loops that measure the machine's limits: `await machineLimits()`. */
  limits: { flops: Limit; bytes: Limit };
  /** How long to measure; 1 by default. A warm-up of the same length, in which the engine optimizes the core, comes first. */
  seconds?: number;
  /** Number of threads of the programs' runtime. The limits are measured on one thread and multiplied by it. */
  threads?: number;
}

const MIN_RUNS = 5;

/**
 * Repeatedly times programs, instruction by instruction, and measures the machine's limits in between.
 * Several programs run one after another, such as the two of a training step.
 *
 * @example
 * const graph = new Graph(await Runtime.create());
 * graph.keep(softmax(graph.tensor([1024, 1024])));
 * const limits = await machineLimits();
 * const { lines } = await profile([{ program: compile(graph) }], { now: () => performance.now(), limits, seconds: 0.1 });
 * console.log(lines[0].name, lines[0].ms);
 */
export async function profile(programs: readonly Timed[], { now, limits, seconds = 1, threads = 1 }: ProfileOptions): Promise<Profile> {
  const lines = programs.flatMap(({ program }) => program.describe().instructions);
  const samples = lines.map((): number[] => []);
  const rates = { flops: [] as number[], bytes: [] as number[] };
  const rate = ({ amount, run }: Limit): number => {
    const start = now();
    run();
    return amount / (now() - start);
  };
  const replay = (): number[] =>
    programs.flatMap(({ program, prepare }) => {
      prepare?.();
      return [...program.time(now)];
    });

  const started = now();
  do {
    replay();
    rate(limits.flops);
    await yieldToEventLoop();
  } while (now() - started < 1000 * seconds);
  const measured = now();
  do {
    replay().forEach((ms, i) => samples[i]!.push(ms));
    rates.flops.push(rate(limits.flops));
    await yieldToEventLoop();
  } while (now() - measured < 1000 * seconds || rates.flops.length < MIN_RUNS);
  // This comes last because it evicts everything from the caches. The first runs are a warm-up: they allocate memory and optimize.
  for (let run = -MIN_RUNS; run < MIN_RUNS; run++) {
    const bytes = rate(limits.bytes);
    if (run >= 0) rates.bytes.push(bytes);
    await yieldToEventLoop();
  }

  return {
    lines: lines.map((line, i) => ({ ...line, ms: median(samples[i]!) })),
    runs: rates.flops.length,
    limits: { flops: threads * median(rates.flops), bytes: threads * median(rates.bytes) },
  };
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!;
