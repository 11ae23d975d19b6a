import { uniform } from "../random";
import { seed } from "./settings";

/** A source of random choices for one round of an attack. The same seed and round give the same choices. */
export class Dice {
  readonly next: () => number;

  constructor(attack: string, readonly round: number) {
    let salt = 0;
    for (const character of attack) salt = (31 * salt + character.charCodeAt(0)) % 65521;
    this.next = uniform((seed * 1_000_003 + salt * 7919 + round) % 2 ** 31);
  }

  below(n: number): number {
    return Math.floor(n * this.next());
  }

  pick<T>(items: ArrayLike<T>): T {
    return items[this.below(items.length)]!;
  }
}

const hostileTexts = ["", "a", " ", "\u001b[31m", "\ud800", "a".repeat(100_000), "__proto__", "constructor", "ByteLevel", "Sequence", "(a|a)*c", "(a", "\\1", "🦉"];
const hostileNumbers = [0, -0, -1, 0.5, 1e9, 2 ** 31, 2 ** 53, -(2 ** 63), 1e308, 3];

function hostileValue(dice: Dice, depth = 0): unknown {
  switch (dice.below(depth > 3 ? 4 : 8)) {
    case 0:
      return null;
    case 1:
      return dice.pick(hostileTexts);
    case 2:
      return dice.pick(hostileNumbers);
    case 3:
      return dice.pick([true, false]);
    case 4:
      return Array.from({ length: dice.below(4) }, () => hostileValue(dice, depth + 1));
    case 5:
      return { type: dice.pick(["Sequence", "Split", "Replace", "Prepend", "Strip", "Magic"]), [dice.pick(["pattern", "content", "length"])]: hostileValue(dice, depth + 1) };
    case 6: {
      let deep: unknown = null;
      for (let i = 0; i < 20_000; i++) deep = [deep];
      return deep;
    }
    default:
      return {};
  }
}

/** Changes one to three random places of a JSON value, which it returns: replaces, removes, repeats or exchanges what is there. */
export function mutateJson(dice: Dice, json: object): object {
  const copy = structuredClone(json);
  for (let edits = 1 + dice.below(3); edits > 0; edits--) {
    let holder: Record<string, unknown> = copy as Record<string, unknown>;
    let key = dice.pick(Object.keys(holder));
    while (typeof holder[key] === "object" && holder[key] !== null && Object.keys(holder[key] as object).length > 0 && dice.below(4) > 0) {
      holder = holder[key] as Record<string, unknown>;
      key = dice.pick(Object.keys(holder));
    }
    const die = dice.below(5);
    if (die === 0) delete holder[key];
    else if (die === 1) holder[dice.pick(["type", "vocab", "merges", "pattern", "normalizers", "unk_id", "x"])] = hostileValue(dice);
    else if (die === 2) holder[key] = holder[dice.pick(Object.keys(holder))];
    else holder[key] = hostileValue(dice);
    if (Object.keys(copy).length === 0) break;
  }
  return copy;
}

/** Changes a few random bytes: flips bits, writes JSON's characters, removes or repeats a piece. */
export function mutateBytes(dice: Dice, bytes: Uint8Array): Uint8Array {
  let changed = bytes.slice();
  for (let edits = 1 + dice.below(4); edits > 0 && changed.length > 0; edits--) {
    const at = dice.below(dice.below(2) === 0 ? Math.min(300, changed.length) : changed.length);
    const length = 1 + dice.below(30);
    const die = dice.below(4);
    if (die === 0) changed[at]! ^= 1 << dice.below(8);
    else if (die === 1) changed[at] = '{}[]",:0123456789-.eE\\u tn'.charCodeAt(dice.below(26));
    else if (die === 2) changed = Uint8Array.of(...changed.subarray(0, at), ...changed.subarray(at + length));
    else changed = Uint8Array.of(...changed.subarray(0, at + length), ...changed.subarray(at));
  }
  return changed;
}

/** Runs an attack for each round. A failure names the seed and the round; `HEED_SEED` repeats it. */
export async function attack(name: string, count: number, limit: number, round: (dice: Dice) => void | Promise<void>): Promise<void> {
  for (let i = 0; i < count; i++) {
    const started = performance.now();
    const where = `${name}: seed ${seed}, round ${i}`;
    try {
      await round(new Dice(name, i));
    } catch (cause) {
      throw new Error(`${where}: ${cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause)}`, { cause });
    }
    const seconds = (performance.now() - started) / 1000;
    if (seconds > limit) throw new Error(`${where}: took ${seconds.toFixed(1)} s, of ${limit} s allowed`);
  }
}
