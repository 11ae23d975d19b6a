import type { Block } from "../core/memory";
import type { Runtime } from "../core/runtime";
import { pageElements, type PageLayout } from "../graph/ops/keyvalues";
import { State } from "../graph/tensor";

/** Initial number of pages; it doubles when they run out. */
const FIRST_PAGES = 8;

/**
 * A reference-counted pool of pages that hold keys and values. A page shared by several rows is never written; `writable` copies it first.
 * Page 0 belongs to no row: idle slots of a step write to it.
 */
export class PagePool {
  private readonly block: Block;
  /** Number of rows that use each page. */
  private readonly uses: number[] = [1];
  private readonly unused: number[] = [];

  /** @param poison  fill pages with NaN when they are taken or released, so that tests detect stale reads */
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

  /** Number of pages in use. */
  get used(): number {
    return this.uses.filter((uses) => uses > 0).length - 1;
  }

  /**
   * Takes a page for one row.
   * @throws HeedError `memory` if the pool cannot grow, in which case nothing has changed
   */
  take(): number {
    if (this.unused.length === 0 && this.uses.length === this.capacity) this.block.resize(2 * this.block.bytes);
    const page = this.unused.pop() ?? this.uses.length;
    this.uses[page] = 1;
    if (this.poison) this.elements(page).fill(NaN);
    return page;
  }

  /** Adds a reference to a page. */
  share(page: number): number {
    this.uses[page]!++;
    return page;
  }

  /** Returns a page with the same contents that only the caller uses: the page itself, or a copy that replaces it. */
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
