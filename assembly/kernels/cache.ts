/** The key-value cache: pages of Page.Tokens tokens, read by `attentionForward`. */
import { Page } from "../layouts";
import { Count, In, MaybeIn, Out } from "../operands";
import { sliceEnd, sliceStart } from "../parallel";
import { element } from "./element";
import { transposeRows } from "./pack";

/**
 * Appends keys and values to their pages: token t of batch row b goes to position past[b] + t, for t < counts[b].
 * @param kPages  f32: element d of head g of token n of page p at p·pageK + g·headK + n·tokenK + d·dimK; tokenK or dimK is 1
 * @param vPages  f32: element d of head g of token n of page p at p·pageV + g·headV + n·tokenV + d
 * @param k       f32 [B, T, Hkv, D], tokens `ldk` apart
 * @param v       f32 [B, T, Hkv, D], tokens `ldv` apart
 * @param pages   i32 [B, P]: position j of batch row b is in page pages[b, ⌊j / Page.Tokens⌋]
 * @param past    i32 [B]
 * @param counts  i32 [B], the number of tokens in each batch row; absent: T
 * The host ensures that no two batch rows write to the same position, and that page numbers are valid.
 */
export function cacheKeyValue(
  kPages: Out<f32>, vPages: Out<f32>, k: In<f32>, v: In<f32>, pages: In<i32>, past: In<i32>, counts: MaybeIn<i32>,
  B: Count, T: Count, Hkv: Count, D: Count, P: Count, ldk: Count, ldv: Count,
  tokenK: Count, dimK: Count, headK: Count, pageK: Count, tokenV: Count, headV: Count, pageV: Count,
  thread: i32, threads: i32,
): void {
  assert(tokenK == 1 || dimK == 1);
  const last = sliceEnd(B * Hkv, 1, thread, threads);
  for (let unit = sliceStart(B * Hkv, 1, thread, threads); unit < last; unit++) {
    const b = unit / Hkv;
    const head = unit - b * Hkv;
    const position = load<i32>(element(past, b));
    const count = counts ? min(T, load<i32>(element(counts, b))) : T;
    assert(position >= 0 && position + count <= P * Page.Tokens, "cacheKeyValue: more tokens than its pages hold");
    for (let t = 0, run = 0; t < count; t += run) {
      const at = (position + t) % Page.Tokens;
      run = min(count - t, Page.Tokens - at); // tokens in the same page
      const page = load<i32>(element(pages, b * P + (position + t) / Page.Tokens));
      assert(page >= 0, "cacheKeyValue: a page number is negative");
      const kRun = element(k, (b * T + t) * ldk + head * D);
      const kPage = element(kPages, page * pageK + head * headK + at * tokenK);
      if (dimK == 1) copyTokens(kPage, tokenK, kRun, ldk, run, D);
      else transposeTokens(kPage, dimK, kRun, ldk, run, D);
      copyTokens(element(vPages, page * pageV + head * headV + at * tokenV), tokenV, element(v, (b * T + t) * ldv + head * D), ldv, run, D);
    }
  }
}

function copyTokens(to: usize, ldTo: i32, from: usize, ld: i32, R: i32, D: i32): void {
  for (let r = 0; r < R; r++) memory.copy(element(to, r * ldTo), element(from, r * ld), <usize>D << 2);
}

/** to[d, r] = x[r, d], without writing past the last r. */
function transposeTokens(to: usize, ldTo: i32, x: usize, ld: i32, R: i32, D: i32): void {
  const whole = R & -4;
  if (whole) transposeRows(to, ldTo, x, ld, whole, D);
  for (let r = whole; r < R; r++) {
    for (let d = 0; d < D; d++) store<f32>(element(to, d * ldTo + r), load<f32>(element(x, r * ld + d)));
  }
}
