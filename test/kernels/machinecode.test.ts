import { describe, expect, it } from "vitest";
import { hasRelaxedSimd } from "../../host/core/runtime";
import { otherNodes, turboNode } from "../core/nodes";
import { count, innermostLoops, SPILL } from "./machinecode";

const SPLAT = /^vbroadcastss /;
const SHUFFLE = /^v(punpck|unpck|pshuf|shuf|perm|movlhps|movhlps)/;
const PRODUCT = /^v?mulps xmm/;
const FUSED = /^vfmadd\d+ps xmm/;
const FUSED_WIDE = /^vfmadd\d+ps ymm/;

interface Kernel {
  name: string;
  product: RegExp;
  products: number;
  splats: number;
  shuffles?: number;
}

/** The micro-kernels, identified by the products, splats and shuffles per iteration of their loop, which V8 may unroll. */
const kernels: Record<"simd" | "relaxed" | "turbo", Kernel[]> = {
  simd: [
    { name: "tile2x16", product: PRODUCT, products: 8, splats: 2 },
    { name: "tile4x8", product: PRODUCT, products: 8, splats: 4 },
    { name: "tile8x4", product: PRODUCT, products: 8, splats: 8 },
    { name: "dots16", product: PRODUCT, products: 16, splats: 4, shuffles: 32 },
    { name: "dots8", product: PRODUCT, products: 8, splats: 4, shuffles: 16 },
  ],
  relaxed: [
    { name: "tile6x8", product: FUSED, products: 12, splats: 6 },
    { name: "tile4x8", product: FUSED, products: 8, splats: 4 },
    { name: "tile8x4", product: FUSED, products: 8, splats: 8 },
    { name: "dots16", product: FUSED, products: 16, splats: 4, shuffles: 32 },
    { name: "dots8", product: FUSED, products: 8, splats: 4, shuffles: 16 },
  ],
  turbo: [
    { name: "tile6x16", product: FUSED_WIDE, products: 12, splats: 6 },
    { name: "tile4x16", product: FUSED_WIDE, products: 8, splats: 4 },
  ],
};
type Build = keyof typeof kernels;

const relaxedFlags = hasRelaxedSimd() ? [] : ["--experimental-wasm-relaxed-simd"];
const asked: [title: string, node: string | undefined, build: Build, flags: string[]][] = [
  ["this Node", process.execPath, "simd", []],
  ["this Node", process.execPath, "relaxed", relaxedFlags],
  ...otherNodes.flatMap((node): typeof asked => [[node, node, "simd", []], [node, node, "relaxed", []]]),
  ["Node 24 or later", turboNode, "turbo", ["--experimental-wasm-revectorize", "--no-wasm-inlining"]],
];

describe("V8's machine code", () => {
  for (const [title, node, build, flags] of asked) {
    const loops = node ? innermostLoops(node, build, flags) : [];
    const skipped = !node ? " (skipped: none found; set HEED_NODES)" : loops.length === 0 ? " (skipped: this Node does not disassemble for x64)" : "";
    for (const { name, product, products, splats, shuffles = 0 } of kernels[build]) {
      it.skipIf(skipped)(`keeps ${name} (${build}) in registers, on ${title}${skipped}`, () => {
        const found = loops.filter((loop) => {
          const turns = count(loop, product) / products;
          return Number.isInteger(turns) && turns > 0 && count(loop, SPLAT) === splats * turns && count(loop, SHUFFLE) === shuffles * turns &&
            loop.length <= (5 * products + splats + 2 * shuffles) * turns;
        });
        expect(found).not.toEqual([]);
        for (const loop of found) {
          // Instructions before the first splat and after the last product belong to the enclosing loop.
          const turns = loop.slice(loop.findIndex((line) => SPLAT.test(line)), loop.map((line) => product.test(line)).lastIndexOf(true) + 1);
          expect(turns.filter((line) => SPILL.test(line)), loop.join("\n")).toEqual([]);
        }
      });
    }
  }

  it("tells spills from other instructions", () => {
    expect(["vmovups [rbp-0x60],xmm3", "vmovdqu xmm12,[rbp-0x1f0]", "movaps xmm1,[rsp+0x10]", "vmovups ymm0,[rbp-0x80]"].filter((text) => !SPILL.test(text))).toEqual([]);
    expect(["vmovdqu xmm3,[rsi+rcx*1+0x10]", "cmpl r8,[rbp-0x1f0]", "vmovups [rdi],xmm0"].filter((text) => SPILL.test(text))).toEqual([]);
  });
});
