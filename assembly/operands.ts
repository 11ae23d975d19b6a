/**
 * What an operand of an instruction is, as types of the kernels' parameters.
 *
 * A kernel's signature is the only place that says which operands its instruction has, in which order, and of which kind:
 * `generate.mjs` reads the signatures and writes `opcodes.ts`, `execute.ts` and `host/graph/instructions.ts` from them.
 * For the compiler these are plain addresses and numbers.
 */

/** Address of an array of T (f32, i32, f64) that the kernel writes. */
export type Out<T> = usize;
/** Address of an array of T that the kernel reads. */
export type In<T> = usize;
/** Address of an array of T that the kernel reads and writes: it adds to it, or updates it. */
export type InOut<T> = usize;
/** The same, where 0 stands for an absent array. */
export type MaybeOut<T> = usize;
export type MaybeIn<T> = usize;
export type MaybeInOut<T> = usize;
/** Address of an array that the kernel reads, in the format that the operand `format` names. */
export type InFormat = usize;
/** Address of working memory, a part of it for each thread. Nothing in it outlives the instruction. */
export type Scratch = usize;

/** A number of elements, a stride in elements, an index. */
export type Count = i32;
/** A member of an enum, or 0 and 1 for false and true. */
export type Flag = i32;
/** A number of the computation. */
export type Scalar = f32;
