import { checkPairs, checkPositive, filled, type PairBatch, type PairSpecials } from "./batch";
import type { Pair } from "./parallel";
import { shuffle, Stream } from "./random";

/** The size of batches, and how they are filled up. */
export interface TokenBatchOptions {
  /** A batch's rows times its longer side is at most this. */
  tokensPerBatch: number;
  /** Ids of the target's special tokens. */
  specials: PairSpecials;
  /** The id that fills up the source. Default: specials.pad. */
  sourcePad?: number;
  /** Both sides are filled up to a multiple of this: fewer shapes, so fewer programs to compile. Default: 8. */
  multiple?: number;
  /** Default: 0. */
  seed?: number;
  /** Keep the pairs' order within a length and the lengths' order, as for validation. Default: false. */
  inOrder?: boolean;
}

/** One batch before it is filled: pairs by index, both sides of `length` tokens. */
interface Plan {
  length: number;
  rows: Uint32Array;
}

/**
 * A parallel corpus cut into batches of about equally many tokens, anew for each epoch.
 *
 * Pairs are shuffled and put into buckets by their longer side, rounded up to `multiple`. A bucket of length L gives batches of
 * exactly ⌊tokensPerBatch / L⌋ rows, so there is one shape a bucket; what does not fill a batch moves up to the next bucket. Only
 * the longest bucket's last batch has rows left, which are of source length 1 and have no target that counts.
 * The batches then go in random order. All follows from (seed, epoch), so training can resume anywhere.
 *
 * @example
 * const pairs = [{ source: [5, 6], target: [7] }, { source: [8], target: [9, 10, 11] }];
 * const batches = new TokenBatches(pairs, { tokensPerBatch: 16, specials: { pad: 0, bos: 1, eos: 2 } });
 * batches.shapes; // [[2, 8]]
 */
export class TokenBatches {
  /** The batches of every epoch. */
  readonly perEpoch: number;
  private readonly lengths: number[];
  private readonly buckets: Int32Array;
  private planned: { epoch: number; plans: Plan[] };

  /** @throws RangeError if there are no pairs, the longest does not fit `tokensPerBatch`, or an id is not a whole number */
  constructor(
    private readonly pairs: readonly Pair[],
    private readonly options: TokenBatchOptions,
  ) {
    const { multiple = 8, tokensPerBatch } = options;
    checkPositive("batchesByTokens: multiple", multiple);
    checkPositive("batchesByTokens: tokensPerBatch", tokensPerBatch);
    checkPairs("batchesByTokens", pairs, options.specials);
    const roundUp = ({ source, target }: Pair) => Math.ceil(Math.max(source.length, target.length + 1) / multiple) * multiple;
    const rounded = pairs.map(roundUp);
    this.lengths = [...new Set(rounded)].sort((a, b) => a - b);
    const longest = this.lengths.at(-1)!;
    if (longest > tokensPerBatch) {
      throw new RangeError(`batchesByTokens: a pair needs ${longest} tokens (rounded up to ${multiple}), but tokensPerBatch is ${tokensPerBatch}`);
    }
    this.buckets = Int32Array.from(rounded, (length) => this.lengths.indexOf(length));
    this.planned = { epoch: 0, plans: this.plan(0) };
    this.perEpoch = this.planned.plans.length;
  }

  /** The shapes [rows, length] that occur, so that programs can be compiled beforehand. */
  get shapes(): [rows: number, length: number][] {
    const lengths = new Set(this.planned.plans.map((plan) => plan.length));
    return [...lengths].sort((a, b) => a - b).map((length) => [this.rowsOf(length), length]);
  }

  /**
   * The batch of a step counted from 0 over all epochs:
   *
   * | name | shape | |
   * |---|---|---|
   * | source | [B, S] | ids, then pad |
   * | sourceLengths | [B] | |
   * | target | [B, T] | `<bos>`, ids, then pad |
   * | targets | [B, T] | ids, `<eos>`, then pad, which the loss ignores |
   *
   * Here S = T: both sides are filled up to the longer.
   */
  batchAt(step: number): PairBatch {
    return this.at(Math.floor(step / this.perEpoch), step % this.perEpoch);
  }

  /** The `index`-th batch of an epoch. */
  at(epoch: number, index: number): PairBatch {
    if (epoch !== this.planned.epoch) this.planned = { epoch, plans: this.plan(epoch) };
    const plan = this.planned.plans[index];
    if (plan === undefined) throw new RangeError(`TokenBatches: index must be in [0, ${this.perEpoch}), got ${index}`);
    return this.fill(plan);
  }

  /** An epoch's batches one after the other. */
  *epoch(epoch: number): Generator<PairBatch> {
    for (let index = 0; index < this.perEpoch; index++) yield this.at(epoch, index);
  }

  private rowsOf(length: number): number {
    return Math.floor(this.options.tokensPerBatch / length);
  }

  private plan(epoch: number): Plan[] {
    const { seed = 0, inOrder = false } = this.options;
    const buckets: number[][] = this.lengths.map(() => []);
    const order = inOrder ? this.pairs.keys() : shuffle(this.pairs.length, seed, Stream.Shuffle, 2 * epoch);
    for (const index of order) buckets[this.buckets[index]!]!.push(index);
    const plans: Plan[] = [];
    let rest: number[] = []; //                              pairs that filled no batch of a shorter bucket
    for (const [b, bucket] of buckets.entries()) {
      const length = this.lengths[b]!;
      const rows = this.rowsOf(length);
      const queue = rest.concat(bucket);
      const full = queue.length - (queue.length % rows);
      for (let start = 0; start < full; start += rows) plans.push({ length, rows: Uint32Array.from(queue.slice(start, start + rows)) });
      rest = queue.slice(full);
    }
    if (rest.length > 0) plans.push({ length: this.lengths.at(-1)!, rows: Uint32Array.from(rest) });
    return inOrder ? plans : Array.from(shuffle(plans.length, seed, Stream.Shuffle, 2 * epoch + 1), (i) => plans[i]!);
  }

  private fill({ length, rows }: Plan): PairBatch {
    const { specials, sourcePad = specials.pad } = this.options;
    const B = this.rowsOf(length);
    const source = filled([B, length], sourcePad);
    const sourceLengths = filled([B], 1);
    const target = filled([B, length], specials.pad);
    const targets = filled([B, length], specials.pad);
    for (let b = 0; b < B; b++) target.data[b * length] = specials.bos;
    rows.forEach((index, b) => {
      const pair = this.pairs[index]!;
      source.data.set(pair.source, b * length);
      sourceLengths.data[b] = pair.source.length;
      target.data.set(pair.target, b * length + 1);
      targets.data.set(pair.target, b * length);
      targets.data[b * length + pair.target.length] = specials.eos;
    });
    return { source, sourceLengths, target, targets };
  }
}

/**
 * Batches of a parallel corpus by number of tokens; see `TokenBatches`.
 *
 * @example
 * const pairs = [{ source: [5, 6], target: [7] }, { source: [8], target: [9, 10, 11] }];
 * const batches = batchesByTokens(pairs, { tokensPerBatch: 16, specials: { pad: 0, bos: 1, eos: 2 } });
 * batches.batchAt(0).target.shape; // [2, 8]
 */
export function batchesByTokens(pairs: readonly Pair[], options: TokenBatchOptions): TokenBatches {
  return new TokenBatches(pairs, options);
}
