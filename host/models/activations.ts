import { oneOf } from "../fields";
import { Activation } from "../graph/ops/activation";

/** Activations by the names that configs use. */
export const activations = { relu: Activation.Relu, gelu: Activation.Gelu, geluTanh: Activation.GeluTanh, silu: Activation.Silu } as const;
export type ActivationName = keyof typeof activations;

/** The field of a config that names one. */
export const activationName = oneOf(...Object.keys(activations));
