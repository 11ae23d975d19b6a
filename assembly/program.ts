/**
 * The interpreter: replays a program, instruction by instruction.
 *
 * Every thread runs the same list, told which of how many it is. An instruction's operands are passed to its kernel in the order
 * in which they stand; what they mean is said at the kernel, how they are laid out in `opcodes.ts`. A kernel holds its own loops,
 * so this file knows nothing of shapes; it costs about 6 ns an instruction (Node 20 and 24).
 */
import { Op } from "./opcodes";
import { activationForward, activationBackward } from "./kernels/activation";
import { attentionForward, attentionBackward } from "./kernels/attention";
import { crossEntropy, lossSum } from "./kernels/crossentropy";
import { dropout } from "./kernels/dropout";
import { add, scale, copy, fill, transpose, gatherRows, columnSum } from "./kernels/elementwise";
import { embeddingForward, embeddingBackward } from "./kernels/embedding";
import { randomNormal, randomUniform } from "./kernels/initialize";
import { layerNormForward, layerNormBackward, layerNormBackwardParameters } from "./kernels/layernorm";
import { matmulNN, matmulNT, matmulTN } from "./kernels/matmul";
import { squareSum, clipGradient, adamwStep, sgdStep } from "./kernels/optimizer";
import { positionsForward, positionsBackward, sinusoidalPositions } from "./kernels/positions";
import { argmax, sample } from "./kernels/sampling";
import { softmaxForward, softmaxBackward } from "./kernels/softmax";

// Operand `i` of the instruction at `at`: its two header words come first.
// @ts-ignore: decorator
@inline
function address(at: usize, i: i32): usize {
  return load<u32>(at + (<usize>i << 2), 8);
}
// @ts-ignore: decorator
@inline
function count(at: usize, i: i32): i32 {
  return load<i32>(at + (<usize>i << 2), 8);
}
// @ts-ignore: decorator
@inline
function scalar(at: usize, i: i32): f32 {
  return load<f32>(at + (<usize>i << 2), 8);
}

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

