import { Parameter, Table } from "../graph/parameter";
import type { DType, Tensor } from "../graph/tensor";

/**
 * A part of a model: parameters and smaller layers as plain fields, and a `forward` that records ops.
 * A parameter's name is the path of fields that leads to it: `encoder.layers.0.attention.output.weight`.
 *
 * @example
 * class Twice extends Layer {
 *   inner = new Linear(64, 64);
 *   forward(x: Tensor): Tensor {
 *     return this.inner.forward(this.inner.forward(x));
 *   }
 * }
 * [...new Twice().parameters().keys()]; // ["inner.weight", "inner.bias"]
 */
export abstract class Layer {
  #path = "";

  /** Every parameter below this layer by its dotted name, in the order of the fields; one that is shared appears once. */
  parameters(): Map<string, Parameter> {
    const found = new Map<string, Parameter>();
    walk(this, "", (part, path) => {
      if (part instanceof Parameter) found.set(path, part);
    });
    return found;
  }

  /** Every table below this layer. */
  tables(): Table[] {
    const found: Table[] = [];
    walk(this, "", (part) => {
      if (part instanceof Table) found.push(part);
    });
    return found;
  }

  /** Gives every layer below this one its path; one that is shared has its first. */
  protected nameLayers(): void {
    walk(this, "", (part, path) => {
      if (part instanceof Layer) part.#path = path;
    });
  }

  /**
   * Records under this layer's path what `record` records, and its backward pass: `Program.describe` reports the path.
   * Smaller layers that `record` calls have paths of their own.
   */
  protected within<T>({ graph }: Tensor<DType>, record: () => T): T {
    return graph.within(this.#path, record);
  }
}

type Part = Parameter | Table | Layer;

/** Visits the parameters, tables and layers that a field holds, itself first, each once. */
function walk(value: unknown, path: string, visit: (part: Part, path: string) => void, seen = new Set<unknown>()): void {
  const isPart = value instanceof Parameter || value instanceof Table || value instanceof Layer;
  if (!(isPart || Array.isArray(value)) || seen.has(value)) return;
  seen.add(value);
  if (isPart) visit(value, path);
  if (value instanceof Parameter || value instanceof Table) return;
  for (const [field, child] of Object.entries(value)) walk(child, path ? `${path}.${field}` : field, visit, seen);
}
