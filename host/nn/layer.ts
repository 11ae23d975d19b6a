import { Parameter, Table } from "../graph/parameter";
import type { DType, Tensor } from "../graph/tensor";

/**
 * A part of a model: it holds parameters and sublayers in plain fields, and its `forward` records ops.
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

  /** Every parameter of this layer and its sublayers by dotted name, in field order. A shared parameter appears once. */
  parameters(): Map<string, Parameter> {
    const found = new Map<string, Parameter>();
    walk(this, "", (part, path) => {
      if (part instanceof Parameter) found.set(path, part);
    });
    return found;
  }

  /** Every table of this layer and its sublayers. */
  tables(): Table[] {
    const found: Table[] = [];
    walk(this, "", (part) => {
      if (part instanceof Table) found.push(part);
    });
    return found;
  }

  /** Assigns a path to this layer and each of its sublayers. A shared layer keeps the first. */
  protected nameLayers(): void {
    walk(this, "", (part, path) => {
      if (part instanceof Layer) part.#path = path;
    });
  }

  /**
   * Runs `record`, and attributes what it records, and its backward pass, to this layer: `Program.describe` reports the layer's path.
   * Sublayers that `record` calls are attributed to their own paths.
   */
  protected within<T>({ graph }: Tensor<DType>, record: () => T): T {
    return graph.within(this.#path, record);
  }
}

type Part = Parameter | Table | Layer;

/** Visits each parameter, table and layer reachable from `value` once, `value` itself first. */
function walk(value: unknown, path: string, visit: (part: Part, path: string) => void, seen = new Set<unknown>()): void {
  const isPart = value instanceof Parameter || value instanceof Table || value instanceof Layer;
  if (!(isPart || Array.isArray(value)) || seen.has(value)) return;
  seen.add(value);
  if (isPart) visit(value, path);
  if (value instanceof Parameter || value instanceof Table) return;
  for (const [field, child] of Object.entries(value)) walk(child, path ? `${path}.${field}` : field, visit, seen);
}
