/**
 * Layouts that the core and the host share: instructions' header words, cells, scratch sizes.
 *
 * This file is read by two compilers (AssemblyScript and TypeScript), so it holds const enums and nothing else.
 */

/** The core's builds (asconfig.json). */
export const enum Build {
  Simd = 0,
  Relaxed = 1,
  Turbo = 2,
}

/** The upper half of an instruction's word 1. All 0, each thread takes its slice and waits for the others before the next one. */
export const enum Share {
  /** How many threads take a slice, in seven bits; 0: all. */
  Threads = 1 << 16,
  /** The next instruction need not wait: it touches nothing that this one, and those before it that did not wait either, write. */
  Free = 1 << 23,
}

/**
 * Byte offsets in the cells by which threads sync, in the shared memory: i32 each, a cache line for each that is written often.
 */
export const enum SyncCell {
  /** Programs started so far. Threads with nothing to do wait for it to change. */
  Job = 0,
  /** Address of the program of the last job. */
  Program = 4,
  /** Not 0: no program will ever run again, and threads leave. Whoever sets it adds to Job and Phase and wakes those who wait. */
  Shutdown = 8,
  /** Threads that have reached the barrier. */
  Arrived = 64,
  /** Barriers passed so far. Threads that came too early wait for it to change. */
  Phase = 128,
  /** Threads that sleep, by either. */
  Asleep = 192,
  Bytes = 256,
}

/** How the elements of a weight lie in memory: `formats/` has a file for each. */
export const enum Format {
  F32 = 0,
  /** The upper half of an f32, rows of C. */
  BF16 = 1,
  /** f32 in panels of 16 rows, [ceil(R / 16), C, 16]: for products of a few rows. */
  Panels = 2,
}

/** Pointwise non-linearities: an op of their own, and the epilogue of a matmul. */
export const enum Activation {
  None = 0,
  Relu,
  /** x·Φ(x), by erf (Hendrycks & Gimpel 2016). */
  Gelu,
  /** Its tanh approximation, as GPT-2 uses. */
  GeluTanh,
  /** x·sigmoid(x). */
  Silu,
}

/**
 * Byte offsets in the training cells: what changes between two runs of one program, and what a run reports.
 * The host writes the learning rate and the step; the core accumulates the rest.
 */
export const enum Cell {
  /** f64: Σ loss over the tokens seen since the last update. */
  LossSum = 0,
  /** f64: how many tokens counted into it. */
  TokenCount = 8,
  /** f64: global L2 norm of the mean gradient, before clipping. */
  GradientNorm = 16,
  /** f32: what the optimizer multiplies gradients by: 1/TokenCount, times the clipping factor. NaN: skip the step. */
  GradientScale = 24,
  /** f32 */
  LearningRate = 28,
  /** i32: updates applied so far, this one included (Adam's t, from 1). */
  Step = 32,
  Bytes = 64,
}

/** Byte offsets in the random cell, a Philox key and the run's share of the counter: u32 each. */
export const enum Rng {
  SeedLow = 0,
  SeedHigh = 4,
  Step = 8,
  MicroBatch = 12,
  Bytes = 16,
}

/** Byte offsets in the sampling settings of one row. */
export const enum Sampling {
  /** f32, ≥ 0; 0: take the largest logit. */
  Temperature = 0,
  /** i32; 0: all of the vocabulary. */
  TopK = 4,
  /** u32 */
  SeedLow = 8,
  SeedHigh = 12,
  /** i32: tokens drawn so far; `Sample` adds 1. */
  Step = 16,
  Bytes = 32,
}

/** Bytes of scratch that each thread of `Sample` needs: Base + PerToken · V. */
export const enum SampleScratch {
  /** A cache line between threads. */
  Base = 64,
  PerToken = 4,
}

/** Elements that one f64 partial of `SquareSum` covers: fixed, so that the sum does not depend on the number of threads. */
export const enum Reduction {
  Chunk = 16384,
}

/** Scratch of a matmul, in bytes for each thread: a block of packed B, one of A, and the sums of a few tiles. */
export const enum MatmulScratch {
  /** f32 [128, 768], in panels. */
  Panels = 0,
  /** f32 [144, 144]: a block of A, transposed for TN; or rows of B, decoded. */
  Rows = 393216,
  /** f32 [12, 16] */
  Sums = 476160,
  Bytes = 476928,
}

/**
 * Scratch of `EmbeddingBackward`, in bytes for each thread: Base + PerId·V + floor(N / Direct)·(PerRow + PerColumn·C).
 */
export const enum EmbeddingScratch {
  /** Tokens of an id whose gradients are added to its row directly. Later ones are added up in scratch. */
  Direct = 1024,
  /** A cache line between threads. */
  Base = 64,
  PerId = 4,
  PerRow = 16,
  PerColumn = 8,
}

/** How far a query sees from its own position: the operands `left` and `right` of attention. Causal attention has right = 0. */
export const enum Window {
  /** No bound. Positions stay below half of it, so that their sums fit in 31 bits. */
  Unlimited = 1 << 30,
}

/** A page of a key-value cache. */
export const enum Page {
  /** Consecutive tokens of one sequence that a page holds: a block of keys. */
  Tokens = 64,
}

/**
 * Attention's scratch, in bytes per thread: Base + PerDim·D.
 * Six matrices of Block rows by D (rounded up to 16), two of Block by Block, six rows of statistics, dropout's bits, a tile's edge.
 */
export const enum AttentionScratch {
  /** Queries, and keys, in one block: a page, and a multiple of 32. */
  Block = 64,
  PerDim = 6 * 4 * Block,
  Base = 15 * PerDim + 2 * 4 * Block * Block + 6 * 4 * Block + (Block * Block) / 8 + 384,
}
