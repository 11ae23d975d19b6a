/**
 * The largest of the items' values, or 0. Unlike `Math.max(...values)`, it takes any number of items: an engine's stack has room for about
 * 100,000 arguments.
 */
export const maxOf = <T>(items: readonly T[], valueOf: (item: T) => number): number =>
  items.reduce((most, item) => Math.max(most, valueOf(item)), 0);
