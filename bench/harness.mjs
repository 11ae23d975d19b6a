/**
 * The timing harness: contestants are checked against each other, then take turns, and their medians are compared.
 *
 * A contestant is `{ name, run, result }`: `run()` does the work once (and may return a promise), `result()` returns its numbers.
 * heed's contestants also have a `build` and a number of `threads`; all others are peers.
 */
import { cpus } from "node:os";
import { compileLimits } from "./limit.mjs";

/** Target duration of a turn in ms: long compared with the clock's resolution, short compared with the machine's fluctuations. */
const TURN = 4;
const WARM_UP = 250;
const FEWEST_TURNS = 5;

const clocks = {
  /** The time that a user waits. */
  wall: () => performance.now(),
  /** CPU time of all threads of this process: for measuring one thread on a busy machine. */
  cpu: () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1000;
  },
};

/** @typedef {{ clock: "wall" | "cpu", seconds: number, threads: number, only: string }} Settings */

export class Harness {
  /**
   * @param {string} suite
   * @param {Settings} settings
   * @param {(row: object) => void} emit
   */
  constructor(suite, settings, emit) {
    this.suite = suite;
    this.settings = settings;
    this.threads = settings.threads;
    this.now = clocks[settings.clock];
    this.emitRow = emit;
  }

  /** Whether a case is selected by `--only`; check before preparing an expensive one. */
  wants(title) {
    return title.includes(this.settings.only);
  }

  /**
   * Times a case and emits a row for each of heed's builds.
   * @param {string} title  op and shape
   * @param {object[]} contestants
   * @param {object} measure
   * @param {string} measure.unit  "GFLOP/s", "GB/s", "Gelement/s", "tokens/s", or "ms"
   * @param {number} [measure.amount]  FLOPs, bytes, elements or tokens per run
   * @param {string | Record<string, number>} [measure.limit]  the machine limit that bounds it, or several limits and the amount of each: the
   *   case takes at least the longest of their times (limit.mjs)
   * @param {number} [measure.tolerance]  largest difference of results, relative to the largest value
   */
  async compare(title, contestants, { unit, amount, limit, tolerance = 1e-4 }) {
    await verify(title, contestants, tolerance);
    const amounts = typeof limit === "string" ? { [limit]: amount } : (limit ?? {});
    if (limit) this.limits ??= await compileLimits();
    const boundsOf = (build) => Object.entries(amounts).map(([name, amount]) => ({ bound: (build === "simd" && this.limits[`plain ${name}`]) || this.limits[name], amount }));
    const bounds = new Set(contestants.flatMap(({ build }) => (build ? boundsOf(build) : [])).map(({ bound }) => bound));
    const times = await this.time([...contestants, ...bounds]);
    const toValue = (ms) => (unit === "ms" ? ms : amount / ms / (unit.startsWith("G") ? 1e6 : 1e-3));
    const valueOf = ({ name }) => round(toValue(times.get(name).median));
    const peers = Object.fromEntries(contestants.filter(({ build }) => !build).map((peer) => [peer.name, valueOf(peer)]));
    for (const heed of contestants.filter(({ build, threads }) => build && threads === this.threads)) {
      const { name, build, threads } = heed;
      const alone = threads > 1 ? valueOf(contestants.find((other) => other.build === build && other.threads === 1)) : null;
      const limitMs = Math.max(...boundsOf(build).map(({ bound, amount }) => (times.get(bound.name).median / bound.amount) * amount)) / threads;
      this.emit({ case: title, build, value: valueOf(heed), unit, limit: limit ? round(toValue(limitMs)) : null, peers, alone, spread: round(times.get(name).spread) });
    }
  }

  /** Emits a row, completed with the fields shared by all rows of a run. */
  emit(row) {
    this.emitRow({ suite: this.suite, threads: this.threads, limit: null, spread: 0, clock: this.settings.clock, ...row, machine, node: process.versions.node, date });
  }

  /** Milliseconds per run for each contestant: the median of its turns, and their spread. */
  async time(contestants) {
    const calls = new Map();
    for (const { name, run } of contestants) calls.set(name, await this.warmUp(run));
    const samples = new Map(contestants.map(({ name }) => [name, []]));
    const end = performance.now() + this.settings.seconds * 1000;
    for (let turn = 0; turn < FEWEST_TURNS || performance.now() < end; turn++) {
      for (let i = 0; i < contestants.length; i++) {
        const { name, run } = contestants[(i + turn) % contestants.length];
        globalThis.gc?.(); // the garbage of the previous contestant must not be collected during this turn
        samples.get(name).push(await this.turn(run, calls.get(name)));
      }
    }
    return new Map([...samples].map(([name, values]) => [name, statistics(values)]));
  }

  /** Runs until the optimizing compilers are done; returns the number of runs per turn. */
  async warmUp(run) {
    let total = 0;
    let last = await this.turn(run, 1);
    while (total < WARM_UP) total += last = await this.turn(run, 1);
    return Math.max(1, Math.round(TURN / Math.max(last, 1e-3)));
  }

  async turn(run, calls) {
    const start = this.now();
    for (let i = 0; i < calls; i++) {
      const pending = run();
      if (pending) await pending;
    }
    return (this.now() - start) / calls;
  }
}

/** The median, and the interquartile range relative to it. */
export function statistics(values) {
  const sorted = [...values].sort((x, y) => x - y);
  const quantile = (q) => sorted[Math.floor(q * (sorted.length - 1))];
  return { median: quantile(0.5), spread: (quantile(0.75) - quantile(0.25)) / quantile(0.5) };
}

/** @throws Error if a contestant's result differs from that of the first */
export async function verify(title, contestants, tolerance) {
  let expected;
  for (const { name, run, result } of contestants) {
    await run();
    const actual = await result();
    expected ??= actual;
    if (actual.length !== expected.length) throw new Error(`${title}: ${name} returns ${actual.length} values, ${contestants[0].name} returns ${expected.length}`);
    const scale = expected.reduce((largest, x) => Math.max(largest, Math.abs(x)), 0);
    const worst = actual.reduce((worst, x, i) => (Math.abs(x - expected[i]) <= Math.abs(actual[worst] - expected[worst]) ? worst : i), 0);
    if (!(Math.abs(actual[worst] - expected[worst]) <= tolerance * scale)) {
      throw new Error(`${title}: ${name} differs at [${worst}]: ${actual[worst]}, ${contestants[0].name} has ${expected[worst]}`);
    }
  }
}

export const round = (value) => Number(value.toPrecision(4));

const date = new Date().toISOString().slice(0, 10);
const machine = `${cpus().length} × ${cpus()[0].model.trim()}, ${process.platform} ${process.arch}`;
