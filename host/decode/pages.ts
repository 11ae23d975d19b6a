import type { Block } from "../core/memory";
import type { Runtime } from "../core/runtime";
import { pageElements, type PageLayout } from "../graph/ops/keyvalues";
import { State } from "../graph/tensor";

/** Pages at first; their number doubles when they run out. */
const FIRST_PAGES = 8;

/**
 * Pages of keys and values, counted by how many rows use each. A page that several rows share is never written: `writable` copies it.
 * Page 0 belongs to no row: what idle slots of a step write goes there.
 */
export class PagePool {
  private readonly block: Block;
  /** Rows that use each page. */
  private readonly uses: number[] = [1];
  private readonly unused: number[] = [];

  /** @param poison  fills pages with NaN when they are taken and released, so that a test notices a stale read */
  constructor(
    runtime: Runtime,
    readonly layout: PageLayout,
    private readonly poison = false,
  ) {
    this.block = runtime.memory.allocate(FIRST_PAGES * this.pageBytes, "session", "pages of keys and values");
  }

  /** All pages, for a graph to use: f32 [pages, elements of a page]. */
  get state(): State {
    return new State(this.block, [this.capacity, pageElements(this.layout)]);
  }

  /** Pages that some row uses. */
  get used(): number {
    return this.uses.filter((uses) => uses > 0).length - 1;
  }

  /** A page for one row. @throws HeedError `memory` when the pages cannot grow; nothing has then changed */
  take(): number {
    if (this.unused.length === 0 && this.uses.length === this.capacity) this.block.resize(2 * this.block.bytes);
    const page = this.unused.pop() ?? this.uses.length;
    this.uses[page] = 1;
    if (this.poison) this.elements(page).fill(NaN);
    return page;
  }

  /** Counts one more row that uses the page. */
  share(page: number): number {
    this.uses[page]!++;
    return page;
  }

  /** A page with the same contents that only the caller uses: this one, or a copy in its place. */
  writable(page: number): number {
    if (this.uses[page] === 1) return page;
    const copy = this.take();
    this.elements(copy).set(this.elements(page));
    this.release(page);
    return copy;
  }

  release(page: number): void {
    if (--this.uses[page]! > 0) return;
    this.unused.push(page);
    if (this.poison) this.elements(page).fill(NaN);
  }

  dispose(): void {
    this.block.free();
  }

  private get pageBytes(): number {
    return 4 * pageElements(this.layout);
  }

  private get capacity(): number {
    return this.block.bytes / this.pageBytes;
  }

  private elements(page: number): Float32Array {
    return this.block.f32(page * this.pageBytes, this.pageBytes / 4);
  }
}
