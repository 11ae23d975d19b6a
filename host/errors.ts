/**
 * The kind of failure:
 *
 * | code | meaning |
 * |---|---|
 * | `file` | a file is missing, is empty, or cannot be read or written |
 * | `format` | bytes are not in the expected format: malformed JSON, UTF-8, safetensors or wasm |
 * | `data` | well-formed data cannot be used: corpora of different lengths, an unknown character |
 * | `checkpoint` | a checkpoint does not match the model or the training run |
 * | `memory` | linear memory cannot grow to the size that a program needs |
 * | `runtime` | the engine lacks a feature, such as SIMD, threads or compiling from bytes |
 * | `thread` | a thread of a runtime could not be started, or died |
 * | `numbers` | training produced NaN or Infinity |
 * | `aborted` | the caller's signal aborted the work |
 */
export type HeedErrorCode = "file" | "format" | "data" | "checkpoint" | "memory" | "runtime" | "thread" | "numbers" | "aborted";

/**
 * A failure whose cause is outside the program: files, data, memory, runtimes.
 * Incorrect use of the library throws a TypeError (wrong type) or a RangeError (wrong value or shape) instead.
 *
 * @example
 * const error = new HeedError("data", "train.de: 3 lines, but train.en has 4");
 * error.code; // "data"
 */
export class HeedError extends Error {
  readonly code: HeedErrorCode;
  /** The file that the error is about, if any; the message names it. */
  readonly file: string | undefined;

  constructor(code: HeedErrorCode, message: string, { file, ...options }: ErrorOptions & { file?: string } = {}) {
    super(message, options);
    this.name = "HeedError";
    this.code = code;
    this.file = file;
  }
}

/**
 * Runs an action on a file's content. If it throws a HeedError that names no file yet, the file's name is prefixed to its message.
 * Other errors pass through: they are mistakes in the program, not in the file.
 *
 * @param file    the file's name, or a place in it such as `train.de, line 3`
 * @param action  may return a promise; then `inFile` does too
 *
 * @example
 * inFile("numbers.txt", () => 1 + 1); // 2
 */
export function inFile<T>(file: string, action: () => T): T {
  const rethrow = (cause: unknown): never => {
    if (!(cause instanceof HeedError) || cause.file !== undefined) throw cause;
    throw new HeedError(cause.code, `${file}: ${cause.message}`, { cause, file });
  };
  try {
    const result = action();
    return result instanceof Promise ? (result.catch(rethrow) as T) : result;
  } catch (cause) {
    return rethrow(cause);
  }
}
