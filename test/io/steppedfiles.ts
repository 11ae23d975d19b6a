import type { Files } from "../../host/io/files";

/** A wrapper whose operations wait until they are allowed, so that a test decides in which order two processes take turns. */
export class SteppedFiles implements Files {
  operations = 0;
  private allowed = 0;
  private wake = (): void => {};
  private noteBlocked = (): void => {};

  constructor(private readonly inner: Files) {}

  exists = (path: string) => this.run(() => this.inner.exists(path));
  read = (path: string) => this.run(() => this.inner.read(path));
  open = (path: string) => this.run(() => this.inner.open(path));
  write = (path: string, bytes: Uint8Array) => this.run(() => this.inner.write(path, bytes));
  append = (path: string, bytes: Uint8Array) => this.run(() => this.inner.append(path, bytes));
  rename = (from: string, to: string) => this.run(() => this.inner.rename(from, to));
  remove = (path: string) => this.run(() => this.inner.remove(path));
  list = (path: string) => this.run(() => this.inner.list(path));
  makeDirectory = (path: string) => this.run(() => this.inner.makeDirectory(path));

  /** Lets the process continue until it has done `total` operations, or has ended. */
  async advance(total: number, ended: Promise<unknown>): Promise<void> {
    const blocked = new Promise<void>((resolve) => (this.noteBlocked = resolve));
    this.allowed = total;
    this.wake();
    await Promise.race([blocked, ended.catch(() => undefined)]);
  }

  private async run<T>(action: () => Promise<T>): Promise<T> {
    while (this.operations >= this.allowed) {
      const allowed = new Promise<void>((resolve) => (this.wake = resolve));
      this.noteBlocked();
      await allowed;
    }
    this.operations++;
    return action();
  }
}
