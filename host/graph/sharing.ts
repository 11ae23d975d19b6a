import { Share } from "../../assembly/layouts";
import type { Block } from "../core/memory";
import { accessesOf, bytesOf, type Graph, type Instruction } from "./graph";
import type { Plan } from "./planner";
import { type Address, type Storage, tensorOf } from "./tensor";

/** Work that repays another thread, in ns: less is done before the other's cache has what it needs. */
export const GRAIN = 2000;
/** What one thread does in a ns, about: enough to tell small from large. */
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
 * Decides for each instruction how many threads take part, and where they must wait for each other: before an instruction that
 * touches what another has written, or writes what another reads, since they last waited. Memory counts, not tensors, since the plan lets tensors follow
 * one another in one place. What a single thread does one after another is in order without waiting.
 * @param grain  ns; 0: all threads take part in everything (a test's switch)
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
    shared.push({ participants, isFree: true }); // the last one too: at a program's end all wait
  }
  return shared;
}

/** As the upper half of an instruction's word 1. */
export const shareBits = ({ participants, isFree }: Sharing): number => participants * Share.Threads + (isFree ? Share.Free : 0);

function timeOf(instruction: Instruction): number {
  const { writes, reads } = accessesOf(instruction);
  return Math.max(instruction.flops / FLOPS, bytesOf([...writes, ...reads]) / BYTES);
}

/** A piece of a block, or of the arena (no block). Of working memory, each thread has a part of its own. */
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
  return { participants, reads: read.filter(({ storage }) => !storage.isScratch), writes: [...ranges(writes), ...read.filter(({ storage }) => storage.isScratch)] };
}

function conflict(a: Access, b: Access): boolean {
  if (a.participants === 1 && b.participants === 1) return false; // thread 0 does both
  return overlap(a.writes, b.writes) || overlap(a.writes, b.reads) || overlap(a.reads, b.writes);
}

const overlap = (some: readonly Range[], others: readonly Range[]): boolean =>
  some.some((a) => others.some((b) => a.block === b.block && a.start < b.end && b.start < a.end && !(a.storage === b.storage && a.storage.isScratch)));
