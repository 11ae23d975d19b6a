import { Parameter, type Tensor } from "../graph/tensor";

/**
 * A part of a model: parameters and smaller layers as plain fields, and a `forward` that records ops.
 * A parameter's name is the path of fields that leads to it: `encoder.layers.0.attention.output.weight`.
 *
 * @example
 * class Twice extends Layer {
 *   inner = new Linear(64, 64);
 *   forward(x) {
 *     return this.inner.forward(this.inner.forward(x));
 *   }
 * }
 * [...new Twice().parameters().keys()]; // ["inner.weight", "inner.bias"]
 */
export abstract class Layer {
  #path = "";

  constructor() {
    // What a forward records, and its backward pass, is noted down under the layer's path: `Program.describe` tells it.
    const recording = this as { forward?: (x: Tensor, ...others: unknown[]) => Tensor };
    const { forward } = recording;
    if (forward) recording.forward = (x, ...others) => x.graph.within(this.#path, () => forward.call(this, x, ...others));
  }

  /** Every parameter below this layer by its dotted name, in the order of the fields; one that is shared appears once. */
  parameters(): Map<string, Parameter> {
    const names = new Map<Parameter, string>();
    walk(this, "", (part, path) => {
      if (part instanceof Parameter && !names.has(part)) names.set(part, path);
    });
    return new Map(Array.from(names, ([parameter, name]) => [name, parameter]));
  }

  /** Tells every layer below this one its path; one that is shared has its first. */
  protected nameLayers(): void {
    const named = new Set<Layer>();
    walk(this, "", (part, path) => {
      if (!(part instanceof Layer) || named.has(part)) return;
      part.#path = path;
      named.add(part);
    });
  }
}

/** Visits the parameters and layers that a field holds, itself first. */
function walk(value: unknown, path: string, visit: (part: Parameter | Layer, path: string) => void): void {
  if (value instanceof Parameter || value instanceof Layer) visit(value, path);
  if (!(value instanceof Layer || Array.isArray(value))) return;
  for (const [field, child] of Object.entries(value)) walk(child, path ? `${path}.${field}` : field, visit);
}
