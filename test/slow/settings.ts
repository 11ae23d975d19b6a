/** The seed of the attacks: `HEED_SEED`, 1 by default. A failure names the seed and the round, so that it can be repeated. */
export const seed = number("HEED_SEED", 1);

/** How often an attack is tried: `usual` times `HEED_ROUNDS`, which is 1 by default; the whole suite then takes at most 20 minutes. */
export const rounds = (usual: number): number => Math.max(1, Math.round(usual * number("HEED_ROUNDS", 1)));

function number(name: string, otherwise: number): number {
  const value = Number(process.env[name] ?? otherwise);
  if (!(value > 0)) throw new RangeError(`${name}: expected a positive number, got ${process.env[name]}`);
  return value;
}
