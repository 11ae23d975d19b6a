import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { Block } from "../../host/core/memory";
import { type CoreSource, Runtime } from "../../host/core/runtime";
import { HeedError } from "../../host/errors";
import "../graph/runtime"; // relaxed SIMD in Node 20

const url = new URL("../../build/heed.simd.wasm", import.meta.url);
const bytes = readFileSync(url);
const failure = async (core: CoreSource): Promise<HeedError> => {
  const error: unknown = await Runtime.create({ core, build: "simd" }).catch((error: unknown) => error);
  expect(error).toBeInstanceOf(HeedError);
  return error as HeedError;
};

describe("Runtime.create", () => {
  it.each<[string, CoreSource]>([
    ["bytes", bytes],
    ["an ArrayBuffer", new Uint8Array(bytes).buffer],
    ["a compiled module", new WebAssembly.Module(bytes)],
    ["a file: URL", url],
    ["a string", url.href],
    ["another URL", new URL(`data:application/wasm;base64,${bytes.toString("base64")}`)],
  ])("takes a core from %s", async (_, core) => {
    const runtime = await Runtime.create({ core, build: "simd" });
    expect(runtime.build).toBe("simd");
    expect(runtime.memory.allocate(64, "test", "bytes").address).toBeGreaterThan(0);
  });

  it("uses the bundled build that is requested", async () => {
    expect((await Runtime.create({ build: "simd" })).build).toBe("simd");
  });

  it.each(["simd", "relaxed"] as const)("reports the build %s as the core declares it, regardless of its file", async (build) => {
    const core = readFileSync(new URL(`../../build/heed.${build}.wasm`, import.meta.url));
    expect((await Runtime.create({ core })).build).toBe(build);
    const other = build === "simd" ? "relaxed" : "simd";
    await expect(Runtime.create({ core, build: other })).rejects.toMatchObject({ code: "runtime", message: `build: expected the build "${other}", got a core of the build "${build}"` });
  });

  it("gives each runtime its own memory", async () => {
    const core = new WebAssembly.Module(bytes);
    const [a, b] = [await Runtime.create({ core, build: "simd" }), await Runtime.create({ core, build: "simd" })];
    const [mine, other] = [a, b].map(({ memory }) => memory.allocate(64, "test", "bytes")) as [Block, Block];
    expect(other.address).toBe(mine.address);
    mine.u8()[0] = 7;
    expect(other.u8()[0]).toBe(0);
  });

  it("rejects an unknown build", async () => {
    await expect(Runtime.create({ build: "fast" as "simd" })).rejects.toThrow('build: expected "auto", "simd", "relaxed" or "turbo", got "fast"');
  });

  it("reports what is wrong with a file that is not a core", async () => {
    expect(await failure(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8))).toMatchObject({ code: "runtime", message: expect.stringContaining("the core could not be instantiated") });
    const empty = new WebAssembly.Module(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0));
    expect((await failure(empty)).message).toBe("this WebAssembly module is not heed's core: expected exports named run, heapBase and build");
  });

  it("reports which file or address it could not load", async () => {
    const missing = new URL("missing.wasm", import.meta.url);
    expect((await failure(missing)).message).toMatch(`the core could not be loaded from ${missing.href}: ENOENT`);
    expect((await failure("http://127.0.0.1:9/core.wasm")).message).toMatch("the core could not be loaded from http://127.0.0.1:9/core.wasm");
  });
});
