import { HeedError } from "../errors";
import { quote } from "../quote";
import { addedToken, checkIds, specialIds, type DecodeOptions, type SpecialIdsOf, type Tokenizer, type TokenizerJSON } from "./tokenizer";

/**
 * A tokenizer with one id per character (Unicode code point), after the special tokens.
 * Its tokenizer.json describes a BPE without merges, for which Hugging Face's libraries produce the same ids.
 *
 * @example
 * const tokenizer = CharacterTokenizer.of(["to be"]);
 * tokenizer.encode("beet"); // [1, 2, 2, 4]: ids are in code point order; the space is 0
 * tokenizer.decode([4, 3]); // "to"
 */
export class CharacterTokenizer<Special extends string = string> implements Tokenizer {
  readonly size: number;
  readonly specials: SpecialIdsOf<Special>;
  private readonly ids: Map<string, number>;

  /**
   * @param tokens   the vocabulary in the order of its ids: special tokens, then characters
   * @param special  the number of special tokens
   */
  constructor(
    private readonly tokens: readonly string[],
    private readonly special = 0,
  ) {
    this.size = tokens.length;
    this.ids = new Map(tokens.map((token, id) => [token, id]));
    this.specials = specialIds((name) => {
      const id = this.ids.get(name);
      return id !== undefined && id < special ? id : undefined;
    }) as SpecialIdsOf<Special>;
  }

  /**
   * A tokenizer for all characters in `texts`, in code point order.
   * @param options.specials  special tokens, which get the first ids. Default: none
   */
  static of<const Specials extends readonly string[] = []>(
    texts: Iterable<string>,
    options: { specials?: Specials } = {},
  ): CharacterTokenizer<Specials[number]> {
    const specials: readonly string[] = options.specials ?? [];
    const characters = new Set<string>();
    for (const text of texts) for (const character of text) characters.add(character);
    const sorted = [...characters].sort((a, b) => a.codePointAt(0)! - b.codePointAt(0)!);
    return new CharacterTokenizer([...specials, ...sorted], specials.length);
  }

  /**
   * @param offset  the number of characters before `text`, for the error message
   * @throws HeedError "data" naming a character that is not in the vocabulary, and its position from 0, if there is no `<unk>`
   */
  encode(text: string, offset = 0): number[] {
    const ids: number[] = [];
    for (const character of text) {
      const id = this.ids.get(character) ?? this.specials.unk;
      if (id === undefined) throw unknownCharacter(character, offset + ids.length, this.size - this.special);
      ids.push(id);
    }
    return ids;
  }

  decode(ids: ArrayLike<number>, { specials = false }: DecodeOptions = {}): string {
    checkIds(ids, this.size);
    let text = "";
    for (let i = 0; i < ids.length; i++) if (specials || ids[i]! >= this.special) text += this.tokens[ids[i]!];
    return text;
  }

  toJSON(): TokenizerJSON {
    const unk = this.specials.unk;
    return {
      version: "1.0",
      truncation: null,
      padding: null,
      added_tokens: this.tokens.slice(0, this.special).map(addedToken),
      normalizer: null,
      pre_tokenizer: null,
      post_processor: null,
      decoder: { type: "Fuse" },
      model: {
        type: "BPE",
        dropout: null,
        unk_token: unk === undefined ? null : this.tokens[unk]!,
        continuing_subword_prefix: null,
        end_of_word_suffix: null,
        fuse_unk: false,
        byte_fallback: false,
        ignore_merges: false,
        vocab: Object.fromEntries(this.tokens.map((token, id) => [token, id])),
        merges: [],
      },
    };
  }

  /** Restores a tokenizer from the result of its `toJSON`; returns undefined if `json` describes a tokenizer of another kind. */
  static fromJSON(json: TokenizerJSON): CharacterTokenizer | undefined {
    const { model, pre_tokenizer, normalizer, decoder, added_tokens } = json;
    if (model.type !== "BPE" || model.merges?.length !== 0 || pre_tokenizer || normalizer || decoder?.type !== "Fuse") return undefined;
    const tokens: string[] = [];
    for (const [token, id] of Object.entries(model.vocab as Record<string, number>)) tokens[id] = token;
    const isCharacter = (token: string | undefined) => token !== undefined && [...token].length === 1;
    const special = added_tokens.length;
    const inOrder = added_tokens.every((token, id) => token.id === id && tokens[id] === token.content);
    return inOrder && Array.from(tokens.slice(special)).every(isCharacter) ? new CharacterTokenizer(tokens, special) : undefined;
  }
}

function unknownCharacter(character: string, position: number, known: number): HeedError {
  const code = character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0");
  const where = `character ${quote(character)} (U+${code}) at position ${position}`;
  return new HeedError("data", `${where} is not one of the tokenizer's ${known} characters, and there is no <unk> token`);
}
