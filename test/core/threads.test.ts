import { spawnSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { afterEach, describe, expect, it } from "vitest";
import { listen, nodeWorkers } from "../../host/platform/node-workers";
import { Runtime } from "../../host/core/runtime";
import type { Workers } from "../../host/core/workers";
import { HeedError } from "../../host/errors";
import { Graph } from "../../host/graph/graph";
import { add, transpose } from "../../host/graph/ops/elementwise";
import { matmul } from "../../host/graph/ops/linear";
import { compile, type Program } from "../../host/graph/program";
import type { Tensor } from "../../host/graph/tensor";
import { randomArray } from "../random";

const runtimes: Runtime[] = [];
const create = async (threads: number, workers: Workers = nodeWorkers): Promise<Runtime> => {
  const runtime = await Runtime.create({ build: "simd", threads, workers });
  runtimes.push(runtime);
  return runtime;
};
afterEach(() => Promise.all(runtimes.splice(0).map((runtime) => runtime.dispose())));

const program = (runtime: Runtime, shape: number[], record: (x: Tensor) => Tensor): { program: Program; x: Tensor; out: Tensor } => {
  const graph = new Graph(runtime);
  const x = graph.input(shape);
  const out = graph.keep(record(x));
  return { program: compile(graph), x, out };
};
const compute = async (threads: number, shape: number[], record: (x: Tensor) => Tensor): Promise<Float32Array[]> => {
  const { program: chain, x, out } = program(await create(threads), shape, record);
  return Array.from({ length: 20 }, (_, seed) => {
    chain.write(x, randomArray(shape[0]! * shape[1]!, seed));
    chain.run();
    return chain.read(out);
  });
};

describe("the barrier", () => {
  // If a transpose is split, other threads wrote most of the elements it reads: a thread that does not wait reads stale values.
  const chain = (x: Tensor): Tensor => Array.from({ length: 100 }).reduce<Tensor>((y) => add(transpose(add(y, y)), transpose(y)), x);
  const products = (x: Tensor): Tensor => Array.from({ length: 20 }).reduce<Tensor>((y) => matmul(y, y), x);

  it.each([2, 3, 5])("keeps %i threads in step through 400 instructions that read across slices", async (threads) => {
    expect(await compute(threads, [67, 67], chain)).toEqual(await compute(1, [67, 67], chain));
  });

  it("keeps them in step through matmuls", async () => {
    expect(await compute(3, [50, 50], products)).toEqual(await compute(1, [50, 50], products));
  });

  it("works after a pause in which the threads have fallen asleep, and after memory has grown", async () => {
    const runtime = await create(3);
    const { program: sum, x, out } = program(runtime, [300, 200], (x) => add(x, x));
    const values = randomArray(60000, 1);
    for (let round = 0; round < 3; round++) {
      await sleep(50);
      runtime.memory.allocate(100_000_000, "test", "bytes");
      sum.write(x, values);
      sum.run();
      expect(sum.read(out)).toEqual(values.map((value) => value + value));
    }
  });
});

describe("Runtime.create", () => {
  it.each([0, -1, 1.5, 65, NaN, "2" as never])("rejects %s threads", async (threads) => {
    await expect(Runtime.create({ threads, workers: nodeWorkers })).rejects.toThrow('threads: expected "auto" or a whole number from 1 to 64, got ');
  });

  it("uses one thread per core by default, at most 8, and one thread without workers", async () => {
    for (const [workers, expected] of [[{ ...nodeWorkers, cores: 3 }, 3], [{ ...nodeWorkers, cores: 20 }, 8], [{ ...nodeWorkers, cores: 1 }, 1], [undefined, 1]] as const) {
      const runtime = await Runtime.create({ build: "simd", workers });
      runtimes.push(runtime);
      expect(runtime.threads).toBe(expected);
    }
  });

  it("reports what threads need", async () => {
    await expect(Runtime.create({ threads: 2 })).rejects.toThrow('threads: 2 threads need workers: pass nodeWorkers from "heed/node" or webWorkers from "heed/web"');
    const core = new URL("../../build/heed.simd.wasm", import.meta.url);
    await expect(Runtime.create({ core, threads: 2, workers: nodeWorkers })).rejects.toThrow("threads: 2 threads need a threaded core, such as heed.simd-threads.wasm");
    expect((await Runtime.create({ core, workers: nodeWorkers })).threads).toBe(1);
  });

  it("runs a threaded core on one thread", async () => {
    const runtime = await Runtime.create({ core: new URL("../../build/heed.simd-threads.wasm", import.meta.url), threads: 1 });
    const { program: sum, x, out } = program(runtime, [2], (x) => add(x, x));
    sum.write(x, [1, 2]);
    sum.run();
    expect([...sum.read(out)]).toEqual([2, 4]);
  });

  it("rejects with a typed error if a worker's script is missing", async () => {
    const workers: Workers = { cores: 2, start: (_, events) => listen(new Worker(new URL("missing.mjs", import.meta.url)), events) };
    const error: unknown = await Runtime.create({ threads: 2, workers }).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(HeedError);
    expect(error).toMatchObject({ code: "thread", message: expect.stringMatching(/^the runtime's threads could not be started: .*missing\.mjs/) });
  });
});

/** Workers whose computing threads are terminated `after` ms after they are ready. */
const dying = (after: number): Workers => ({
  ...nodeWorkers,
  start: (task, events) => listen(new Worker(new URL("dying-worker.mjs", import.meta.url), { workerData: { ...task, after } }), events),
});

describe("a thread that dies", () => {
  const square = (runtime: Runtime): Program => {
    const { program: product, x } = program(runtime, [1500, 1500], (x) => matmul(x, x)); // at least 0.1 s
    product.write(x, randomArray(1500 * 1500, 1));
    return product;
  };
  const failure = (action: () => void): unknown => {
    try {
      action();
      return undefined;
    } catch (error) {
      return error;
    }
  };
  const expected = { code: "thread", message: expect.stringContaining("create a new runtime") };

  it.each([2, 3])("while %i threads compute makes the run throw a typed error within a second, and later runs too", async (threads) => {
    const runtime = await create(threads, dying(1000));
    const product = square(runtime);
    const started = performance.now();
    const error = failure(() => {
      while (performance.now() - started < 10_000) product.run();
    });
    const seconds = (performance.now() - started) / 1000;
    expect(error).toMatchObject(expected);
    expect(seconds).toBeLessThan(2);
    expect(failure(() => product.run())).toMatchObject(expected);
  });

  it("between two runs makes the next one throw", async () => {
    const product = square(await create(2, dying(50)));
    await sleep(200);
    expect(failure(() => product.run())).toMatchObject({ code: "thread", message: expect.stringMatching(/^thread 1 of 2 ended: exit code 1/) });
  });
});

describe("threads", () => {
  /** Runs a script with three threads in a process of its own, which must end by itself. */
  const end = (script: string): { status: number | null; stdout: string } => {
    const url = (file: string): string => JSON.stringify(new URL(`../../dist/${file}`, import.meta.url).href);
    const setup = `import { Runtime } from ${url("index.js")}; import { nodeWorkers } from ${url("node.js")};
      const runtime = await Runtime.create({ threads: 3, workers: nodeWorkers });`;
    return spawnSync(process.execPath, ["--input-type=module", "--eval", setup + script], { encoding: "utf8", timeout: 60_000, cwd: fileURLToPath(new URL(".", import.meta.url)) });
  };

  it("do not keep a process alive after its main thread is done", () => {
    expect(end("console.log('done')")).toMatchObject({ status: 0, stdout: "done\n" });
    expect(end("throw new Error('no')").status).toBe(1);
  });

  it("end when the runtime is disposed, which may happen twice and cannot be undone", async () => {
    const threads = "(await import('node:fs')).readdirSync('/proc/self/task').length";
    const { status, stdout } = end(`const before = ${threads}; await runtime.dispose(); await runtime.dispose(); console.log(before - ${threads}); process.on("exit", () => console.log("left"));`);
    expect(status).toBe(0);
    if (process.platform === "linux") expect(stdout).toBe("3\nleft\n");
    const runtime = await create(2);
    const { program: sum, x } = program(runtime, [2], (x) => add(x, x));
    sum.write(x, [1, 2]);
    await runtime.dispose();
    expect(() => sum.run()).toThrow("the runtime was disposed");
  });

  it("sleep while there is nothing to run", async () => {
    await create(3);
    await sleep(100);
    const before = process.cpuUsage();
    await sleep(500);
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1000).toBeLessThan(250); // ms; two spinning threads would take 1,000
  });
});
