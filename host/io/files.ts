import { HeedError } from "../errors";

/**
 * A file opened for reading. It keeps the contents that the file had when it was opened, even if the file is replaced later.
 * Every method rejects with a HeedError (`file`).
 */
export interface OpenFile {
  /** Size in bytes. */
  readonly size: number;
  /** Fills `into` with the bytes starting at `position`; rejects if the file ends too early. */
  read(into: Uint8Array, position: number): Promise<void>;
  close(): Promise<void>;
}

/**
 * The file system operations that the library needs, implemented once per platform. Path segments are joined by `/`.
 *
 * When a promise resolves, the change is durable (fsync of the file and its folder, where the platform supports it):
 * `saveCheckpoint` relies on this order. Every method rejects with a HeedError (`file`) whose `file` is the path.
 */
export interface Files {
  exists(path: string): Promise<boolean>;
  /** Reads a whole file. */
  read(path: string): Promise<Uint8Array>;
  /** Opens a file of any size for reading byte ranges. The caller closes it. */
  open(path: string): Promise<OpenFile>;
  /** Creates or overwrites a file. Not atomic: a failure may leave a partial file. */
  write(path: string, bytes: Uint8Array): Promise<void>;
  /** Appends bytes to a file, which is created if necessary. */
  append(path: string, bytes: Uint8Array): Promise<void>;
  /** Moves a file, replacing any file at the destination. Atomic. */
  rename(from: string, to: string): Promise<void>;
  /** Removes a file if it exists. */
  remove(path: string): Promise<void>;
  /** The names in a folder, sorted; empty if the folder does not exist. */
  list(folder: string): Promise<string[]>;
  /** Creates a folder and any missing parent folders. */
  makeDirectory(path: string): Promise<void>;
  /** The absolute form of a path, by which saves recognise two spellings of one folder. Without it, paths are compared as text. */
  resolve?(path: string): string;
}

/**
 * An in-memory file system, for web pages and tests. A folder exists as long as it contains files.
 *
 * @example
 * const files = new MemoryFiles();
 * await files.write("runs/note.txt", new TextEncoder().encode("hello"));
 * await files.list("runs"); // ["note.txt"]
 */
export class MemoryFiles implements Files {
  private readonly contents = new Map<string, Uint8Array>();

  async exists(path: string): Promise<boolean> {
    return this.contents.has(path);
  }

  async read(path: string): Promise<Uint8Array> {
    return this.get(path).slice();
  }

  async open(path: string): Promise<OpenFile> {
    const bytes = this.get(path);
    return {
      size: bytes.length,
      async read(into, position) {
        if (position + into.length > bytes.length) throw endOfFile(path, position + into.length, bytes.length);
        into.set(bytes.subarray(position, position + into.length));
      },
      async close() {},
    };
  }

  async write(path: string, bytes: Uint8Array): Promise<void> {
    this.contents.set(path, bytes.slice());
  }

  async append(path: string, bytes: Uint8Array): Promise<void> {
    const before = this.contents.get(path) ?? new Uint8Array(0);
    const joined = new Uint8Array(before.length + bytes.length);
    joined.set(before);
    joined.set(bytes, before.length);
    this.contents.set(path, joined);
  }

  async rename(from: string, to: string): Promise<void> {
    this.contents.set(to, this.get(from));
    if (from !== to) this.contents.delete(from);
  }

  async remove(path: string): Promise<void> {
    this.contents.delete(path);
  }

  async list(folder: string): Promise<string[]> {
    const inside = [...this.contents.keys()].filter((path) => path.startsWith(`${folder}/`));
    const names = inside.map((path) => path.slice(folder.length + 1).split("/")[0]!);
    return [...new Set(names)].sort();
  }

  async makeDirectory(): Promise<void> {}

  private get(path: string): Uint8Array {
    const bytes = this.contents.get(path);
    if (bytes === undefined) throw new HeedError("file", `cannot read ${path}: no such file`, { file: path });
    return bytes;
  }
}

/** The error for reading past the end of a file. */
export function endOfFile(path: string, wanted: number, size: number): HeedError {
  return new HeedError("file", `cannot read ${path}: expected at least ${wanted} bytes, got ${size}`, { file: path });
}
