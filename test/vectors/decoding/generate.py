"""Test vectors for decoding, from Hugging Face transformers.

Run by hand (it needs `pip install torch==2.8.0 transformers==5.24.0`):

    python test/vectors/decoding/generate.py

Writes to its own folder

    processors.json  logits, and the probabilities that each set of processors leaves of them, in Hugging Face's own order
    search.json      a tiny GPT-2 with random weights, and what greedy and beam search find with it

Both are computed in float32, as `generate` does; the last softmax of processors.json in float64. Weights are rounded to three
decimals, so that the file holds them exactly.
"""

import json
import pathlib
import platform

import torch
import transformers
from transformers import GenerationConfig, GPT2Config, GPT2LMHeadModel

HERE = pathlib.Path(__file__).parent
VERSIONS = dict(torch=torch.__version__, transformers=transformers.__version__, python=platform.python_version())
WIDTH, HEADS, LAYERS, BLOCK, VOCABULARY = 16, 2, 2, 32, 29
END = 2

torch.manual_seed(20)
torch.set_num_threads(1)


def write(name, data):
    text = json.dumps(dict(versions=VERSIONS, **data), separators=(",", ":"))
    (HERE / name).write_text(text.replace("],[", "],\n[").replace("},{", "},\n{") + "\n")
    print(name, len(text))


def tiny_gpt2():
    config = GPT2Config(
        vocab_size=VOCABULARY, n_positions=BLOCK, n_embd=WIDTH, n_layer=LAYERS, n_head=HEADS, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0,
        bos_token_id=0, eos_token_id=END, pad_token_id=1,
    )
    model = GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        for name, p in model.named_parameters():
            scale = 0.7 if "wte" in name or "wpe" in name else 0.5
            values = torch.randn_like(p) * scale
            if "ln_" in name and name.endswith("weight"):
                values = 1 + 0.3 * values
            if name == "transformer.ln_f.bias":
                values *= 0.3
            p.copy_(torch.round(values * 1000) / 1000)
        model.transformer.wte.weight[END] += 4 * model.transformer.ln_f.bias  # so that rows end
        model.transformer.wte.weight.copy_(torch.round(model.transformer.wte.weight * 1000) / 1000)
    return model


def parameters(model):
    """By heed's names. Hugging Face's Conv1D stores [in, out]."""
    p = {name: value.detach() for name, value in model.transformer.named_parameters()}
    out = {"embedding.weight": p["wte.weight"], "positions.weight": p["wpe.weight"], "norm.weight": p["ln_f.weight"], "norm.bias": p["ln_f.bias"]}
    parts = {"norm1": "ln_1", "norm2": "ln_2", "attention.queryKeyValue": "attn.c_attn", "attention.output": "attn.c_proj",
             "feedForward.up": "mlp.c_fc", "feedForward.down": "mlp.c_proj"}
    for i in range(LAYERS):
        for ours, theirs in parts.items():
            weight = p[f"h.{i}.{theirs}.weight"]
            out[f"layers.{i}.{ours}.weight"] = weight.T if weight.dim() == 2 else weight
            out[f"layers.{i}.{ours}.bias"] = p[f"h.{i}.{theirs}.bias"]
    return {name: [round(x, 3) for x in value.flatten().tolist()] for name, value in out.items()}


# --- processors ------------------------------------------------------------------------------------

V = 37
PROCESSORS = [
    dict(),
    dict(sequence_bias=[[[5], 1.5], [[6], -2.0], [[11], -20.0], [[36], 0.75]]),
    dict(repetition_penalty=1.3),
    dict(repetition_penalty=0.7),
    *(dict(no_repeat_ngram_size=n) for n in (1, 2, 3, 4, 13, 14)),
    dict(bad_words_ids=[[3], [4], [36]]),
    dict(min_new_tokens=5),
    dict(min_new_tokens=4),
    dict(forced_bos_token_id=7),
    dict(forced_eos_token_id=END),
    dict(temperature=0.6),
    dict(temperature=1.7),
    *(dict(top_k=k) for k in (1, 5, 36, 37)),
    *(dict(top_p=p) for p in (0.05, 0.5, 0.9, 0.99)),
    *(dict(min_p=p) for p in (0.02, 0.1, 0.5)),
    *(dict(typical_p=p) for p in (0.1, 0.5, 0.9, 0.99)),
    dict(temperature=0.8, top_k=20, top_p=0.9),
    dict(temperature=1.4, top_k=12, top_p=0.8, min_p=0.05, typical_p=0.9),
    dict(temperature=1.2, top_p=0.9, typical_p=0.6),
    dict(sequence_bias=[[[5], 1.5], [[8], -3.0]], repetition_penalty=1.5, no_repeat_ngram_size=2, bad_words_ids=[[4]], min_new_tokens=6,
         temperature=0.9, top_k=25, top_p=0.95, min_p=0.01, typical_p=0.95),
    dict(sequence_bias=[[[3], 4.0], [[1], 3.5]], repetition_penalty=2.5, min_p=0.1),
]
NEW = 4  # how many of the history's tokens count as generated


