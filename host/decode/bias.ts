import type { Block } from "../core/memory";
import type { Runtime } from "../core/runtime";
import { State } from "../graph/tensor";
import type { Sampler } from "./sampler";

/** Initial number of biases; it doubles when they run out. */
const FIRST = 4;

/**
 * Biases for logits: f32 [biases, vocabulary]. Rows with equal settings share one. Biases are numbered from 1; 0 stands for none.
 */
export class BiasTable {
  private readonly block: Block;
  private readonly numbers = new Map<string, number>();
  /** The key and the number of uses of each bias. */
  private readonly entries: { key: string; uses: number }[] = [];

  /** @throws HeedError `memory` if it does not fit */
  constructor(
    runtime: Runtime,
    private readonly vocabulary: number,
  ) {
    this.block = runtime.memory.allocate(FIRST * 4 * vocabulary, "session", "biases of logits");
  }

  /** The whole table, for a graph to use. */
  get state(): State {
    return new State(this.block, [this.capacity, this.vocabulary]);
  }

  /** The bias of a sampler: `logitBias`, and −Infinity for banned tokens and, if `isEarly`, for `end` tokens. */
  take({ logitBias, banned, end }: Required<Sampler>, isEarly: boolean): number {
    const values = new Map<number, number>();
    for (const [id, value] of logitBias) values.set(id, (values.get(id) ?? 0) + value);
    for (const id of isEarly ? [...banned, ...end] : banned) values.set(id, -Infinity);
    if (values.size === 0) return 0;
    const key = [...values].sort(([a], [b]) => a - b).join(";");
    let number = this.numbers.get(key);
    if (number === undefined) {
      number = this.firstUnused();
      this.numbers.set(key, number);
      this.entries[number - 1] = { key, uses: 0 };
      const row = this.block.f32((number - 1) * 4 * this.vocabulary, this.vocabulary).fill(0);
      for (const [id, value] of values) row[id] = value;
    }
    this.entries[number - 1]!.uses++;
    return number;
  }

  release(number: number): void {
    const entry = this.entries[number - 1];
    if (entry && --entry.uses === 0) this.numbers.delete(entry.key);
  }

  dispose(): void {
    this.block.free();
  }

  private get capacity(): number {
    return this.block.bytes / (4 * this.vocabulary);
  }

  private firstUnused(): number {
    const index = this.entries.findIndex(({ uses }) => uses === 0);
    if (index >= 0) return index + 1;
    if (this.entries.length === this.capacity) this.block.resize(2 * this.block.bytes);
    return this.entries.length + 1;
  }
}
