/** The address of an f32 element, by index. */
// @ts-ignore: decorator
@inline
export function element(base: usize, index: i32): usize {
  return base + (<usize>index << 2);
}
