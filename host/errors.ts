/**
 * What kind of thing in the outside world went wrong:
 *
 * | code | meaning |
 * |---|---|
 * | `file` | a file is missing, empty or cannot be read or written |
 * | `format` | bytes that are not what they claim to be: broken JSON, UTF-8, safetensors, wasm |
 * | `data` | well-formed data that cannot be used: corpora of different lengths, an unknown character |
 * | `checkpoint` | a checkpoint that does not fit the model or the run |
 * | `memory` | linear memory cannot grow to what a program needs |
 * | `runtime` | the engine lacks something, such as SIMD, threads or compiling from bytes |
 * | `thread` | a thread of a runtime could not be started, or died |
 * | `numbers` | training left the finite numbers |
 * | `aborted` | the caller's signal stopped the work |
 */
export type HeedErrorCode = "file" | "format" | "data" | "checkpoint" | "memory" | "runtime" | "thread" | "numbers" | "aborted";

/**
 * A failure that comes from outside the program: files, data, memory, runtimes.
 * A mistake in calling the library is a TypeError (wrong kind) or a RangeError (wrong value or shape) instead.
 *
 * @example
 * const error = new HeedError("data", "train.de: 3 lines, but train.en has 4");
 * error.code; // "data"
 */
export class HeedError extends Error {
  readonly code: HeedErrorCode;

  constructor(code: HeedErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "HeedError";
    this.code = code;
  }
}
