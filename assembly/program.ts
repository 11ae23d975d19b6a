/**
 * The interpreter: replays a program, instruction by instruction.
 *
 * Every thread runs the same list and is told which of how many threads it is. A kernel holds its own loops, so this file knows
 * nothing of shapes; it costs about 6 ns per instruction (Node 20 and 24).
 */
import { execute } from "./execute";
import { Op } from "./opcodes";

/**
 * Runs the program at `at` as `thread` of `threads`.
 * @param at  address of the first instruction; the list ends with `Op.End`
 */
export function run(at: usize, thread: i32, threads: i32): void {
  while (true) {
    const op = load<u32>(at);
    if (op == Op.End) return;
    execute(op, at, thread, threads);
    at += <usize>load<u16>(at, 4) << 2;
  }
}
