import { Share } from "../../assembly/layouts";
import type { Block } from "../core/memory";
import { accessesOf, bytesOf, type Graph, type Instruction } from "./graph";
import type { Plan } from "./planner";
import { type Address, type Storage, tensorOf } from "./tensor";

/** The least work that justifies another thread, in ns. Less is done before the data has reached the other thread's cache. */
export const GRAIN = 2000;
/** Rough throughput of one thread, per ns: precise enough to tell small from large. */
const FLOPS = 40;
const BYTES = 16;

/** How threads share an instruction. */
export interface Sharing {
  /** Threads that take a slice. */
  readonly participants: number;
  /** Whether the next instruction may start before all of them are done. */
  isFree: boolean;
}

/**
 * Decides how many threads take part in each instruction, and where they must wait for each other: before an instruction that
 * accesses memory that another has written since they last waited, or writes memory that another has read. Memory ranges are
 * compared, not tensors, since the plan reuses memory. Consecutive instructions of a single thread need no wait.
 * @param grain  in ns; with 0, all threads take part in every instruction (for tests)
 */
export function share(graph: Graph, plan: Plan, threads: number, grain = GRAIN): Sharing[] {
  const shared: Sharing[] = [];
  let pending: Access[] = [];
  for (const instruction of graph.instructions) {
    const participants = Math.min(threads, Math.max(1, Math.floor(timeOf(instruction) / grain)));
    const access = accessOf(instruction, plan, participants);
    const mustWait = pending.some((earlier) => conflict(earlier, access));
    if (mustWait) {
      shared.at(-1)!.isFree = false;
      pending = [];
    }
    pending.push(access);
    shared.push({ participants, isFree: true }); // including the last one: all threads wait at the end of a program
  }
  return shared;
}

/** The encoding in the upper half of an instruction's word 1. */
export const shareBits = ({ participants, isFree }: Sharing): number => participants * Share.Threads + (isFree ? Share.Free : 0);

function timeOf(instruction: Instruction): number {
  const { writes, reads } = accessesOf(instruction);
  return Math.max(instruction.flops / FLOPS, bytesOf([...writes, ...reads]) / BYTES);
}

/** A range of a block, or of the arena if there is no block. In working memory, each thread has its own part. */
interface Range {
  readonly storage: Storage;
  readonly block: Block | undefined;
  readonly start: number;
  readonly end: number;
}

interface Access {
  readonly participants: number;
  readonly reads: Range[];
  readonly writes: Range[];
}

function accessOf(instruction: Instruction, { offsets }: Plan, participants: number): Access {
  const ranges = (addresses: Address[]): Range[] =>
    addresses.map((address) => {
      const { storage } = tensorOf(address);
      const start = storage.block ? storage.offset! : offsets.get(storage)!;
      return { storage, block: storage.block, start, end: start + storage.bytes };
    });
  const { writes, reads } = accessesOf(instruction);
  const read = ranges(reads);
  const scratch = read.filter(({ storage }) => storage.isScratch);
  return { participants, reads: read.filter(({ storage }) => !storage.isScratch), writes: [...ranges(writes), ...scratch] };
}

function conflict(a: Access, b: Access): boolean {
  if (a.participants === 1 && b.participants === 1) return false; // thread 0 does both
  return overlap(a.writes, b.writes) || overlap(a.writes, b.reads) || overlap(a.reads, b.writes);
}

const overlap = (some: readonly Range[], others: readonly Range[]): boolean =>
  some.some((a) =>
    others.some((b) => {
      const isSameScratch = a.storage === b.storage && a.storage.isScratch;
      return a.block === b.block && a.start < b.end && b.start < a.end && !isSameScratch;
    }),
  );
