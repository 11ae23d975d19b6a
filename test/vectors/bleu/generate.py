"""Test vectors for corpus BLEU, scored by sacreBLEU itself.

Run by hand (it needs `pip install sacrebleu`):

    python test/vectors/bleu/generate.py

Writes to its own folder: reference.txt (200 sentences from the templates below), system-1.txt to
system-3.txt (the reference with increasing amounts of errors; some lines are empty) and scores.json
(the sacreBLEU version and signature and, for each system, lowercased and cased BLEU with the n-gram
counts and totals, the brevity penalty and the two lengths). One sentence per line, separated by "\n".
"""

import json
import pathlib
import random

from sacrebleu.metrics import BLEU

HERE = pathlib.Path(__file__).parent
SENTENCES = 200

PEOPLE = ["a man", "a young woman", "the boy's mother", "Dr. Müller", "José Ángel", "O'Brien", "an ice-skater",
          "two well-dressed children", "Mr. and Mrs. Łukasz", "Zoë", "the U.S. team", "Ελένη", "Ольга", "Ms. Smith-Jones"]
ACTIONS = ["buys", "sells", "carries", "doesn't like", "paints", "looks at", "couldn't find", "re-opens"]
THINGS = ["a red umbrella", "some half-eaten bread", "the café's menu", "crème brûlée", "an e-mail", "R&D reports",
          "a 10-year-old car", "the “old” bridge", "a piñata", "C++ books", "東京 postcards", "the state-of-the-art lens"]
PLACES = ["in front of the house", "at St. John's", "near the sea – or so it seems", "on 5th Avenue", "in Århus",
          "by the river…", "at the farmers' market", "in São Paulo", "under a tree", "on the left/right side"]
NUMBERS = ["1,000.50", "3.14", "12", "1990-2000", "50%", "$9.99", "€ 7,50", ".5", "1.", "2,", "100,000", "-4", "7th", "3:45"]
TEMPLATES = [
    "{P} {a} {t} {w}.",
    "{P} {a} {t}, {t}, and {t}.",
    "“{P} {a} {t},” said {p}.",
    "\"{P} {a} {t}!\" {p} shouted.",
    "Does {p} know that {p} {a} {t}?",
    "It costs {n} ({n} last year); {p} {a} it anyway.",
    "{n} people and {p} stand {w}, waiting.",
    "{P} {a} {t} - {n} of them - {w}!",
    "Q&amp;A: {p} said &quot;no&quot; to {n} &lt;b&gt; tags.",
    "{P}'s friend isn't {w}: she's at home.",
    "From {n} to {n}, {p} {a} {t}...",
    "{P} {a}  {t} {w} .",
    "[{n}] {P} {a} {t} {w} & leaves; see www.example.org/a_b?c={n}.",
    "{P} {a} {t} for {n}\u00a0km, i.e. {n} miles.",
    "WAIT — {p} {a} {t} {w}?!",
]
SYNONYMS = {"man": "person", "young": "little", "buys": "purchases", "looks": "stares", "red": "crimson", "house": "home",
            "car": "vehicle", "carries": "holds", "bread": "loaf", "and": "&", "said": "says", "a": "the", "the": "a"}


def sentence(r):
    choices = {"p": PEOPLE, "a": ACTIONS, "t": THINGS, "w": PLACES, "n": NUMBERS}
    text, out = r.choice(TEMPLATES), []
    for i, part in enumerate(text.replace("{", "\0{").replace("}", "}\0").split("\0")):
        if part == "{P}":
            part = r.choice(PEOPLE)
            part = part[0].upper() + part[1:]
        elif part[:1] == "{":
            part = r.choice(choices[part[1]])
        out.append(part)
    return "".join(out)


def worsen(line, r, rate, extra, lost):
    """Drop, repeat, swap, replace or re-case words with probability `rate`; add words with probability `extra`, lose words with `lost`."""
    words = []
    for word in line.split(" "):
        if r.random() < lost:
            continue
        if r.random() < rate:
            kind = r.choice(["drop", "twice", "synonym", "case", "punctuation", "other"])
            if kind == "drop":
                continue
            if kind == "twice":
                words.append(word)
            elif kind == "synonym":
                word = SYNONYMS.get(word, word)
            elif kind == "case":
                word = word.upper() if r.random() < 0.5 else word.lower()
            elif kind == "punctuation":
                word = word.rstrip(".,;:!?")
            else:
                word = r.choice(NUMBERS + PLACES)
        words.append(word)
        if r.random() < extra:
            words.append(r.choice(["very", "really", "...", "(sic)", r.choice(THINGS)]))
    for i in range(len(words) - 1):
        if r.random() < rate / 3:
            words[i], words[i + 1] = words[i + 1], words[i]
    return " ".join(words)


def score(system, reference, lowercase):
    metric = BLEU(tokenize="13a", lowercase=lowercase)
    s = metric.corpus_score(system, [reference])
    assert s.sys_len == s.totals[0]
    return {"bleu": s.score, "counts": s.counts, "totals": s.totals, "precisions": s.precisions, "bp": s.bp,
            "sys_len": s.sys_len, "ref_len": s.ref_len}, str(metric.get_signature())


def main():
    r = random.Random(20170612)
    reference = [sentence(r) for _ in range(SENTENCES)]
    # 1: close to the reference, slightly long (no brevity penalty); 2: shorter; 3: poor, with many empty lines
    harm = [(0.08, 0.03, 0.0), (0.2, 0.0, 0.15), (0.7, 0.02, 0.0)]
    systems = [[worsen(line, r, *how) for line in reference] for how in harm]
    for i in (17, 101):
        systems[1][i] = ""
    for i in range(3, SENTENCES, 12):
        systems[2][i] = ""
    result = {"systems": []}
    (HERE / "reference.txt").write_bytes("".join(f"{x}\n" for x in reference).encode())
    for i, system in enumerate(systems, 1):
        (HERE / f"system-{i}.txt").write_bytes("".join(f"{x}\n" for x in system).encode())
        lower, signature = score(system, reference, True)
        cased, _ = score(system, reference, False)
        result["signature"] = signature
        result["sacrebleu"] = signature.split("version:")[1]
        result["systems"].append({"file": f"system-{i}.txt", "lowercase": lower, "cased": cased})
        print(i, lower["bleu"], cased["bleu"], lower["bp"])
    (HERE / "scores.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
