import { Parameter, Tensor } from "../graph/tensor";

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

  constructor() {
    // What a forward records, and its backward pass, is noted down under the layer's path: `Program.describe` tells it.
    const recording = this as { forward?: (...inputs: unknown[]) => unknown };
    const { forward } = recording;
    if (!forward) return;
    recording.forward = (...inputs) => {
      const record = (): unknown => forward.apply(this, inputs);
      const tensor = inputs.find((input) => input instanceof Tensor);
      return tensor ? tensor.graph.within(this.#path, record) : record();
    };
  }

  /** Every parameter below this layer by its dotted name, in the order of the fields; one that is shared appears once. */
  parameters(): Map<string, Parameter> {
    const found = new Map<string, Parameter>();
    walk(this, "", (part, path) => {
      if (part instanceof Parameter) found.set(path, part);
    });
    return found;
  }

  /** Tells every layer below this one its path; one that is shared has its first. */
  protected nameLayers(): void {
    walk(this, "", (part, path) => {
      if (part instanceof Layer) part.#path = path;
    });
  }
}

/** Visits the parameters and layers that a field holds, itself first, each once. */
function walk(value: unknown, path: string, visit: (part: Parameter | Layer, path: string) => void, seen = new Set<unknown>()): void {
  if (!(value instanceof Parameter || value instanceof Layer || Array.isArray(value)) || seen.has(value)) return;
  seen.add(value);
  if (!Array.isArray(value)) visit(value, path);
  if (value instanceof Parameter) return;
  for (const [field, child] of Object.entries(value)) walk(child, path ? `${path}.${field}` : field, visit, seen);
}
