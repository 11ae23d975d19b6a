import { HeedError } from "../../host/errors";
import type { Files } from "../../host/io/files";

export interface Fault {
  /** The index of the operation that fails. */
  at: number;
  /** Whether it takes effect before it reports an error. */
  isDone: boolean;
  /** Later operations: all succeed again, writes fail (the disk is full), or all fail (the process was killed). */
  then: "well" | "full" | "dead";
}

/** A wrapper that injects a fault; a failed write leaves half of its bytes. */
export class FaultyFiles implements Files {
  operations = 0;

  constructor(
    private readonly inner: Files,
    private readonly fault: Fault,
  ) {}

  exists = (path: string) => this.run(() => this.inner.exists(path));
  read = (path: string) => this.run(() => this.inner.read(path));
  open = (path: string) => this.run(() => this.inner.open(path));
  rename = (from: string, to: string) => this.run(() => this.inner.rename(from, to));
  remove = (path: string) => this.run(() => this.inner.remove(path));
  list = (path: string) => this.run(() => this.inner.list(path));
  makeDirectory = (path: string) => this.run(() => this.inner.makeDirectory(path));
  append = (path: string, bytes: Uint8Array) => this.run(() => this.inner.append(path, bytes));
  write = (path: string, bytes: Uint8Array) =>
    this.run(
      () => this.inner.write(path, bytes),
      () => this.inner.write(path, bytes.subarray(0, bytes.length >> 1)),
    );

  private async run<T>(action: () => Promise<T>, half?: () => Promise<void>): Promise<T> {
    const { at, isDone, then } = this.fault;
    const index = this.operations++;
    if (index < at) return action();
    const isBroken = index === at || then === "dead" || (then === "full" && half !== undefined);
    if (!isBroken) return action();
    if (index === at && isDone) await action();
    else if (then !== "dead" || index === at) await half?.();
    throw new HeedError("file", "ENOSPC: no space left on device");
  }
}
