import { HeedError } from "../errors";

/**
 * A file that is open for reading. It shows the content the file had when it was opened, whatever replaces it meanwhile.
 * Every method rejects with a HeedError (`file`).
 */
export interface OpenFile {
  /** In bytes. */
  readonly size: number;
  /** Fills `into` with the bytes from `position` on; rejects when the file ends before that. */
  read(into: Uint8Array, position: number): Promise<void>;
  close(): Promise<void>;
}

/**
 * The file system as the library needs it, implemented once for each platform. Paths are parts joined by `/`.
 *
 * A promise that resolves means that the change is durable (fsync of the file and of its folder, where the platform has it):
 * `saveCheckpoint` relies on that order. Every method rejects with a HeedError (`file`) whose `file` is the path.
 */
export interface Files {
  exists(path: string): Promise<boolean>;
  /** The whole file. */
  read(path: string): Promise<Uint8Array>;
  /** For reading by ranges: files of any size, a part at a time. The caller closes it. */
  open(path: string): Promise<OpenFile>;
  /** Creates or overwrites a file. Not atomic: a failure may leave a part of the bytes. */
  write(path: string, bytes: Uint8Array): Promise<void>;
  /** Adds bytes at the end of a file, creating it. */
  append(path: string, bytes: Uint8Array): Promise<void>;
  /** Moves a file, replacing the one that is there. Atomic. */
  rename(from: string, to: string): Promise<void>;
  /** Removes a file if it is there. */
  remove(path: string): Promise<void>;
  /** The names in a folder, sorted; none when there is no such folder. */
  list(folder: string): Promise<string[]>;
  /** Makes a folder and those above it, where they are missing. */
  makeDirectory(path: string): Promise<void>;
}

/**
 * Files that live in memory, for pages and tests. A folder exists by the files in it.
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

/** The error for a read beyond the end of a file. */
export function endOfFile(path: string, wanted: number, size: number): HeedError {
  return new HeedError("file", `cannot read ${path}: expected at least ${wanted} bytes, got ${size}`, { file: path });
}
