/**
 * Layouts shared by the core and the host: instruction headers, cells and scratch sizes.
 *
 * Two compilers read this file, AssemblyScript and TypeScript, so it contains only const enums.
 */

/** The core's builds (asconfig.json). */
export const enum Build {
  Simd = 0,
  Relaxed = 1,
  Turbo = 2,
}

/**
 * The upper half of an instruction's word 1. If it is 0, every thread computes its slice, then waits for the others before the next
 * instruction.
 */
export const enum Share {
  /** The number of threads that compute a slice, in seven bits; 0: all threads. */
  Threads = 1 << 16,
  /**
   * No barrier follows this instruction: the next one touches nothing that this one writes, nor anything written by the instructions
   * directly before it that are `Free` as well.
   */
  Free = 1 << 23,
}

/**
 * Byte offsets of the cells in shared memory that synchronize threads. Each is an i32; those that are written often have a cache line
 * to themselves.
 */
export const enum SyncCell {
  /** The number of programs started so far. Idle threads wait for it to change. */
  Job = 0,
  /** The address of the most recently started program. */
  Program = 4,
  /** If not 0, no program will run again and the threads exit. Setting it also increments Job and Phase and wakes all waiting threads. */
  Shutdown = 8,
  /** The number of threads that have reached the barrier. */
  Arrived = 64,
  /** The number of barriers passed so far. Threads that arrive early wait for it to change. */
  Phase = 128,
  /** The number of threads that are asleep, waiting for either. */
  Asleep = 192,
  Bytes = 256,
}

/** How the elements of a weight are stored in memory. `formats/` has one file per format. */
export const enum Format {
  F32 = 0,
  /** The upper half of an f32, in rows of C elements. */
  BF16 = 1,
  /** f32 in panels of 16 rows, [ceil(R / 16), C, 16]: for products of a few rows. */
  Panels = 2,
  /** Integers of 8 bits with a scale for every 32 elements of a row. */
  Int8 = 3,
  /** Integers of 8 bits with a scale for each row. */
  Int8Rows = 4,
  /** Integers of 4 bits with a scale for every 32 elements of a row. */
  Int4 = 5,
}

/**
 * The formats of integers (assembly/formats/integers.ts) store eight rows side by side, in blocks of one group of columns each.
 * Sizes are in bytes.
 */
export const enum IntegerBlock {
  /** Rows that are stored side by side. */
  Rows = 8,
  /** Columns of a group; a row is padded to a multiple of it. */
  Group = 32,
  /** f32 [8]: the scales. */
  Scales = 0,
  /** i32 [8]: −64 times the sum of each row's integers, for int8; int4 has none. */
  Offsets = 32,
  /** Where the integers start: [columns / 4, 8 rows, 4 columns]. */
  Int8 = 64,
  /** int4: the same order, with rows 4 to 7 in the upper halves of the bytes. */
  Int4 = 32,
}

/**
 * Quantized activations (`QuantizeRows`): [R, groups] blocks, a second block for each of them, and i32 [R], the number of second blocks
 * that each row uses. A block is a header and the group's integers. Sizes are in bytes.
 */
export const enum Quantized {
  /** f32: the scale; 0 if the block is not used. i32: −8 times the sum of the integers. f32: the energy of the rounding errors. */
  Header = 16,
  /** In the plain build, whose products multiply integers of 16 bits; half as much in the others. */
  PerElement = 2,
  PerRow = 4,
  /** The largest integer if the weights are int8: with 64 added, activations are the operand of 7 bits. */
  Int8Levels = 63,
  /** The same for int4, where the weights are that operand. */
  Int4Levels = 127,
}

/** Pointwise non-linearities, used as separate ops and as the epilogue of a matmul. */
export const enum Activation {
  None = 0,
  Relu,
  /** x·Φ(x), computed with erf (Hendrycks & Gimpel 2016). */
  Gelu,
  /** The tanh approximation of GELU, as used by GPT-2. */
  GeluTanh,
  /** x·sigmoid(x). */
  Silu,
}

/**
 * Byte offsets in the training cells: values that change between runs of the same program, and values that a run reports.
 * The host writes the learning rate and the step; the core computes the rest.
 */
