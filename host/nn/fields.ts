import { optional, typed } from "../fields";
import { isActivation } from "../graph/ops/activation";
import { isInitializer } from "../graph/parameter";

// Fields shared by the configurations of several layers.

export const initializer = optional(typed("an initializer, such as normal(0.02)", isInitializer));
export const activation = optional(typed("a member of Activation", isActivation));
