/** The largest of the items' values, or 0. `Math.max(...)` takes each value as an argument, of which an engine has room for about 100,000. */
export const maxOf = <T>(items: readonly T[], valueOf: (item: T) => number): number =>
  items.reduce((most, item) => Math.max(most, valueOf(item)), 0);
