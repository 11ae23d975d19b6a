import { HeedError } from "../errors";
import { sameShape } from "../graph/shape";
import { excerpt, quoteList, quoteShape } from "../quote";

/** Shapes by tensor name. */
export type Shapes = ReadonlyMap<string, readonly number[]>;

/**
 * Checks that a file contains exactly the tensors of a model, each with the right shape.
 *
 * @throws HeedError (`checkpoint`) listing the tensors that are missing, unexpected or of the wrong shape: the first 50 by name, the others
 *   by number
 *
 * @example
 * const { tensors } = readSafetensors(await files.read("runs/dates/model.safetensors"));
 * const shapes = new Map(Array.from(tensors, ([name, { shape }]) => [name, shape]));
 * checkTensors(shapes, shapes);
 */
export function checkTensors(expected: Shapes, found: Shapes): void {
  const flaws: string[] = [];
  for (const [name, shape] of expected) {
    const other = found.get(name);
    if (other === undefined) flaws.push(`missing: ${excerpt(name)} ${quoteShape(shape)}`);
    else if (!sameShape(shape, other)) flaws.push(`wrong shape: ${excerpt(name)}: expected ${quoteShape(shape)}, got ${quoteShape(other)}`);
  }
  for (const [name, shape] of found) {
    if (!expected.has(name)) flaws.push(`unexpected: ${excerpt(name)} ${quoteShape(shape)}`);
  }
  if (flaws.length === 0) return;
  const count = flaws.length === 1 ? "1 tensor does not match" : `${flaws.length} tensors do not match`;
  throw new HeedError("checkpoint", `${count} the model:\n  ${quoteList(flaws, "\n  ")}`);
}
