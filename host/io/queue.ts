import type { Files } from "./files";

/** For each file system, the last action queued for each folder. */
const queues = new WeakMap<Files, Map<string, Promise<void>>>();

/** Runs the actions on one folder one after another, in the order of the calls, even if an earlier one fails. */
export function inTurn<T>(files: Files, folder: string, action: () => Promise<T>): Promise<T> {
  const last = queues.get(files) ?? new Map<string, Promise<void>>();
  queues.set(files, last);
  const key = files.resolve?.(folder) ?? normalize(folder);
  const result = (last.get(key) ?? Promise.resolve()).then(action);
  const ended: Promise<void> = result.then(forget, forget);
  last.set(key, ended);
  return result;

  function forget(): void {
    if (last.get(key) === ended) last.delete(key);
  }
}

/** `./a//b/../c/` → `a/c`. */
function normalize(path: string): string {
  const segments: string[] = [];
  for (const segment of path.split("/")) {
    if (segment === "..") {
      if (segments.length > 0 && segments.at(-1) !== "..") segments.pop();
      else segments.push(segment);
    } else if (segment !== "" && segment !== ".") segments.push(segment);
  }
  return (path.startsWith("/") ? "/" : "") + segments.join("/");
}
