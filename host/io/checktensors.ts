import { HeedError } from "../errors";

/** Shapes by tensor name. */
export type Shapes = ReadonlyMap<string, readonly number[]>;

/**
 * Checks that a file contains exactly the tensors of a model, each with the right shape.
 *
 * @throws HeedError (`checkpoint`) listing every tensor that is missing, unexpected or of the wrong shape
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
    if (other === undefined) flaws.push(`missing: ${name} [${shape.join(",")}]`);
    else if (shape.join() !== other.join()) flaws.push(`wrong shape: ${name}: expected [${shape.join(",")}], got [${other.join(",")}]`);
  }
  for (const [name, shape] of found) {
    if (!expected.has(name)) flaws.push(`unexpected: ${name} [${shape.join(",")}]`);
  }
  if (flaws.length === 0) return;
  const count = flaws.length === 1 ? "1 tensor does not match" : `${flaws.length} tensors do not match`;
  throw new HeedError("checkpoint", `${count} the model:\n  ${flaws.join("\n  ")}`);
}
