"""Test vectors for the models, from an independent implementation in JAX.

Run by hand (it needs `pip install jax numpy safetensors`):

    python test/vectors/models/generate.py

Writes to its own folder a .safetensors and a .json file for each of

    transformer-post   encoder-decoder, post-norm, as in Vaswani et al. 2017
    transformer-pre    the same, pre-norm with a final norm on each side
    gpt                decoder-only (nanoGPT's architecture) without biases
    gpt-bias           the same with biases on every linear and every norm
    gpt2               GPT-2: biases and the tanh approximation of GELU
    gpt-untied         gpt with an untied output matrix and a large norm epsilon
    llama              decoder-only (Llama's architecture): RMSNorm, rotary positions, SwiGLU, grouped-query attention
    llama-untied       the same with an untied output matrix, one key/value head, heads * headSize != width,
                       a large norm epsilon and a small rotary base

and rotary.json, a small table of rotary embeddings for testing the kernel in isolation.

Everything is computed in float64 and stored as float32 (inputs as int32):

    parameters.<name>   initial parameters (linear weights are [out, in]: y = x W^T + b)
    gradients.<name>    gradients of the mean loss over the tokens that are not ignored
    inputs.<name>       the batch
    logits              [B, T, V] at the initial parameters
    loss                the mean loss at the initial parameters, [1]

The .json holds the configuration, the versions used, `losses` (the loss before each of ten AdamW
updates on that same batch) and `optimizer` (its settings). Decay is decoupled and applies to
matrices only: p -= lr * (mhat / (sqrt(vhat) + eps) + decay * p). There is no clipping and no dropout.
"""

import json
import math
import pathlib
import platform

import jax

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp
import numpy as np
import safetensors.numpy

HERE = pathlib.Path(__file__).parent
ADAMW = dict(learningRate=1e-2, beta1=0.9, beta2=0.98, epsilon=1e-9, weightDecay=0.1)
STEPS = 10
NORM_EPSILON = 1e-5


# --- building blocks; `p` maps full parameter names to arrays -----------------------------------


def linear(p, name, x):
    y = x @ p[f"{name}.weight"].T
    return y + p[f"{name}.bias"] if f"{name}.bias" in p else y


def norm(p, name, x, epsilon=NORM_EPSILON):
    mean = jnp.mean(x, axis=-1, keepdims=True)
    variance = jnp.mean((x - mean) ** 2, axis=-1, keepdims=True)
    y = (x - mean) / jnp.sqrt(variance + epsilon) * p[f"{name}.weight"]
    return y + p[f"{name}.bias"] if f"{name}.bias" in p else y


def rms_norm(p, name, x, epsilon):
    return x / jnp.sqrt(jnp.mean(x**2, axis=-1, keepdims=True) + epsilon) * p[f"{name}.weight"]


def attention(query, key, value, allowed, heads):
    """[B, Q, C], [B, K, C], [B, K, C], allowed [B or 1, Q or 1, K]; one head at a time."""
    width = query.shape[-1] // heads
    outputs = []
    for h in range(heads):
        part = slice(h * width, (h + 1) * width)
        scores = query[..., part] @ jnp.swapaxes(key[..., part], 1, 2) / math.sqrt(width)
        weights = jax.nn.softmax(jnp.where(allowed, scores, -jnp.inf), axis=-1)
        outputs.append(weights @ value[..., part])
    return jnp.concatenate(outputs, axis=-1)


def self_attention(p, name, x, allowed, heads):
    query, key, value = jnp.split(linear(p, f"{name}.queryKeyValue", x), 3, axis=-1)
    return linear(p, f"{name}.output", attention(query, key, value, allowed, heads))


def cross_attention(p, name, x, memory, allowed, heads):
    query = linear(p, f"{name}.query", x)
    key, value = jnp.split(linear(p, f"{name}.keyValue", memory), 2, axis=-1)
    return linear(p, f"{name}.output", attention(query, key, value, allowed, heads))


def feed_forward(p, name, x, activation):
    return linear(p, f"{name}.down", activation(linear(p, f"{name}.up", x)))


def gelu(x):
    return 0.5 * x * (1 + jax.scipy.special.erf(x / math.sqrt(2)))


