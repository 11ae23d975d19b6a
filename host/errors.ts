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
  /** The file that the error is about, where there is one; the message names it. */
  readonly file: string | undefined;

  constructor(code: HeedErrorCode, message: string, { file, ...options }: ErrorOptions & { file?: string } = {}) {
    super(message, options);
    this.name = "HeedError";
    this.code = code;
    this.file = file;
  }
}

/**
 * Runs an action on a file's content, and puts the file's name before the message of any HeedError in it that names no file yet.
 * Other errors pass through: they are mistakes in the program, not in the file.
 *
 * @param file    what to call the file, or a place in it such as `train.de, line 3`
 * @param action  may be asynchronous: then so is the result
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
