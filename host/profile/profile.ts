import { yieldToEventLoop } from "../core/yieldtoeventloop";
import type { Limit } from "../core/limit";
import type { InstructionInfo, Program } from "../graph/program";

/** A program to time, and what has to happen before each of its runs: writing its inputs. */
export interface Timed {
  readonly program: Program;
  readonly prepare?: () => void;
}

/** One instruction with its time. */
export interface ProfileLine extends InstructionInfo {
  /** Median over the runs, in milliseconds. */
  readonly ms: number;
}

/** What `profile` measures. */
export interface Profile {
  /** Every instruction, in the order in which they run. */
  readonly lines: readonly ProfileLine[];
  readonly runs: number;
  /** What the machine could do meanwhile, in a millisecond. */
  readonly limits: { readonly flops: number; readonly bytes: number };
}

/** By what to measure, and how long. */
export interface ProfileOptions {
  /** A clock, in milliseconds: `() => performance.now()`. */
  now: () => number;
  /** What the machine is measured by: `await machineLimits()`. */
  limits: { flops: Limit; bytes: Limit };
  /** How long to measure; as long again goes before, until the engine has optimized the core. 1 by default. */
  seconds?: number;
  /** Of the programs' runtime: the limits are those of one, times as many. */
  threads?: number;
}

const FEWEST_RUNS = 5;

/**
 * Times programs instruction by instruction, again and again, and the machine's limits in turn with them.
 * Several programs run one after another, as the two of a training step do.
 *
 * @example
 * const graph = new Graph(await Runtime.create());
 * graph.keep(softmax(graph.tensor([1024, 1024])));
 * const { lines } = await profile([{ program: compile(graph) }], { now: () => performance.now(), limits: await machineLimits(), seconds: 0.1 });
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
  } while (now() - measured < 1000 * seconds || rates.flops.length < FEWEST_RUNS);
  // Last, since it leaves nothing in the caches; the first runs reserve its memory and have it optimized.
  for (let run = -FEWEST_RUNS; run < FEWEST_RUNS; run++) {
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
