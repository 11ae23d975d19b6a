/** Reads the operands of an instruction: one word each, after the two header words. */

// @ts-ignore: decorator
@inline
export function address(at: usize, i: i32): usize {
  return load<u32>(at + (<usize>i << 2), 8);
}

// @ts-ignore: decorator
@inline
export function count(at: usize, i: i32): i32 {
  return load<i32>(at + (<usize>i << 2), 8);
}

// @ts-ignore: decorator
@inline
export function scalar(at: usize, i: i32): f32 {
  return load<f32>(at + (<usize>i << 2), 8);
}