def processors(model):
    rows = []
    for seed in range(4):
        generator = torch.Generator().manual_seed(seed)
        logits = torch.round(torch.randn(V, generator=generator) * (1 + seed) * 1000) / 1000
        # Few distinct tokens, so that n-grams repeat.
        history = torch.randint(1, 5, (13,), generator=generator).tolist()
        history[-4:] = history[2:6]
        rows.append(dict(logits=[round(x, 3) for x in logits.tolist()], history=history))
    rows.append(dict(logits=rows[0]["logits"], history=[3]))  # ForcedBOS acts on rows of one token only
    cases = []
    for options in PROCESSORS:
        results = []
        for row in rows:
            length = len(row["history"])
            config = GenerationConfig(eos_token_id=END, do_sample=True, top_k=0, **{k: v for k, v in options.items() if k != "top_k"})
            config.top_k = options.get("top_k", 0)
            config.max_length = length + 1
            model._prepare_special_tokens(config, True, device="cpu")
            chain = model._get_logits_processor(config, input_ids_seq_length=max(1, length - NEW), device="cpu")
            scores = chain(torch.tensor([row["history"]]), torch.tensor([row["logits"]]))[0]
            p = torch.softmax(scores.double(), -1)
            results.append([float(f"{x:.9g}") for x in p.tolist()])
        cases.append(dict(options=options, probabilities=results))
    return dict(new=NEW, end=END, rows=rows, cases=cases)


# --- search ----------------------------------------------------------------------------------------

PROMPTS = [[5], [7, 3, 11, 3], [9, 4, 4, 20, 8, 1]]
TOKENS = 11


def run(model, prompt, **options):
    ids = torch.tensor([prompt])
    with torch.no_grad():
        return model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=TOKENS, do_sample=False, return_dict_in_generate=True, output_scores=True,
            eos_token_id=options.pop("eos_token_id", END), pad_token_id=1, **options,
        )


def generated(sequence, prompt, ends):
    """The tokens up to the first end, included; what follows is padding."""
    tokens = sequence.tolist()[len(prompt):]
    for i, token in enumerate(tokens):
        if token in ends:
            return tokens[: i + 1]
    return tokens


GREEDY = [
    dict(), dict(repetition_penalty=1.4), dict(repetition_penalty=0.6), dict(no_repeat_ngram_size=1), dict(no_repeat_ngram_size=2),
    dict(min_new_tokens=9), dict(bad_words_ids=[[11], [17], [5]]), dict(sequence_bias=[[[3], 6.0], [[20], -9.0]]), dict(forced_eos_token_id=END),
    dict(repetition_penalty=1.2, no_repeat_ngram_size=2, min_new_tokens=6, bad_words_ids=[[11]], sequence_bias=[[[9], 2.5]]),
]
BEAMS = [
    *(dict(num_beams=n, length_penalty=a, early_stopping=e) for n in (2, 3, 5) for a in (0.0, 0.6, 1.0, 2.0, -0.5) for e in (True, False, "never")),
    *(dict(num_beams=n, length_penalty=a, early_stopping="never") for n in (2, 4, 6) for a in (-0.1, -0.25, -1.0)),
    *(dict(num_beams=n, length_penalty=a, early_stopping=e, **more)
      for n in (2, 4)
      for a in (0.6, 1.0)
      for e in (True, False, "never")
      for more in (
          dict(min_new_tokens=5), dict(no_repeat_ngram_size=2), dict(repetition_penalty=1.5), dict(eos_token_id=[END, 13]),
          dict(forced_eos_token_id=END), dict(bad_words_ids=[[3], [22]], sequence_bias=[[[9], 1.5]]),
          dict(min_new_tokens=4, no_repeat_ngram_size=1, repetition_penalty=0.8),
      )),
]


def search(model):
    greedy = [dict(options=o, found=[generated(run(model, p, **o).sequences[0], p, [END]) for p in PROMPTS]) for o in GREEDY]
    beams, lengths = [], {}
    for options in BEAMS:
        ends = options.get("eos_token_id", [END])
        found = []
        for prompt in PROMPTS:
            out = run(model, prompt, num_return_sequences=options["num_beams"], **options)
            tokens = [generated(s, prompt, ends) for s in out.sequences]
            found.append([dict(tokens=t, score=round(s, 6)) for t, s in zip(tokens, out.sequences_scores.tolist())])
            for t in tokens:
                lengths[len(t)] = lengths.get(len(t), 0) + 1
        beams.append(dict(options=options, found=found))
    print("lengths of hypotheses:", dict(sorted(lengths.items())))
    config = dict(vocabulary=VOCABULARY, block=BLOCK, layers=LAYERS, heads=HEADS, width=WIDTH, bias=True, activation="geluTanh")
    return dict(config=config, end=END, maxTokens=TOKENS, prompts=PROMPTS, parameters=parameters(model), greedy=greedy, beams=beams)


if __name__ == "__main__":
    model = tiny_gpt2()
    write("processors.json", processors(model))
    write("search.json", search(model))
