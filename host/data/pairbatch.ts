import { maxOf } from "../maxof";
import { checkPairs, checkPositive, filled, type PairBatch, type PairSpecials } from "./batch";
import type { Pair } from "./parallel";

const roundUp = (n: number, multiple: number): number => Math.ceil(n / multiple) * multiple;

/**
 * Makes one batch of some pairs and pads each side to its longest row, which suits sources and targets of different lengths.
 * The names and shapes are those of `TokenBatches.batchAt`, but here S and T may differ.
 *
 * @param specials.pad  pads both sides; the loss ignores it as a target
 * @param multiple      the source length is rounded up to a multiple of this, so that a few programs serve all batches
 *
 * @throws RangeError when there are no pairs, a source is empty, or an id is not a whole number
 *
 * @example
 * const batch = pairBatch([{ source: [5, 6, 7], target: [8] }], { pad: 0, bos: 1, eos: 2 });
 * batch.targets.data; // Int32Array [8, 2]
 */
export function pairBatch(pairs: readonly Pair[], specials: PairSpecials, multiple = 8): PairBatch {
  checkPairs("pairBatch", pairs, specials);
  checkPositive("pairBatch: multiple", multiple);
  const { pad, bos, eos } = specials;
  const B = pairs.length;
  const S = roundUp(maxOf(pairs, (pair) => pair.source.length), multiple);
  const T = maxOf(pairs, (pair) => pair.target.length + 1);
  const source = filled([B, S], pad);
  const sourceLengths = filled([B]);
  const target = filled([B, T], pad);
  const targets = filled([B, T], pad);
  pairs.forEach((pair, b) => {
    source.data.set(pair.source, b * S);
    sourceLengths.data[b] = pair.source.length;
    target.data.set([bos, ...pair.target], b * T);
    targets.data.set([...pair.target, eos], b * T);
  });
  return { source, sourceLengths, target, targets };
}
