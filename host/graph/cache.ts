import type { Runtime } from "../core/runtime";
import { Graph, type GraphOptions } from "./graph";
import { compile, type Program } from "./program";

/** A program with the tensors that its recording returned. */
export interface Compiled<T> {
  readonly program: Program;
  readonly tensors: T;
}

/**
 * An LRU cache of programs. If there are more than its capacity, it disposes the least recently used one.
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

  /** @param capacity  the most programs it holds */
  constructor(
    private readonly runtime: Runtime,
    private readonly capacity: number,
  ) {}

  /** The program for `key`. Calls `record` unless it is cached. A key must always be used with the same type T. */
  get<T>(key: string, record: (graph: Graph) => T, options: GraphOptions = {}): Compiled<T> {
    let compiled = this.programs.get(key) as Compiled<T> | undefined;
    if (compiled) {
      this.programs.delete(key); // reinserted below, at the end of the order
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
