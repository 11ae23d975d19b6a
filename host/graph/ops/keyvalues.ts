import { Page } from "../../../assembly/layouts";
import { Op } from "../../../assembly/opcodes";
import { formatShape } from "../shape";
import { Slice, type Tensor } from "../tensor";
import { expectShape } from "./shared";

/** Some columns of token-major rows [B, T, columns]: the queries, keys or values in the output of a fused projection. */
export interface Columns {
  readonly tensor: Tensor;
  readonly column: number;
}

/** The layout of a page of keys and values. */
export interface PageLayout {
  readonly layers: number;
  readonly keyValueHeads: number;
  readonly headSize: number;
}

/** Tokens per page, which is attention's block size. */
export const PAGE_TOKENS = Page.Tokens as number;

/** Elements of a page: for each layer, K [heads, size, PAGE_TOKENS], then V [heads, PAGE_TOKENS, size]. */
export const pageElements = ({ layers, keyValueHeads, headSize }: PageLayout): number =>
  2 * layers * keyValueHeads * headSize * PAGE_TOKENS;

/**
 * The keys and values of a graph's rows, stored in pages that outlive the run. Each page has a part for every layer.
 * The page tables of the rows, and how many tokens they have stored, are read when the program runs.
 *
 * @example
 * const layout = { layers: 2, keyValueHeads: 2, headSize: 8 };
 * const pool = graph.input([16, 2 * 2 * 2 * 8 * 64]); //    16 pages: K and V of 2 layers × 2 heads × 8 × 64 tokens
 * const cache = new KeyValues(layout, pool, graph.input([3, 4], "i32"), graph.input([3], "i32"));
 * cache.layer(0).capacity; // 256
 */
export class KeyValues {
  constructor(
    readonly layout: PageLayout,
    /** f32 [pages, elements of a page] */
    readonly pool: Tensor,
    /** i32 [B, P]: the pages of each row's tokens 0–63, 64–127, … */
    readonly pages: Tensor<"i32">,
    /** i32 [B]: how many tokens each row has stored before this run. */
    readonly past: Tensor<"i32">,
    /** i32 [B]: how many of this run's tokens are valid; all of them by default. */
    readonly counts: Tensor<"i32"> | null = null,
  ) {
    const [B = 0] = pages.shape;
    if (pages.shape.length !== 2) throw new RangeError(`KeyValues: expected pages of shape [B,P], got ${formatShape(pages.shape)}`);
    expectShape("KeyValues", "past", past, [B]);
    if (counts) expectShape("KeyValues", "counts", counts, [B]);
    if (pool.columns !== pageElements(layout)) {
      throw new RangeError(`KeyValues: expected a pool of shape [pages,${pageElements(layout)}], got ${formatShape(pool.shape)}`);
    }
  }

  /** @throws RangeError if the layout has no such layer */
  layer(index: number): LayerKeyValues {
    if (!Number.isInteger(index) || index < 0 || index >= this.layout.layers) {
      throw new RangeError(`KeyValues: expected a layer from 0 to ${this.layout.layers - 1}, got ${index}`);
    }
    return new LayerKeyValues(this, index);
  }
}

/**
 * One layer's keys and values.
 *
 * @example
 * const layout = { layers: 2, keyValueHeads: 2, headSize: 8 };
 * const cache = new KeyValues(layout, graph.input([16, 4096]), graph.input([3, 4], "i32"), graph.input([3], "i32"));
 * selfAttention(graph.input([3, 1, 48]), { heads: 2, causal: true }, new LayerKeyValues(cache, 1)).shape; // [3, 1, 16]
 */
export class LayerKeyValues {
  constructor(
    readonly all: KeyValues,
    readonly index: number,
  ) {}

  /** The maximum number of keys of a row. */
  get capacity(): number {
    return this.all.pages.columns * PAGE_TOKENS;
  }

  /** Appends the run's keys and values to those of earlier runs. key, value: columns of f32 [B, T, …] */
  append(key: Columns, value: Columns): void {
    const { pages, past, counts, layout } = this.all;
    const [B = 0, T = 0] = key.tensor.shape;
    const { k: kPages, v: vPages, ...strides } = this.operands();
    this.all.pool.graph.emit(Op.CacheKeyValue, {
      kPages, vPages, k: new Slice(key.tensor, key.column), v: new Slice(value.tensor, value.column), pages, past, counts,
      B, T, Hkv: layout.keyValueHeads, D: layout.headSize, P: pages.columns, ldk: key.tensor.columns, ldv: value.tensor.columns, ...strides,
    }, { bytes: 16 * B * T * layout.keyValueHeads * layout.headSize });
  }

  /** The keys and values as operands of attention, with their strides. */
  operands() {
    const { layout: { keyValueHeads, headSize: D }, layout, pool } = this.all;
    const half = keyValueHeads * D * PAGE_TOKENS;
    const page = pageElements(layout);
    return {
      k: new Slice(pool, 2 * half * this.index, half), v: new Slice(pool, 2 * half * this.index + half, half),
      tokenK: 1, dimK: PAGE_TOKENS, headK: D * PAGE_TOKENS, pageK: page, tokenV: D, headV: D * PAGE_TOKENS, pageV: page,
    };
  }
}