def gelu_tanh(x):
    return 0.5 * x * (1 + jnp.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def silu(x):
    return x / (1 + jnp.exp(-x))


def residual(p, name, x, sublayer, pre, epsilon=NORM_EPSILON):
    return x + sublayer(norm(p, name, x, epsilon)) if pre else norm(p, name, x + sublayer(x), epsilon)


def rotary(x, heads, base):
    """[B, T, H·D]: each head rotates its pairs (d, d + D/2), d < D/2, by position · base^(−2d/D)."""
    batch, length, width = x.shape
    size = width // heads
    angles = np.arange(length)[:, None] * float(base) ** (-2 * np.arange(size // 2) / size)
    cos, sin = np.cos(angles)[:, None, :], np.sin(angles)[:, None, :]  # [T, 1, D/2], shared by all heads
    first, second = jnp.split(x.reshape(batch, length, heads, size), 2, axis=-1)
    rotated = jnp.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)
    return rotated.reshape(x.shape)


def grouped_attention(p, name, x, allowed, c):
    """Query head h uses key/value head floor(h / (H / Hkv))."""
    heads, groups, size = c["heads"], c["keyValueHeads"], head_size(c)
    projected = linear(p, f"{name}.queryKeyValue", x)
    query, key, value = jnp.split(projected, [heads * size, (heads + groups) * size], axis=-1)
    query, key = rotary(query, heads, c["rotaryBase"]), rotary(key, groups, c["rotaryBase"])
    repeated = np.concatenate([np.arange(size) + h // (heads // groups) * size for h in range(heads)])
    return linear(p, f"{name}.output", attention(query, key[..., repeated], value[..., repeated], allowed, heads))


def gated_feed_forward(p, name, x):
    return linear(p, f"{name}.down", silu(linear(p, f"{name}.gate", x)) * linear(p, f"{name}.up", x))


def sinusoids(length, width):
    """PE(pos, 2i) = sin(pos / 10000^(2i/d)), PE(pos, 2i+1) = cos of the same."""
    table = np.zeros((length, width))
    for position in range(length):
        for i in range(width // 2):
            angle = position / 10000 ** (2 * i / width)
            table[position, 2 * i] = math.sin(angle)
            table[position, 2 * i + 1] = math.cos(angle)
    return table


def causal(length):
    return jnp.tril(jnp.ones((1, length, length), bool))


def head_size(c):
    return c.get("headSize", c["width"] // c["heads"])


def unembed(p, x, c):
    return x @ p["embedding.weight" if c.get("tied", True) else "output.weight"].T


# --- the models: parameters, inputs -> logits ---------------------------------------------------


def transformer(p, inputs, c):
    """Padded source positions are masked by length; the target side is masked causally only."""
    heads, pre, width = c["heads"], c["norm"] == "pre", c["width"]

    def embed(tokens):
        return p["embedding.weight"][tokens] * math.sqrt(width) + sinusoids(tokens.shape[1], width)

    x = embed(inputs["source"])
    real = (jnp.arange(x.shape[1])[None, :] < inputs["sourceLengths"][:, None])[:, None, :]
    for i in range(c["encoderLayers"]):
        n = f"encoder.layers.{i}"
        x = residual(p, f"{n}.norm1", x, lambda y: self_attention(p, f"{n}.attention", y, real, heads), pre)
        x = residual(p, f"{n}.norm2", x, lambda y: feed_forward(p, f"{n}.feedForward", y, jax.nn.relu), pre)
    memory = norm(p, "encoder.norm", x) if pre else x

    x = embed(inputs["target"])
    past = causal(x.shape[1])
    for i in range(c["decoderLayers"]):
        n = f"decoder.layers.{i}"
        x = residual(p, f"{n}.norm1", x, lambda y: self_attention(p, f"{n}.selfAttention", y, past, heads), pre)
        x = residual(p, f"{n}.norm2", x, lambda y: cross_attention(p, f"{n}.crossAttention", y, memory, real, heads), pre)
        x = residual(p, f"{n}.norm3", x, lambda y: feed_forward(p, f"{n}.feedForward", y, jax.nn.relu), pre)
    x = norm(p, "decoder.norm", x) if pre else x
    return x @ p["embedding.weight"].T


def gpt(p, inputs, c):
    tokens, heads, epsilon = inputs["tokens"], c["heads"], c["normEpsilon"]
    x = p["embedding.weight"][tokens] + p["positions.weight"][: tokens.shape[1]]
    past = causal(tokens.shape[1])
    activation = dict(gelu=gelu, geluTanh=gelu_tanh)[c["activation"]]
    for i in range(c["layers"]):
        n = f"layers.{i}"
        x = residual(p, f"{n}.norm1", x, lambda y: self_attention(p, f"{n}.attention", y, past, heads), True, epsilon)
        x = residual(p, f"{n}.norm2", x, lambda y: feed_forward(p, f"{n}.feedForward", y, activation), True, epsilon)
    return unembed(p, norm(p, "norm", x, epsilon), c)


def llama(p, inputs, c):
    tokens, epsilon = inputs["tokens"], c["epsilon"]
    x = p["embedding.weight"][tokens]
    past = causal(tokens.shape[1])
    for i in range(c["layers"]):
        n = f"layers.{i}"
        x = x + grouped_attention(p, f"{n}.attention", rms_norm(p, f"{n}.norm1", x, epsilon), past, c)
        x = x + gated_feed_forward(p, f"{n}.feedForward", rms_norm(p, f"{n}.norm2", x, epsilon))
    return unembed(p, rms_norm(p, "norm", x, epsilon), c)


def mean_loss(logits, targets, c):
    """Cross-entropy against (1 - s) * onehot + s / V, averaged over targets that are not ignored."""
    smoothing, ignored = c["labelSmoothing"], c["ignoredTarget"]
    logs = jax.nn.log_softmax(logits, axis=-1)
    kept = targets != ignored
    wanted = jax.nn.one_hot(jnp.where(kept, targets, 0), logits.shape[-1], dtype=logits.dtype)
    q = (1 - smoothing) * wanted + smoothing / logits.shape[-1]
    return jnp.sum(-jnp.sum(q * logs, axis=-1) * kept) / jnp.sum(kept)


# --- random parameters and inputs ---------------------------------------------------------------


def as_stored(x):
    """Values exactly representable in float32, so that both sides start from the same numbers."""
    return np.asarray(x, np.float32).astype(np.float64)


class Parameters(dict):
    def __init__(self, seed):
        self.random = np.random.default_rng(seed)

    def matrix(self, name, rows, columns, scale=None):
        self[name] = as_stored(self.random.normal(size=(rows, columns)) * (scale or columns**-0.5))

    def linear(self, name, inputs, outputs, bias):
        self.matrix(f"{name}.weight", outputs, inputs)
        if bias:
            self[f"{name}.bias"] = as_stored(self.random.normal(size=outputs) * 0.1)

    def norm(self, name, width, bias=True):
        self[f"{name}.weight"] = as_stored(1 + 0.2 * self.random.normal(size=width))
        if bias:
            self[f"{name}.bias"] = as_stored(0.1 * self.random.normal(size=width))

    def feed_forward(self, name, width, hidden, bias):
        self.linear(f"{name}.up", width, hidden, bias)
        self.linear(f"{name}.down", hidden, width, bias)

    def self_attention(self, name, width, bias):
        self.linear(f"{name}.queryKeyValue", width, 3 * width, bias)
        self.linear(f"{name}.output", width, width, bias)


def transformer_parameters(c, seed):
    p, width, hidden = Parameters(seed), c["width"], c["hidden"]
    p.matrix("embedding.weight", c["vocabulary"], width)
    for i in range(c["encoderLayers"]):
        n = f"encoder.layers.{i}"
        p.self_attention(f"{n}.attention", width, bias=False)
        p.norm(f"{n}.norm1", width)
        p.feed_forward(f"{n}.feedForward", width, hidden, bias=True)
        p.norm(f"{n}.norm2", width)
    for i in range(c["decoderLayers"]):
        n = f"decoder.layers.{i}"
        p.self_attention(f"{n}.selfAttention", width, bias=False)
        p.norm(f"{n}.norm1", width)
        p.linear(f"{n}.crossAttention.query", width, width, bias=False)
        p.linear(f"{n}.crossAttention.keyValue", width, 2 * width, bias=False)
        p.linear(f"{n}.crossAttention.output", width, width, bias=False)
        p.norm(f"{n}.norm2", width)
        p.feed_forward(f"{n}.feedForward", width, hidden, bias=True)
        p.norm(f"{n}.norm3", width)
    if c["norm"] == "pre":
        p.norm("encoder.norm", width)
        p.norm("decoder.norm", width)
    return dict(p)


def gpt_parameters(c, seed):
    p, width, bias = Parameters(seed), c["width"], c["bias"]
    p.matrix("embedding.weight", c["vocabulary"], width, scale=0.3)
    p.matrix("positions.weight", c["block"], width, scale=0.3)
    for i in range(c["layers"]):
        n = f"layers.{i}"
        p.norm(f"{n}.norm1", width, bias)
        p.self_attention(f"{n}.attention", width, bias)
        p.norm(f"{n}.norm2", width, bias)
        p.feed_forward(f"{n}.feedForward", width, c["hidden"], bias)
    p.norm("norm", width, bias)
    if not c.get("tied", True):
        p.matrix("output.weight", c["vocabulary"], width)
    return dict(p)


def llama_parameters(c, seed):
    p, width, size = Parameters(seed), c["width"], head_size(c)
    p.matrix("embedding.weight", c["vocabulary"], width, scale=0.3)
    for i in range(c["layers"]):
        n = f"layers.{i}"
        p.norm(f"{n}.norm1", width, bias=False)
        p.linear(f"{n}.attention.queryKeyValue", width, (c["heads"] + 2 * c["keyValueHeads"]) * size, bias=False)
        p.linear(f"{n}.attention.output", c["heads"] * size, width, bias=False)
        p.norm(f"{n}.norm2", width, bias=False)
        p.linear(f"{n}.feedForward.gate", width, c["hidden"], bias=False)
        p.feed_forward(f"{n}.feedForward", width, c["hidden"], bias=False)
    p.norm("norm", width, bias=False)
    if not c["tied"]:
        p.matrix("output.weight", c["vocabulary"], width)
    return dict(p)


def transformer_inputs(c, seed):
    """Index 0 pads; the second and third target are shorter, so their last labels are ignored."""
    random = np.random.default_rng(seed)
    source_lengths, target_lengths, length = [5, 7, 4], [6, 4, 5], 6
    source = np.zeros((3, 7), np.int32)
    target, targets = np.zeros((3, length), np.int32), np.zeros((3, length), np.int32)
    for b, (s, t) in enumerate(zip(source_lengths, target_lengths)):
        source[b, :s] = random.integers(3, c["vocabulary"], s)
        words = random.integers(3, c["vocabulary"], t - 1)
        target[b, :t] = [1, *words]
        targets[b, :t] = [*words, 2]
    return dict(source=source, sourceLengths=np.array(source_lengths, np.int32), target=target, targets=targets)


def decoder_inputs(c, seed):
    random = np.random.default_rng(seed)
    text = random.integers(0, c["vocabulary"], (3, c["block"] + 1)).astype(np.int32)
    targets = text[:, 1:].copy()
    targets[0, 2] = targets[2, 7] = -1
    return dict(tokens=text[:, :-1].copy(), targets=targets)


# --- writing -------------------------------------------------------------------------------------


def versions():
    return dict(jax=jax.__version__, numpy=np.__version__, python=platform.python_version())


def write_json(name, record):
    (HERE / f"{name}.json").write_text(json.dumps(record, indent=2) + "\n")


def write_rotary(length, size, base, seed):
    """`input` [length, size] is one head at positions 0, 1, …; `output` is its rotation."""
    x = as_stored(np.random.default_rng(seed).normal(size=(length, size)))
    y = np.asarray(rotary(x[None], 1, base))[0]
    config = dict(headSize=size, rotaryBase=base)
    positions = list(range(length))
    write_json("rotary", dict(name="rotary", config=config, versions=versions(), positions=positions,
                              input=x.tolist(), output=y.tolist()))


def write(name, model, config, parameters, inputs):
    objective = lambda p: mean_loss(model(p, inputs, config), inputs["targets"], config)
    value_and_gradients = jax.jit(jax.value_and_grad(objective))
    initial = {k: jnp.asarray(v) for k, v in parameters.items()}
    loss, gradients = value_and_gradients(initial)
    logits = model(initial, inputs, config)

    a, p = ADAMW, initial
    first = {k: jnp.zeros_like(v) for k, v in p.items()}
    second = {k: jnp.zeros_like(v) for k, v in p.items()}
    losses = []
    for step in range(1, STEPS + 1):
        value, g = value_and_gradients(p)
        losses.append(float(value))
        for k in p:
            first[k] = a["beta1"] * first[k] + (1 - a["beta1"]) * g[k]
            second[k] = a["beta2"] * second[k] + (1 - a["beta2"]) * g[k] ** 2
            mhat = first[k] / (1 - a["beta1"] ** step)
            vhat = second[k] / (1 - a["beta2"] ** step)
            decay = a["weightDecay"] if p[k].ndim >= 2 else 0.0
            p = {**p, k: p[k] - a["learningRate"] * (mhat / (jnp.sqrt(vhat) + a["epsilon"]) + decay * p[k])}

    single = lambda x: np.ascontiguousarray(np.asarray(x), dtype=np.float32)
    tensors = {f"parameters.{k}": single(v) for k, v in parameters.items()}
    tensors |= {f"gradients.{k}": single(v) for k, v in gradients.items()}
    tensors |= {f"inputs.{k}": v for k, v in inputs.items()}
    tensors |= {"logits": single(logits), "loss": single(loss).reshape(1)}
    safetensors.numpy.save_file(tensors, HERE / f"{name}.safetensors")
    write_json(name, dict(name=name, config=config, versions=versions(), optimizer=ADAMW,
                          loss=float(loss), losses=losses))
    print(name, [round(x, 4) for x in losses])


def main():
    for kind, seed in (("post", 1), ("pre", 2)):
        c = dict(norm=kind, width=16, heads=2, hidden=32, encoderLayers=2, decoderLayers=2, vocabulary=23,
                 activation="relu", normEpsilon=NORM_EPSILON, labelSmoothing=0.1, ignoredTarget=0)
        write(f"transformer-{kind}", transformer, c, transformer_parameters(c, seed), transformer_inputs(c, seed))
    for name, bias, seed in (("gpt", False, 3), ("gpt-bias", True, 4)):
        c = dict(norm="pre", width=16, heads=2, hidden=64, layers=2, block=8, vocabulary=19, bias=bias,
                 activation="gelu", normEpsilon=NORM_EPSILON, labelSmoothing=0.0, ignoredTarget=-1)
        write(name, gpt, c, gpt_parameters(c, seed), decoder_inputs(c, seed))
    for name, bias, activation, tied, epsilon, seed in (("gpt2", True, "geluTanh", True, 1e-5, 5),
                                                        ("gpt-untied", False, "gelu", False, 1e-3, 6)):
        c = dict(norm="pre", width=16, heads=2, hidden=64, layers=2, block=8, vocabulary=19, bias=bias,
                 activation=activation, tied=tied, normEpsilon=epsilon, epsilon=epsilon,
                 labelSmoothing=0.0, ignoredTarget=-1)
        write(name, gpt, c, gpt_parameters(c, seed), decoder_inputs(c, seed))
    for name, shape, seed in (
        ("llama", dict(heads=4, keyValueHeads=2, epsilon=1e-5, rotaryBase=10000, tied=True), 7),
        ("llama-untied", dict(heads=3, keyValueHeads=1, headSize=6, epsilon=1e-3, rotaryBase=100, tied=False), 8),
    ):
        c = dict(type="llama", width=16, hidden=44, layers=2, block=8, vocabulary=19, **shape,
                 labelSmoothing=0.0, ignoredTarget=-1)
        write(name, llama, c, llama_parameters(c, seed), decoder_inputs(c, seed))
    write_rotary(length=6, size=8, base=10000, seed=9)


if __name__ == "__main__":
    main()
