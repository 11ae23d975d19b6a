import { type FileHandle, access, mkdir, open, readdir, rename, rm } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { HeedError } from "../errors";
import { endOfFile, type Files, type OpenFile } from "../io/files";

/**
 * The file system of Node, Deno and Bun. Every change is synced to the disk before its promise resolves.
 *
 * @example
 * await nodeFiles.exists("no such file"); // false
 */
export const nodeFiles: Files = {
  exists: (path) => attempt("access", path, () => orIfMissing(access(path).then(() => true), false)),

  read: (path) => attempt("read", path, () => withFile(path, "r", readWhole)),

  open: (path) =>
    attempt("read", path, async () => {
      const file = await open(path, "r");
      try {
        return openFile(path, file, (await file.stat()).size);
      } catch (error) {
        await file.close();
        throw error;
      }
    }),

  write: (path, bytes) =>
    attempt("write", path, async () => {
      await withFile(path, "w", async (file) => {
        await file.writeFile(bytes);
        await file.sync();
      });
      await syncFolder(dirname(path));
    }),

  append: (path, bytes) =>
    attempt("append to", path, async () => {
      const isNew = await withFile(path, "a", async (file) => {
        const { size } = await file.stat();
        await file.writeFile(bytes);
        await file.sync();
        return size === 0;
      });
      if (isNew) await syncFolder(dirname(path));
    }),

  rename: (from, to) =>
    attempt("rename", from, async () => {
      await rename(from, to);
      await syncFolder(dirname(to));
    }, ` to ${to}`),

  remove: (path) =>
    attempt("remove", path, async () => {
      await rm(path, { force: true });
      await syncFolder(dirname(path));
    }),

  list: (folder) =>
    attempt("list", folder, async () => {
      const names = await orIfMissing(readdir(folder), []);
      return names.sort();
    }),

  makeDirectory: (path) =>
    attempt("create the folder", path, async () => {
      const first = await mkdir(path, { recursive: true });
      if (first === undefined) return;
      const top = dirname(resolve(first));
      let created = resolve(path);
      do {
        created = dirname(created);
        await syncFolder(created);
      } while (created !== top);
    }),

  resolve: (path) => resolve(path),
};

async function attempt<T>(what: string, path: string, action: () => Promise<T>, more = ""): Promise<T> {
  try {
    return await action();
  } catch (cause) {
    if (cause instanceof HeedError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new HeedError("file", `cannot ${what} ${path}${more}: ${reason}`, { cause, file: path });
  }
}

const openFile = (path: string, file: FileHandle, size: number): OpenFile => ({
  size,
  read: (into, position) =>
    attempt("read", path, async () => {
      const bytes = await fill(file, into, position);
      if (bytes < into.length) throw endOfFile(path, position + into.length, position + bytes);
    }),
  close: () => attempt("close", path, () => file.close()),
});

async function orIfMissing<T>(action: Promise<T>, otherwise: T): Promise<T> {
  try {
    return await action;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return otherwise;
    throw error;
  }
}

async function readWhole(file: FileHandle): Promise<Uint8Array> {
  const { size } = await file.stat();
  const bytes = new Uint8Array(size);
  return bytes.subarray(0, await fill(file, bytes, 0)); // the file may have been truncated in the meantime
}

/** Reads until `into` is full or the file ends, and returns the number of bytes read. Node reads at most 2 GiB at a time. */
async function fill(file: FileHandle, into: Uint8Array, position: number): Promise<number> {
  let filled = 0;
  while (filled < into.length) {
    const { bytesRead } = await file.read(into, filled, Math.min(into.length - filled, 2 ** 30), position + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return filled;
}

async function withFile<T>(path: string, flags: string, action: (file: FileHandle) => Promise<T>): Promise<T> {
  const file = await open(path, flags);
  try {
    return await action(file);
  } finally {
    await file.close();
  }
}

/** Makes a folder's entries durable. Windows cannot sync folders and does not need to. */
async function syncFolder(path: string): Promise<void> {
  if (process.platform === "win32") return;
  await withFile(path, "r", (folder) => folder.sync());
}