export const enum Cell {
  /** f64: the sum of the losses over all tokens since the last update. */
  LossSum = 0,
  /** f64: the number of tokens in that sum. */
  TokenCount = 8,
  /** f64: the global L2 norm of the mean gradient, before clipping. */
  GradientNorm = 16,
  /** f32: the factor by which the optimizer multiplies gradients: 1/TokenCount times the clipping factor. NaN: skip the step. */
  GradientScale = 24,
  /** f32 */
  LearningRate = 28,
  /** i32: the number of updates so far, including this one (Adam's t, starting at 1). */
  Step = 32,
  Bytes = 64,
}

/** Byte offsets in the random cell: the Philox key and the run's part of the counter, u32 each. */
export const enum Rng {
  SeedLow = 0,
  SeedHigh = 4,
  Step = 8,
  MicroBatch = 12,
  Bytes = 16,
}

/** Byte offsets in one row's sampling settings. 0 turns a setting off, so a row of zeros chooses the largest logit. */
export const enum Sampling {
  /** f32, ≥ 0; 0: choose the largest logit. */
  Temperature = 0,
  /** i32; 0: the whole vocabulary. */
  TopK = 4,
  /** u32 */
  SeedLow = 8,
  SeedHigh = 12,
  /** i32: the number of tokens drawn so far; `Sample` adds 1. */
  Step = 16,
  /** f32 in (0, 1] */
  TopP = 20,
  MinP = 24,
  TypicalP = 28,
  /** f32 > 0 */
  Repetition = 32,
  /** f32 */
  Presence = 36,
  Frequency = 40,
  /** i32: the length of the n-grams that must not be repeated. */
  NGram = 44,
  /** i32: the row of the bias table, counted from 1. */
  Bias = 48,
  /** i32: the token to choose, counted from 1. */
  Forced = 52,
  /** i32: the number of tokens before the first generated one. */
  Prompt = 56,
  Bytes = 64,
}

/** Scratch of `Sample` and `ExtendBeams`, in bytes per thread: Base + PerToken·V. */
export const enum SampleScratch {
  /** A cache line, to keep threads apart. */
  Base = 64,
  /** Three arrays [V]: adjusted logits or keys, weights, and indices or counts. */
  PerToken = 12,
}

/** The number of elements per f64 partial of `SquareSum`. It is fixed, so the sum does not depend on the number of threads. */
export const enum Reduction {
  Chunk = 16384,
}

/** Scratch of a matmul, in bytes per thread: a packed block of B, a block of A, and the sums of a few tiles. */
export const enum MatmulScratch {
  /** f32 [128, 768], in panels. */
  Panels = 0,
  /** f32 [144, 144]: a block of A transposed for TN, or decoded rows of B. */
  Rows = 393216,
  /** f32 [12, 16] */
  Sums = 476160,
  Bytes = 476928,
}

/**
 * Scratch of `EmbeddingBackward`, in bytes per thread: Base + PerId·V + floor(N / Direct)·(PerRow + PerColumn·C).
 */
export const enum EmbeddingScratch {
  /** The number of tokens per id whose gradients are added directly to the id's row. Later ones are summed in scratch first. */
  Direct = 1024,
  /** A cache line, to keep threads apart. */
  Base = 64,
  PerId = 4,
  PerRow = 16,
  PerColumn = 8,
}

/** How far from its own position a query attends: attention's operands `left` and `right`. Causal attention has right = 0. */
export const enum Window {
  /** No limit. Positions must be less than half of it, so that the sums fit in 31 bits. */
  Unlimited = 1 << 30,
}

/** The page size of the key-value cache. */
export const enum Page {
  /** The number of consecutive tokens of one sequence in a page, which is one block of keys. */
  Tokens = 64,
}

/**
 * Scratch of attention, in bytes per thread: Base + PerDim·D.
 * It holds six matrices of Block rows by D columns (rounded up to a multiple of 16), two matrices of Block by Block, six rows of
 * statistics, the dropout mask, and the edge of a tile.
 */
export const enum AttentionScratch {
  /** The number of queries, and of keys, in a block. It equals the page size and is a multiple of 32. */
  Block = 64,
  PerDim = 6 * 4 * Block,
  Base = 15 * PerDim + 2 * 4 * Block * Block + 6 * 4 * Block + (Block * Block) / 8 + 384,
}
