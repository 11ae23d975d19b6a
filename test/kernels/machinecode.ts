import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";

/** Flags that make V8 compile the whole module with its optimizing compiler, immediately. */
const FLAGS = ["--no-liftoff", "--no-wasm-lazy-compilation", "--print-wasm-code"];
const COMPILE = 'new WebAssembly.Module(require("node:fs").readFileSync(process.argv[1]))';

/**
 * The innermost loops of a build's x64 code, each a list of instructions.
 * @param node   the Node executable to run
 * @param flags  additional V8 flags
 * @returns an empty list if that Node was built without a disassembler or is not for x64
 */
export function innermostLoops(node: string, build: string, flags: readonly string[] = []): string[][] {
  if (process.arch !== "x64") return [];
  const wasm = fileURLToPath(new URL(`../../build/heed.${build}.wasm`, import.meta.url));
  const listing = execFileSync(node, [...FLAGS, ...flags, "-e", COMPILE, wasm], { encoding: "utf8", maxBuffer: 1 << 28 });
  return listing.split("--- WebAssembly code ---").slice(1).flatMap(loopsOf);
}

/** A line of the listing: address, offset, bytes, instruction. */
const LINE = /^0x[0-9a-f]+ +([0-9a-f]+) +[0-9a-f]+ +(.*)$/;
/** A jump to an offset in the same function. */
const JUMP = /^j\w+ .*<\+0x([0-9a-f]+)>$/;

function loopsOf(listing: string): string[][] {
  const code = listing.split("\n").map((line) => LINE.exec(line)).filter((match) => match !== null).map(([, offset, text]) => ({ offset: parseInt(offset!, 16), text: text! }));
  const index = new Map(code.map(({ offset }, i) => [offset, i]));
  const loops = code.flatMap(({ text }, end) => {
    const start = index.get(parseInt(JUMP.exec(text)?.[1] ?? "", 16));
    return start !== undefined && start <= end ? [{ start, end }] : [];
  });
  const isInnermost = ({ start, end }: { start: number; end: number }): boolean =>
    !loops.some((other) => other.start >= start && other.end <= end && (other.start > start || other.end < end));
  return loops.filter(isInnermost).map(({ start, end }) => code.slice(start, end + 1).map(({ text }) => text));
}

/** The number of instructions that match. */
export const count = (loop: readonly string[], instruction: RegExp): number => loop.filter((text) => instruction.test(text)).length;

/** A vector register written to or read from the stack frame. */
export const SPILL = /^v?mov\w+ (.*[xy]mm\d+,\[r[bs]p|\[r[bs]p.*,[xy]mm\d+)/;
