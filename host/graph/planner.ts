import { align } from "../core/memory";
import { accessesOf, type Graph } from "./graph";
import { type Storage, tensorOf } from "./tensor";

/** The instructions during which a storage is in use: their first and last index, both inclusive. */
export interface Lifetime {
  readonly storage: Storage;
  first: number;
  last: number;
}

export interface Plan {
  /** Offset of each storage in the arena, in bytes. */
  readonly offsets: Map<Storage, number>;
  /** Size of the arena in bytes: the peak memory of the program's intermediates. */
  readonly bytes: number;
}

/** The lifetime of every storage in the arena. Inputs live throughout, so a program can run again without writing them again. */
export function lifetimes(graph: Graph): Lifetime[] {
  const found = new Map<Storage, Lifetime>();
  const touch = (storage: Storage, index: number): void => {
    if (storage.block) return;
    const lifetime = found.get(storage);
    if (!lifetime) found.set(storage, { storage, first: index, last: index });
    else lifetime.last = Math.max(lifetime.last, index);
  };
  const end = graph.instructions.length;
  for (const storage of graph.inputs) touch(storage, -1);
  graph.instructions.forEach((instruction, index) => {
    const { writes, reads } = accessesOf(instruction);
    for (const address of [...writes, ...reads]) touch(tensorOf(address).storage, index);
  });
  for (const storage of [...graph.inputs, ...graph.kept]) touch(storage, end);
  return [...found.values()];
}

/**
 * Places every storage so that no two with overlapping lifetimes overlap in memory.
 *
 * Greedy by size: the largest first, each in the smallest gap that is large enough between the storages placed so far that are alive at
 * the same time (Pisarchyk & Lee 2020, arXiv:2001.03288, "Greedy by Size for Offset Calculation").
 * @param reuse  false gives every storage its own bytes, for tests: results must not change
 */
export function plan(alive: readonly Lifetime[], { reuse = true } = {}): Plan {
  const placed: { lifetime: Lifetime; start: number; end: number }[] = [];
  let bytes = 0;
  for (const lifetime of [...alive].sort((a, b) => b.storage.bytes - a.storage.bytes || a.first - b.first)) {
    const size = align(lifetime.storage.bytes);
    const neighbours = placed.filter(({ lifetime: other }) => !reuse || (other.first <= lifetime.last && lifetime.first <= other.last));
    let start = 0;
    let gapStart = 0;
    let smallest = Infinity;
    for (const { start: from, end } of neighbours) {
      const gap = from - gapStart;
      if (gap >= size && gap < smallest) [smallest, start] = [gap, gapStart];
      gapStart = Math.max(gapStart, end);
    }
    if (smallest === Infinity) start = gapStart;
    const block = { lifetime, start, end: start + size };
    const at = placed.findIndex((other) => other.start > start);
    placed.splice(at < 0 ? placed.length : at, 0, block);
    bytes = Math.max(bytes, block.end);
  }
  return { offsets: new Map(placed.map(({ lifetime, start }) => [lifetime.storage, start])), bytes };
}
