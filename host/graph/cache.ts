import type { Runtime } from "../core/runtime";
import { Graph, type GraphOptions } from "./graph";
import { compile, type Program } from "./program";

/** A program with the symbols that its recording returned. */
export interface Compiled<T> {
  readonly program: Program;
  readonly tensors: T;
}

/**
 * Programs by key, the least recently used one disposed when there are too many.
 *
 * @example
 * const programs = new ProgramCache(runtime, 8);
 * const { program, tensors } = programs.get("double 4", (graph) => {
 *   const x = graph.input([4]);
 *   return { x, y: graph.keep(add(x, x)) };
 * });
 * program.write(tensors.x, [1, 2, 3, 4]);
 * program.run();
 * program.read(tensors.y); // Float32Array [2, 4, 6, 8]
 * programs.dispose();
 */
export class ProgramCache {
  private readonly programs = new Map<string, Compiled<unknown>>();

  /** @param capacity  programs that are kept at once */
  constructor(
    private readonly runtime: Runtime,
    private readonly capacity: number,
  ) {}

  /** The program for `key`; `record` is called unless it is cached. One key must always stand for one type of tensors. */
  get<T>(key: string, record: (graph: Graph) => T, options: GraphOptions = {}): Compiled<T> {
    let compiled = this.programs.get(key) as Compiled<T> | undefined;
    if (compiled) {
      this.programs.delete(key); // to the end of the order
    } else {
      const graph = new Graph(this.runtime, options);
      const tensors = record(graph);
      compiled = { program: compile(graph), tensors };
    }
    this.programs.set(key, compiled);
    if (this.programs.size > this.capacity) {
      const [oldest, { program }] = this.programs.entries().next().value!;
      this.programs.delete(oldest);
      program.dispose();
    }
    return compiled;
  }

  dispose(): void {
    for (const { program } of this.programs.values()) program.dispose();
    this.programs.clear();
  }
}
