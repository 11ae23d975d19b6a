import type { Op } from "../../assembly/opcodes";
import { type Operands, SIGNATURES } from "./instructions";
import type { Address, DType } from "./tensor";

// The host's counterparts of the operand types in assembly/operands.ts.

/** An array of dtype D that the instruction writes. */
export type Out<D extends DType> = Address<D>;
/** An array that the instruction reads. */
export type In<D extends DType> = Address<D>;
/** An array that the instruction reads and writes. */
export type InOut<D extends DType> = Address<D>;
/** An optional array. */
export type MaybeOut<D extends DType> = Address<D> | null;
export type MaybeIn<D extends DType> = Address<D> | null;
export type MaybeInOut<D extends DType> = Address<D> | null;
/** An array in any weight format. */
export type InFormat = Address;
/** Bytes of working memory per thread. */
export type Scratch = number;

export type Count = number;
/** A member of an enum, or 0 or 1; booleans are accepted too. */
export type Flag = number | boolean;
/** Rounded to f32. */
export type Scalar = number;

/** One operand of a kernel. */
export interface Operand {
  readonly name: string;
  readonly kind: "out" | "in" | "inOut" | "inFormat" | "scratch" | "count" | "flag" | "scalar";
  /** The dtype of an array. */
  readonly dtype?: DType;
  /** Whether an array may be null. */
  readonly isOptional: boolean;
}

const parsed = new Map<Op, readonly Operand[]>();

/** The operands of an instruction, in the order they have in memory. */
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
  const kind = (type[0]!.toLowerCase() + type.slice(1)) as Operand["kind"];
  return { name, kind, dtype: dtype as DType | undefined, isOptional: maybe !== undefined };
}
