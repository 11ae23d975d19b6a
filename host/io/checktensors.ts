import { HeedError } from "../errors";

/** Shapes by tensor name. */
export type Shapes = ReadonlyMap<string, readonly number[]>;

/**
 * Checks that a file holds the tensors that a model has, no more and no less, each of its shape.
 *
 * @throws HeedError (`checkpoint`) listing every tensor that is missing, unexpected or of the wrong shape at once.
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
  const count = flaws.length === 1 ? "1 tensor does not fit" : `${flaws.length} tensors do not fit`;
  throw new HeedError("checkpoint", `${count} the model:\n  ${flaws.join("\n  ")}`);
}
