"""Test vectors for tokenizers, from Hugging Face's own library (Rust).

Run by hand (it needs `pip install tokenizers sacrebleu`):

    python test/vectors/tokenizers/generate.py

Writes to its own folder:

bpe.json         a byte-level BPE trained on TEXTS, as tokenizer.json: the result expected from trainBPE
characters.json  one id per character, as a BPE without merges, as tokenizer.json
encodings.json   the version, TEXTS, STRANGE texts and, for each of TEXTS and STRANGE, the ids under both tokenizers
                 (characters: TEXTS only)
13a.json         [line, words] by sacreBLEU's 13a tokenizer
"""

import json
import pathlib

import tokenizers
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

HERE = pathlib.Path(__file__).parent
SPECIALS = ["<pad>", "<bos>", "<eos>", "<unk>"]
TEXTS = [
    "the third of March 2019", "the thirtieth of May 1950", "low lower lowest, new newer newest, wide wider widest",
    "aaaa aaaaa aaaaaa aaaaaaa", "abababab babababa abcabcabc", "she sells sea shells; the shells she sells are sea shells, I'm sure",
    "Ein Mann läuft über die Straße.", "Eine Frau läuft über die Brücke.", "Zwei Männer laufen über die Brücken.",
    "A man walks across the street.", "A woman walks across the bridge.", "Two men walk across the bridges.",
    "don't can't won't we'll they've I'd it's", "1,000.50 € 1990-2000 3:45 100 % 100 % 100 %", "東京 東京都 京都 東京",
    "🎉🎉 🎉 👩‍👩‍👧 👩‍👩‍👧", "  two  spaces   three    four  ", "tab\tnew line\r\nagain\n\n\nend ", "É é É é", "Привет, мир! Привет!",
]
STRANGE = [
    "", " ", "\n", "  a", " a", "a ", "unseen: ŵŷ ꙮ 𝔘𝔫𝔦 \u200b\u00a0x", "'s 'S don’t", "a\u0000b", "\ud7ff\ue000\ufffd",
    "lowestnewest LOWEST", "the<eos", "🎉a🎉", "1234567890" * 7, "shellsshellsshells" * 30,
]
LINES = [
    "It costs $1,000.50, \"really\".", "a-b 3-4 x-3 -5", "1.,2", "...wait..", "a.b.c 1.b b.1 .5 5.", "<skipped>x<skip>",
    "&quot;a&quot; &amp;lt; &lt;b&gt; &apos;", "don't (stop) [now] {x} ~`^_\\|", "well-\nknown\nline",
    "tab\there\u00a0nbsp\u2009thin\u3000wide", "\ufeffbom \ufeff", "\x1ca\x1fb\x85c", "😀.😀,1 1,😀", "„Ja“, sagte er – «oui»…",
    "3,5 % von 1.000.000,00 €", "http://a.b/c?d=e&f=g#h", "", "   ", "20-year-old 7-Eleven A-1", "١٢٣.٤٥", "x/y*z+w=v;u:t!s@r",
    " trailing \r\n",
]


def byte_level():
    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.Prepend(" ")
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Strip(" ", 1, 0)])
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=360, min_frequency=2, special_tokens=SPECIALS, initial_alphabet=alphabet, show_progress=False)
    t.train_from_iterator(TEXTS, trainer)
    return t


def characters():
    tokens = SPECIALS + sorted(set("".join(TEXTS)))
    t = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, [], unk_token="<unk>"))
    t.add_special_tokens(SPECIALS)
    t.decoder = decoders.Fuse()
    return t


def main():
    bpe, chars = byte_level(), characters()
    bpe.save(str(HERE / "bpe.json"), pretty=False)
    chars.save(str(HERE / "characters.json"), pretty=False)
    encodings = {"tokenizers": tokenizers.__version__, "texts": TEXTS, "strange": STRANGE}
    encodings["bpe"] = [bpe.encode(text).ids for text in TEXTS + STRANGE]
    encodings["decoded"] = [bpe.decode(ids) for ids in encodings["bpe"]]
    encodings["characters"] = [chars.encode(text).ids for text in TEXTS]
    (HERE / "encodings.json").write_text(json.dumps(encodings) + "\n")
    t13a = Tokenizer13a()
    (HERE / "13a.json").write_text(json.dumps([[line, t13a(line.rstrip()).split()] for line in LINES]) + "\n")


if __name__ == "__main__":
    main()
