import { Parameter } from "../graph/tensor";

/**
 * A part of a model: parameters and smaller layers as plain fields, and a `forward` that records ops.
 * A parameter's name is the path of fields that leads to it: `encoder.layers.0.attention.output.weight`.
 */
export abstract class Layer {
  /** Every parameter below this layer by its dotted name, in the order of the fields; one that is shared appears once. */
  parameters(): Map<string, Parameter> {
    const found = new Map<string, Parameter>();
    const seen = new Set<Parameter>();
    const walk = (value: unknown, path: string): void => {
      if (value instanceof Parameter) {
        if (!seen.has(value)) found.set(path, value);
        seen.add(value);
      } else if (value instanceof Layer || Array.isArray(value)) {
        for (const [field, child] of Object.entries(value)) walk(child, path ? `${path}.${field}` : field);
      }
    };
    walk(this, "");
    return found;
  }
}
