import { oneOf } from "../fields";
import { Activation } from "../graph/ops/activation";

/** Activations by their names in configs. */
export const activations = { relu: Activation.Relu, gelu: Activation.Gelu, geluTanh: Activation.GeluTanh, silu: Activation.Silu } as const;
export type ActivationName = keyof typeof activations;

/** The config field that names an activation. */
export const activationName = oneOf(...Object.keys(activations));