// Calls the kernel of one instruction: one case an opcode, in the order of `Op`.
export function execute(op: u32, at: usize, thread: i32, threads: i32): void {
  switch (op) {
    case Op.MatmulNN:
      matmulNN(
        address(at, 0), address(at, 1), address(at, 2), address(at, 3), address(at, 4), count(at, 5), count(at, 6),
        count(at, 7), count(at, 8), count(at, 9), count(at, 10), count(at, 11), count(at, 12), count(at, 13),
        count(at, 14), count(at, 15), count(at, 16), thread, threads,
      );
      break;
    case Op.MatmulNT:
      matmulNT(
        address(at, 0), address(at, 1), address(at, 2), address(at, 3), address(at, 4), count(at, 5), count(at, 6),
        count(at, 7), count(at, 8), count(at, 9), count(at, 10), count(at, 11), count(at, 12), count(at, 13),
        count(at, 14), count(at, 15), count(at, 16), thread, threads,
      );
      break;
    case Op.MatmulTN:
      matmulTN(
        address(at, 0), address(at, 1), address(at, 2), address(at, 3), address(at, 4), count(at, 5), count(at, 6),
        count(at, 7), count(at, 8), count(at, 9), count(at, 10), count(at, 11), count(at, 12), count(at, 13),
        count(at, 14), count(at, 15), count(at, 16), thread, threads,
      );
      break;
    case Op.AttentionForward:
      attentionForward(
        address(at, 0), address(at, 1), address(at, 2), address(at, 3), address(at, 4), address(at, 5), address(at, 6),
        address(at, 7), count(at, 8), count(at, 9), count(at, 10), count(at, 11), count(at, 12), count(at, 13),
        count(at, 14), count(at, 15), count(at, 16), scalar(at, 17), scalar(at, 18), count(at, 19), count(at, 20),
        thread, threads,
      );
      break;
    case Op.AttentionBackward:
      attentionBackward(
        address(at, 0), address(at, 1), address(at, 2), address(at, 3), address(at, 4), address(at, 5), address(at, 6),
        address(at, 7), address(at, 8), address(at, 9), address(at, 10), address(at, 11), count(at, 12), count(at, 13),
        count(at, 14), count(at, 15), count(at, 16), count(at, 17), count(at, 18), count(at, 19), count(at, 20),
        scalar(at, 21), scalar(at, 22), count(at, 23), count(at, 24), thread, threads,
      );
      break;
    case Op.SoftmaxForward: softmaxForward(address(at, 0), address(at, 1), count(at, 2), count(at, 3), thread, threads); break;
    case Op.SoftmaxBackward:
      softmaxBackward(address(at, 0), address(at, 1), address(at, 2), count(at, 3), count(at, 4), count(at, 5), thread, threads);
      break;
    case Op.LayerNormForward:
      layerNormForward(
        address(at, 0), address(at, 1), address(at, 2), address(at, 3), address(at, 4), address(at, 5), count(at, 6),
        count(at, 7), scalar(at, 8), thread, threads,
      );
      break;
    case Op.LayerNormBackward:
      layerNormBackward(
        address(at, 0), address(at, 1), address(at, 2), address(at, 3), address(at, 4), address(at, 5), count(at, 6),
        count(at, 7), count(at, 8), thread, threads,
      );
      break;
    case Op.LayerNormBackwardParameters:
      layerNormBackwardParameters(
        address(at, 0), address(at, 1), address(at, 2), address(at, 3), address(at, 4), address(at, 5), count(at, 6),
        count(at, 7), thread, threads,
      );
      break;
    case Op.ActivationForward: activationForward(address(at, 0), address(at, 1), count(at, 2), count(at, 3), thread, threads); break;
    case Op.ActivationBackward:
      activationBackward(address(at, 0), address(at, 1), address(at, 2), count(at, 3), count(at, 4), thread, threads);
      break;
    case Op.EmbeddingForward:
      embeddingForward(address(at, 0), address(at, 1), address(at, 2), count(at, 3), count(at, 4), scalar(at, 5), thread, threads);
      break;
    case Op.EmbeddingBackward:
      embeddingBackward(address(at, 0), address(at, 1), address(at, 2), count(at, 3), count(at, 4), scalar(at, 5), thread, threads);
      break;
    case Op.PositionsForward:
      positionsForward(address(at, 0), address(at, 1), address(at, 2), count(at, 3), count(at, 4), count(at, 5), thread, threads);
      break;
    case Op.PositionsBackward:
      positionsBackward(address(at, 0), address(at, 1), count(at, 2), count(at, 3), count(at, 4), thread, threads);
      break;
    case Op.SinusoidalPositions: sinusoidalPositions(address(at, 0), count(at, 1), count(at, 2), thread, threads); break;
    case Op.Add: add(address(at, 0), address(at, 1), address(at, 2), count(at, 3), thread, threads); break;
    case Op.Scale: scale(address(at, 0), address(at, 1), count(at, 2), scalar(at, 3), thread, threads); break;
    case Op.Copy: copy(address(at, 0), address(at, 1), count(at, 2), thread, threads); break;
    case Op.Fill: fill(address(at, 0), count(at, 1), scalar(at, 2), thread, threads); break;
    case Op.Transpose: transpose(address(at, 0), address(at, 1), count(at, 2), count(at, 3), thread, threads); break;
    case Op.GatherRows:
      gatherRows(address(at, 0), address(at, 1), address(at, 2), count(at, 3), count(at, 4), count(at, 5), thread, threads);
      break;
    case Op.ColumnSum: columnSum(address(at, 0), address(at, 1), count(at, 2), count(at, 3), thread, threads); break;
    case Op.Dropout:
      dropout(address(at, 0), address(at, 1), address(at, 2), address(at, 3), count(at, 4), scalar(at, 5), count(at, 6), thread, threads);
      break;
    case Op.CrossEntropy:
      crossEntropy(
        address(at, 0), address(at, 1), address(at, 2), address(at, 3), count(at, 4), count(at, 5), scalar(at, 6),
        count(at, 7), thread, threads,
      );
      break;
    case Op.LossSum: lossSum(address(at, 0), address(at, 1), address(at, 2), count(at, 3), count(at, 4), thread, threads); break;
    case Op.SquareSum: squareSum(address(at, 0), address(at, 1), count(at, 2), thread, threads); break;
    case Op.ClipGradient: clipGradient(address(at, 0), address(at, 1), count(at, 2), scalar(at, 3), thread, threads); break;
    case Op.AdamW:
      adamwStep(
        address(at, 0), address(at, 1), address(at, 2), address(at, 3), address(at, 4), count(at, 5), scalar(at, 6),
        scalar(at, 7), scalar(at, 8), scalar(at, 9), thread, threads,
      );
      break;
    case Op.Sgd:
      sgdStep(address(at, 0), address(at, 1), address(at, 2), address(at, 3), count(at, 4), scalar(at, 5), scalar(at, 6), thread, threads);
      break;
    case Op.Argmax: argmax(address(at, 0), address(at, 1), count(at, 2), count(at, 3), thread, threads); break;
    case Op.Sample:
      sample(
        address(at, 0), address(at, 1), address(at, 2), address(at, 3), address(at, 4), count(at, 5), count(at, 6),
        count(at, 7), thread, threads,
      );
      break;
    case Op.RandomNormal: randomNormal(address(at, 0), address(at, 1), count(at, 2), scalar(at, 3), count(at, 4), thread, threads); break;
    case Op.RandomUniform:
      randomUniform(address(at, 0), address(at, 1), count(at, 2), scalar(at, 3), scalar(at, 4), count(at, 5), thread, threads);
      break;
    default: unreachable(); // a program the host did not write
  }
}
