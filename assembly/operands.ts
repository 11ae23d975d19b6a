/**
 * Operand kinds, expressed as types of the kernels' parameters.
 *
 * A kernel's signature is the only definition of its instruction's operands: which ones, in what order and of what kind.
 * `generate.mjs` reads the signatures and generates `opcodes.ts`, `execute.ts` and `host/graph/instructions.ts` from them.
 * To the compiler, these types are plain addresses and numbers.
 */

/** The address of an array of T (f32, i32 or f64) that the kernel writes. */
export type Out<T> = usize;
/** The address of an array of T that the kernel reads. */
export type In<T> = usize;
/** The address of an array of T that the kernel reads and writes, because it updates or adds to it. */
export type InOut<T> = usize;
/** Like the three above, but 0 means that the array is absent. */
export type MaybeOut<T> = usize;
export type MaybeIn<T> = usize;
export type MaybeInOut<T> = usize;
/** The address of an array that the kernel reads, in the format given by the operand `format`. */
export type InFormat = usize;
/** The address of working memory, with a part for each thread. Its contents do not outlive the instruction. */
export type Scratch = usize;

/** A number of elements, a stride in elements, or an index. */
export type Count = i32;
/** A member of an enum, or 0 for false and 1 for true. */
export type Flag = i32;
/** A floating-point parameter of the computation. */
export type Scalar = f32;
