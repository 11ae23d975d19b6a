/**
 * How everything here is timed: contestants are checked against each other, then run in turns, and medians are compared.
 *
 * A contestant is `{ name, run, result }`: `run()` does the work once (it may return a promise), `result()` gives its numbers.
 * heed's have a `build` and a number of `threads` too; all others are peers.
 */
import { cpus } from "node:os";
import { compileLimits } from "./limit.mjs";

/** What a turn aims to last, in ms: long against the clock, short against the machine's moods. */
const TURN = 4;
const WARM_UP = 250;
const FEWEST_TURNS = 5;

const clocks = {
  /** What a user waits. */
  wall: () => performance.now(),
  /** This process's own time, all of its threads: for one thread on a machine that has other work. */
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

  /** Whether a case is among those asked for (`--only`); ask before preparing an expensive one. */
  wants(title) {
    return title.includes(this.settings.only);
  }

  /**
   * Times a case, and emits a row for each of heed's builds.
   * @param {string} title  op and shape
   * @param {object[]} contestants
   * @param {object} measure
   * @param {string} measure.unit  "GFLOP/s", "GB/s", "Gelement/s", "tokens/s", or "ms"
   * @param {number} [measure.amount]  flops, bytes, elements or tokens of one run
   * @param {"flops" | "bytes"} [measure.limit]  which of the machine's limits bounds it
   * @param {number} [measure.tolerance]  largest difference of results, relative to the largest value
   */
  async compare(title, contestants, { unit, amount, limit, tolerance = 1e-4 }) {
    await verify(title, contestants, tolerance);
    const bound = limit && (this.limits ??= await compileLimits())[limit];
    const times = await this.time(bound ? [...contestants, bound] : contestants);
    const toValue = (ms) => (unit === "ms" ? ms : amount / ms / (unit.startsWith("G") ? 1e6 : 1e-3));
    const valueOf = ({ name }) => round(toValue(times.get(name).median));
    const peers = Object.fromEntries(contestants.filter(({ build }) => !build).map((peer) => [peer.name, valueOf(peer)]));
    for (const heed of contestants.filter(({ build, threads }) => build && threads === this.threads)) {
      const { name, build, threads } = heed;
      const alone = threads > 1 ? valueOf(contestants.find((other) => other.build === build && other.threads === 1)) : null;
      const limitMs = bound && ((times.get("limit").median / bound.amount) * amount) / threads;
      this.emit({ case: title, build, value: valueOf(heed), unit, limit: bound ? round(toValue(limitMs)) : null, peers, alone, spread: round(times.get(name).spread) });
    }
  }

  /** A row, with what is the same for all rows of a run. */
  emit(row) {
    this.emitRow({ suite: this.suite, threads: this.threads, limit: null, spread: 0, clock: this.settings.clock, ...row, machine, node: process.versions.node, date });
  }

  /** Milliseconds of one run of each contestant: the median of turns taken one after another, and their spread. */
  async time(contestants) {
    const calls = new Map();
    for (const { name, run } of contestants) calls.set(name, await this.warmUp(run));
    const samples = new Map(contestants.map(({ name }) => [name, []]));
    const end = performance.now() + this.settings.seconds * 1000;
    for (let turn = 0; turn < FEWEST_TURNS || performance.now() < end; turn++) {
      for (let i = 0; i < contestants.length; i++) {
        const { name, run } = contestants[(i + turn) % contestants.length];
        globalThis.gc?.(); // what the one before left lying must not be cleared away in this one's time
        samples.get(name).push(await this.turn(run, calls.get(name)));
      }
    }
    return new Map([...samples].map(([name, values]) => [name, statistics(values)]));
  }

  /** Runs until the optimizing compilers are done; tells how many runs make a turn. */
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

/** Median, and the distance between the quartiles as a share of it. */
export function statistics(values) {
  const sorted = [...values].sort((x, y) => x - y);
  const quantile = (q) => sorted[Math.floor(q * (sorted.length - 1))];
  return { median: quantile(0.5), spread: (quantile(0.75) - quantile(0.25)) / quantile(0.5) };
}

/** @throws Error when a contestant's result is not the first one's */
export async function verify(title, contestants, tolerance) {
  let expected;
  for (const { name, run, result } of contestants) {
    await run();
    const actual = await result();
    expected ??= actual;
    if (actual.length !== expected.length) throw new Error(`${title}: ${name} gives ${actual.length} values, ${contestants[0].name} ${expected.length}`);
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
