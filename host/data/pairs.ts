/** The number of ids that fit in a pair's key. */
export const MOST_TOKENS = 2 ** 20;
/** A pair's key is left · 2²⁰ + right, which orders pairs by their left id, then by their right id. */
const RADIX = MOST_TOKENS;

/** Two adjacent tokens, and how often they occur. */
export interface Pair {
  left: number;
  right: number;
  count: number;
}

/**
 * The words of a corpus as token ids, and the count of each pair of adjacent tokens, which is updated as pairs are merged.
 * A merge visits only the words that contain the pair, so its cost is proportional to the number of changes.
 */
export class Pairs {
  private readonly words: number[][] = [];
  private readonly frequencies: number[] = [];
  private readonly counts = new Map<number, number>();
  /** The words in which a pair occurs or used to occur, without consecutive duplicates. */
  private readonly places = new Map<number, number[]>();
  private readonly heap = new PairHeap();

  /**
   * @param words  occurrences by word
   * @param ids    ids by character
   */
  constructor(words: Map<string, number>, ids: Map<string, number>) {
    for (const [word, frequency] of words) {
      const index = this.words.push(Array.from(word, (character) => ids.get(character)!)) - 1;
      this.frequencies.push(frequency);
      const symbols = this.words[index]!;
      for (let i = 1; i < symbols.length; i++) this.add(symbols[i - 1]! * RADIX + symbols[i]!, frequency, index);
    }
    for (const [key, count] of this.counts) this.heap.push(count, key);
  }

  /** Removes and returns the most frequent pair; ties go to the smallest key. Returns undefined if no pair is left. */
  takeBest(): Pair | undefined {
    for (;;) {
      const top = this.heap.pop();
      if (top === undefined) return undefined;
      const count = this.counts.get(top.key) ?? 0;
      if (count === top.count) return { left: Math.floor(top.key / RADIX), right: top.key % RADIX, count };
      if (count > 0 && count < top.count) this.heap.push(count, top.key); // outdated entries are corrected when they surface
    }
  }

  /** Replaces a pair with the token `merged` in every word, from left to right. */
  merge({ left, right }: Pair, merged: number): void {
    const key = left * RADIX + right;
    const changed = new Set<number>();
    for (const index of this.places.get(key) ?? []) this.mergeInWord(index, left, right, merged, changed);
    this.counts.delete(key);
    this.places.delete(key);
    for (const grown of changed) this.heap.push(this.counts.get(grown)!, grown);
  }

  private mergeInWord(index: number, left: number, right: number, merged: number, changed: Set<number>): void {
    const symbols = this.words[index]!;
    const frequency = this.frequencies[index]!;
    let end = 0; //                                          symbols[0 … end) are final
    for (let i = 0; i < symbols.length; i++) {
      if (symbols[i] !== left || symbols[i + 1] !== right) {
        symbols[end++] = symbols[i]!;
        continue;
      }
      if (end > 0) {
        const before = symbols[end - 1]! * RADIX;
        this.add(before + left, -frequency, index);
        this.add(before + merged, frequency, index);
        changed.add(before + merged);
      }
      if (i + 2 < symbols.length) {
        const after = symbols[i + 2]!;
        this.add(right * RADIX + after, -frequency, index);
        this.add(merged * RADIX + after, frequency, index);
        changed.add(merged * RADIX + after);
      }
      symbols[end++] = merged;
      i++;
    }
    symbols.length = end;
  }

  private add(key: number, change: number, word: number): void {
    this.counts.set(key, (this.counts.get(key) ?? 0) + change);
    if (change < 0) return;
    const places = this.places.get(key);
    if (places === undefined) this.places.set(key, [word]);
    else if (places.at(-1) !== word) places.push(word);
  }
}

/** A binary heap of (count, key) with the largest count on top; ties go to the smallest key. */
class PairHeap {
  private readonly counts: number[] = [];
  private readonly keys: number[] = [];

  push(count: number, key: number): void {
    let i = this.counts.length;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!this.isBefore(count, key, parent)) break;
      this.place(i, this.counts[parent]!, this.keys[parent]!);
      i = parent;
    }
    this.place(i, count, key);
  }

  pop(): { count: number; key: number } | undefined {
    if (this.counts.length === 0) return undefined;
    const top = { count: this.counts[0]!, key: this.keys[0]! };
    const count = this.counts.pop()!;
    const key = this.keys.pop()!;
    const size = this.counts.length;
    if (size === 0) return top;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= size) break;
      if (child + 1 < size && this.isBefore(this.counts[child + 1]!, this.keys[child + 1]!, child)) child++;
      if (this.isBefore(count, key, child)) break;
      this.place(i, this.counts[child]!, this.keys[child]!);
      i = child;
    }
    this.place(i, count, key);
    return top;
  }

  private isBefore(count: number, key: number, other: number): boolean {
    const otherCount = this.counts[other]!;
    return count > otherCount || (count === otherCount && key < this.keys[other]!);
  }

  private place(i: number, count: number, key: number): void {
    this.counts[i] = count;
    this.keys[i] = key;
  }
}
