import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { Runtime } from "../../host/core/runtime";
import { Graph } from "../../host/graph/graph";
import { matmul } from "../../host/graph/ops/linear";
import { compile } from "../../host/graph/program";
import { webWorkers } from "../../host/web";
import { randomArray } from "../random";

// The scripts are those in dist/, in a scope like a browser's. Testing that both sides use the same protocol needs no browser.
const { WebWorker } = (await import(new URL("web-worker-host.mjs", import.meta.url).href)) as { WebWorker: typeof Worker };
beforeEach(() => vi.stubGlobal("Worker", WebWorker));
afterEach(() => vi.unstubAllGlobals());

it("Web Workers compute the same as one thread, and end when the runtime is disposed", async () => {
  const values = randomArray(200 * 200, 1);
  const results: unknown[] = [];
  for (const threads of [1, 3]) {
    const runtime = await Runtime.create({ build: "simd", threads, workers: webWorkers });
    const graph = new Graph(runtime);
    const x = graph.input([200, 200]);
    const y = graph.keep(matmul(matmul(x, x), x));
    const program = compile(graph);
    program.write(x, values);
    program.run();
    results.push(program.read(y));
    await runtime.dispose();
  }
  expect(results[1]).toEqual(results[0]);
});

it("one thread is the default in a page that is not cross-origin isolated, and more are rejected", async () => {
  vi.stubGlobal("crossOriginIsolated", false);
  expect((await Runtime.create({ build: "simd", workers: webWorkers })).threads).toBe(1);
  await expect(Runtime.create({ build: "simd", threads: 2, workers: webWorkers })).rejects.toMatchObject({
    code: "runtime", message: 'threads: 2 threads need shared memory, which is not available here (a page must be cross-origin isolated); use 1 or "auto"',
  });
});
