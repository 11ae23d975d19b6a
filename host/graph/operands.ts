import type { Op } from "../../assembly/opcodes";
import { type Operands, SIGNATURES } from "./instructions";
import type { Address, DType } from "./tensor";

// The types of operands as assembly/operands.ts has them, for the side that records instructions.

/** An array of dtype D that the instruction writes. */
export type Out<D extends DType> = Address<D>;
/** An array that it reads. */
export type In<D extends DType> = Address<D>;
/** An array that it reads and writes. */
export type InOut<D extends DType> = Address<D>;
/** The same, or nothing. */
export type MaybeOut<D extends DType> = Address<D> | null;
export type MaybeIn<D extends DType> = Address<D> | null;
export type MaybeInOut<D extends DType> = Address<D> | null;
/** An array in any format of weights. */
export type InFormat = Address;
/** Bytes of working memory for each thread. */
export type Scratch = number;

export type Count = number;
/** A member of an enum, or 0 and 1; booleans are taken too. */
export type Flag = number | boolean;
/** Rounded to f32. */
export type Scalar = number;

/** One operand of a kernel. */
export interface Operand {
  readonly name: string;
  readonly kind: "out" | "in" | "inOut" | "inFormat" | "scratch" | "count" | "flag" | "scalar";
  /** Of an array. */
  readonly dtype?: DType;
  /** Whether an array may be absent. */
  readonly isOptional: boolean;
}

const parsed = new Map<Op, readonly Operand[]>();

/** The operands of an instruction, in their order in memory. */
export function operandsOf(op: Op): readonly Operand[] {
  let operands = parsed.get(op);
  if (!operands) {
    operands = SIGNATURES[op as keyof Operands][1].split(", ").map(parseOperand);
    parsed.set(op, operands);
  }
  return operands;
}

/** The name of the kernel that an instruction calls. */
export const kernelOf = (op: Op): string => SIGNATURES[op as keyof Operands][0];

/** `bias: MaybeIn<f32>` */
function parseOperand(text: string): Operand {
  const [, name = "", maybe, type = "", dtype] = /^(\w+): (Maybe)?(\w+?)(?:<(\w+)>)?$/.exec(text)!;
  return { name, kind: (type[0]!.toLowerCase() + type.slice(1)) as Operand["kind"], dtype: dtype as DType | undefined, isOptional: maybe !== undefined };
}
