import { bf16 } from "./bf16";
import { f32, f64, i32 } from "./plain";

/** Every format by its name: a new one is its file and its name here. */
export const formats = { f32, i32, f64, bf16 } as const;

/** How an array lies in memory: plain elements, or a format of weights. */
export type DType = keyof typeof formats;

/** What the host reads an array into. */
export type ArrayOf<D extends DType> = ReturnType<(typeof formats)[D]["read"]>;
