import type { Block } from "../core/memory";
import type { Runtime } from "../core/runtime";
import { PAGE_TOKENS, pageElements, type PageLayout } from "../graph/ops/keyvalues";
import { State } from "../graph/tensor";
import type { Row } from "./row";

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

  /** Makes sure that a row has pages for its first `tokens` tokens, and does not share those about to be written. */
  makeRoom(row: Row, tokens: number): void {
    const { pages } = row;
    const first = Math.floor(row.stored / PAGE_TOKENS);
    for (let i = first; i < Math.ceil(tokens / PAGE_TOKENS); i++) {
      const page = i < pages.length ? this.writable(pages[i]!) : this.take();
      if (page === pages[i]) continue;
      pages[i] = page;
      row.isStale = true;
    }
  }

  /** Keeps the keys and values of a row's first `tokens` tokens. */
  keepFirst(row: Row, tokens: number): void {
    row.stored = tokens;
    row.isStale = true;
    for (const page of row.pages.splice(Math.ceil(tokens / PAGE_TOKENS))) this.release(page);
  }

  /** Lets a row without pages share the keys and values of another row's first `tokens` tokens. */
  sharePages(row: Row, other: Row, tokens: number): void {
    for (const page of other.pages.slice(0, Math.ceil(tokens / PAGE_TOKENS))) row.pages.push(this.share(page));
    row.stored = tokens;
  }

  /** Releases all pages of a row. */
  releaseAll(row: Row): void {
    for (const page of [...row.pages.splice(0), ...row.sourcePages.splice(0)]) this.release(page);
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

  /** A page's contents. */
  bytes(page: number): Uint8Array {
    return this.block.u8(page * this.pageBytes, this.pageBytes);
  }

  private elements(page: number): Float32Array {
    return this.block.f32(page * this.pageBytes, this.pageBytes / 4);
  }
}
