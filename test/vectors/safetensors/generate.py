"""Records which hostile headers the reference implementation accepts, in verdicts.json.

    pip install safetensors==0.8.0
    python3 test/vectors/safetensors/generate.py

A case is [title, header, bytes of data, names or null]: the names of the tensors, sorted, or null if the file is refused.
Titles of the form "mutation n" are seeded random edits. A header that is not UTF-8 is written as {"base64": …}.
"""
import base64, json, pathlib, random, struct
import safetensors

def entry(begin=0, end=4, dtype="U8", shape=None, extra=""):
    shape = f"[{end - begin}]" if shape is None else shape
    return '{%s"dtype":"%s","shape":%s,"data_offsets":[%d,%d]}' % (extra, dtype, shape, begin, end)

one = '{"w":%s}' % entry()
with_extra = lambda value: '{"w":%s}' % entry(extra='"x":%s,' % value)
w = lambda **options: '{"w":%s}' % entry(**options)
meta = lambda value: '{"__metadata__":%s}' % value
nested = lambda n, inside="": "[" * n + inside + "]" * n

CASES = [
    ("one tensor", one, 4), ("nothing", "", 0), ("no tensors", "{}", 0), ("an array", "[]", 0), ("null", "null", 0),
    ("leading space", " " + one, 4), ("leading newline", "\n" + one, 4), ("byte order mark", "\ufeff" + one, 4),
    ("trailing spaces", one + "   ", 4), ("trailing newline and tab", one + "\n\t", 4), ("trailing zero byte", one + "\0", 4),
    ("trailing text", one + "x", 4), ("two objects", "{}{}", 0), ("trailing comma", one[:-1] + ",}", 4), ("comment", "{/**/}", 0),
    ("truncated", one[:-1], 4), ("single quotes", "{'w':1}", 0), ("form feed", "{\f}", 0), ("non-breaking space", "{\u00a0}", 0),
    ("metadata null", meta("null"), 0), ("metadata empty", meta("{}"), 0), ("metadata text", meta('{"a":"b"}'), 0),
    ("metadata array", meta("[]"), 0), ("metadata string", meta('"a"'), 0), ("metadata number", meta("1"), 0), ("metadata false", meta("false"), 0),
    ("metadata value null", meta('{"a":null}'), 0), ("metadata value number", meta('{"a":1}'), 0), ("metadata value object", meta('{"a":{}}'), 0),
    ("metadata twice", '{"__metadata__":{},"__metadata__":{}}', 0), ("metadata key twice", meta('{"a":"b","a":"c"}'), 0),
    ("metadata __proto__", meta('{"__proto__":"x"}'), 0), ("metadata lone surrogate", meta(r'{"a":"\ud800"}'), 0),
    ("metadata lone surrogate in key", meta(r'{"\udc00":"a"}'), 0), ("metadata surrogate pair", meta(r'{"a":"\ud83e\udd89"}'), 0),
    ("metadata escaped name", r'{"__metadata\u005f_":{"a":"b"}}', 0), ("metadata control character", meta('{"a":"\x01"}'), 0),
    ("metadata escaped control character", meta(r'{"a":"\u001b[31m"}'), 0), ("metadata like a tensor", meta(entry()), 4),
    ("name __proto__", '{"__proto__":%s}' % entry(), 4), ("name with __proto__ inside", '{"a.__proto__.b":%s}' % entry(), 4),
    ("name constructor", '{"constructor":%s}' % entry(), 4), ("empty name", '{"":%s}' % entry(), 4), ("name with escapes", r'{"\u0000\n":%s}' % entry(), 4),
    ("lone surrogate in name", r'{"\ud800":%s}' % entry(), 4), ("bad escape", r'{"\x":1}', 0), ("short unicode escape", r'{"\u12":%s}' % entry(), 4),
    ("raw newline in name", '{"\n":%s}' % entry(), 4), ("delete character in name", '{"\x7f":%s}' % entry(), 4),
    ("same name, same range", '{"w":%s,"w":%s}' % (entry(), entry()), 4), ("same name, two ranges", '{"w":%s,"w":%s}' % (entry(0, 2), entry(2, 4)), 4),
    ("same name through an escape", r'{"w":%s,"\u0077":%s}' % (entry(), entry()), 4),
    ("duplicate dtype", w(extra='"dtype":"I8",'), 4), ("duplicate shape", w(extra='"shape":[4],'), 4), ("duplicate offsets", w(extra='"data_offsets":[0,4],'), 4),
    ("entry null", '{"w":null}', 0), ("entry array", '{"w":["U8",[4],[0,4]]}', 4), ("entry short array", '{"w":["U8",[4]]}', 4), ("entry string", '{"w":"x"}', 0),
    ("no dtype", '{"w":{"shape":[0],"data_offsets":[0,0]}}', 0), ("no shape", '{"w":{"dtype":"U8","data_offsets":[0,1]}}', 1),
    ("no offsets", '{"w":{"dtype":"U8","shape":[1]}}', 1), ("dtype null", '{"w":{"dtype":null,"shape":[0],"data_offsets":[0,0]}}', 0),
    ("dtype number", '{"w":{"dtype":4,"shape":[0],"data_offsets":[0,0]}}', 0), ("dtype object", '{"w":{"dtype":{"U8":null},"shape":[0],"data_offsets":[0,0]}}', 0),
    ("dtype through an escape", r'{"w":{"dtype":"\u00558","shape":[0],"data_offsets":[0,0]}}', 0),
    ("dtype unknown", w(dtype="F33"), 4), ("dtype lowercase", w(dtype="u8"), 4), ("dtype constructor", w(dtype="constructor"), 4), ("dtype U128", w(dtype="U128", end=16, shape="[1]"), 16),
    ("scalar", w(end=1, shape="[]"), 1), ("empty", w(end=0, shape="[0]"), 0), ("sizes of one", w(end=1, shape="[1,1,1,1,1,1,1,1]"), 1),
    ("shape null", w(shape="null"), 4), ("shape string", w(shape='"4"'), 4), ("shape of strings", w(shape='["4"]'), 4), ("shape nested", w(shape="[[4]]"), 4),
    ("size negative", w(shape="[-4]"), 4), ("size negative zero", w(end=0, shape="[-0]"), 0), ("size 1.5", w(shape="[1.5]"), 4), ("size 4.0", w(shape="[4.0]"), 4),
    ("size 4e0", w(shape="[4e0]"), 4), ("size 04", w(shape="[04]"), 4), ("size +4", w(shape="[+4]"), 4), ("size 0x4", w(shape="[0x4]"), 4), ("size true", w(shape="[true]"), 4),
    ("size 2^53", w(shape="[9007199254740992]"), 4), ("size 2^53 and 0", w(end=0, shape="[9007199254740992,0]"), 0), ("size 0 and 2^53", w(end=0, shape="[0,9007199254740992]"), 0),
    ("size 2^64", w(shape="[18446744073709551616]"), 4), ("size overflow", w(shape="[4294967296,4294967296]"), 4), ("size overflow and 0", w(end=0, shape="[4294967296,4294967296,0]"), 0),
    ("size 2^62 of F64", w(end=0, dtype="F64", shape="[4611686018427387904]"), 0),
    ("one offset", '{"w":{"dtype":"U8","shape":[4],"data_offsets":[0]}}', 4), ("three offsets", '{"w":{"dtype":"U8","shape":[4],"data_offsets":[0,4,4]}}', 4),
    ("offsets object", '{"w":{"dtype":"U8","shape":[4],"data_offsets":{"0":0,"1":4}}}', 4), ("offsets reversed", w(begin=4, end=0, shape="[4]"), 4),
    ("offset negative", w(begin=-4, end=0, shape="[4]"), 4), ("offset 2^64", '{"w":{"dtype":"U8","shape":[4],"data_offsets":[0,18446744073709551616]}}', 4),
    ("too few bytes", w(dtype="F32", shape="[2]"), 4), ("too many bytes", w(end=8, dtype="F32", shape="[1]"), 8),
    ("overlap", '{"a":%s,"b":%s}' % (entry(0, 4), entry(3, 7)), 7), ("same bytes twice", '{"a":%s,"b":%s}' % (entry(), entry()), 4),
    ("gap at the start", w(begin=1), 4), ("gap between", '{"a":%s,"b":%s}' % (entry(0, 2), entry(3, 4)), 4), ("empty past the end", '{"a":%s,"b":%s}' % (entry(0, 2), entry(9, 9)), 2),
    ("empty between", '{"a":%s,"b":%s,"c":%s}' % (entry(0, 2), entry(2, 2), entry(2, 4)), 4), ("empty inside another", '{"a":%s,"b":%s}' % (entry(0, 4), entry(2, 2)), 4),
    ("out of order", '{"b":%s,"a":%s}' % (entry(2, 4), entry(0, 2)), 4), ("trailing data", one, 5), ("missing data", one, 3), ("data without tensors", "{}", 1),
    ("extra field", with_extra("[{}]"), 4), ("extra fields twice", w(extra='"x":1,"x":2,'), 4), ("extra duplicate inside", with_extra('{"a":1,"a":2}'), 4),
    ("extra 1e999", with_extra("1e999"), 4), ("extra -1e999", with_extra("-1e999"), 4), ("extra 1e-999", with_extra("1e-999"), 4), ("extra 400 digits", with_extra("9" * 400), 4),
    ("extra 0e999", with_extra("0e999"), 4), ("extra NaN", with_extra("NaN"), 4), ("extra .5", with_extra(".5"), 4), ("extra 5.", with_extra("5."), 4), ("extra 1e", with_extra("1e"), 4),
    ("extra 01", with_extra("01"), 4), ("extra -", with_extra("-"), 4), ("extra tru", with_extra("tru"), 4), ("extra lone surrogate", with_extra(r'"\udfff"'), 4), ("extra nul", with_extra("nul"), 4),
] + [(f"nesting {n}", with_extra(nested(n)), 4) for n in (60, 64, 124, 125, 126, 127, 1000)] + [
    (f"nested object {n}", with_extra('{"a":' * n + "1" + "}" * n), 4) for n in (124, 125, 126)
] + [("nesting 125 around a number", with_extra(nested(125, "1")), 4)] + [
    (f"{count} elements of {dtype}", w(dtype=dtype, end=size, shape=f"[{count}]"), size)
    for dtype, count, size in [("F4", 1, 1), ("F4", 2, 1), ("F4", 1, 0), ("F4", 0, 0), ("F6_E2M3", 4, 3), ("F6_E2M3", 2, 2), ("F6_E3M2", 4, 3), ("F6_E3M2", 3, 2),
                               ("C64", 1, 8), ("C64", 2, 8), ("F8_E8M0", 2, 2), ("F8_E4M3FNUZ", 1, 1), ("BOOL", 3, 3), ("U64", 1, 8), ("BF16", 2, 4)]
] + [
    ("invalid UTF-8", b'{"\xff":' + entry().encode() + b"}", 4), ("overlong UTF-8", b'{"\xc0\x80":' + entry().encode() + b"}", 4),
    ("surrogate in UTF-8", b'{"\xed\xa0\x80":' + entry().encode() + b"}", 4),
]

def mutations(seed, count):
    rng = random.Random(seed)
    sources = [one, '{"__metadata__":{"format":"pt"},"a":%s,"b":%s}' % (entry(0, 2), entry(2, 4)), with_extra('[1,{"y":null}]'), w(dtype="F32", shape="[1]")]
    for n in range(count):
        text = rng.choice(sources)
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(text))
            kind = rng.randrange(4)
            if kind == 0: text = text[:at] + rng.choice('{}[]",:0123456789-.eF\\u tn') + text[at + 1:]
            elif kind == 1: text = text[:at] + text[at + rng.randint(1, 6):]
            elif kind == 2: text = text[:at] + text[at:at + rng.randint(1, 20)] + text[at:]
            else:
                other = rng.choice(sources); start = rng.randrange(len(other))
                text = text[:at] + other[start:start + rng.randint(1, 30)] + text[at:]
            if not text: text = "{"
        yield (f"mutation {n}", text, 4)

def verdict(header, size):
    data = header if isinstance(header, bytes) else header.encode()
    try:
        return sorted(name for name, _ in safetensors.deserialize(struct.pack("<Q", len(data)) + data + bytes(size)))
    except safetensors.SafetensorError:
        return None

def written(header):
    return {"base64": base64.b64encode(header).decode()} if isinstance(header, bytes) else header

cases = [[title, written(header), size, verdict(header, size)] for title, header, size in [*CASES, *mutations(1, 1500)]]
lines = ",\n".join(json.dumps(case) for case in cases)
out = pathlib.Path(__file__).with_name("verdicts.json")
out.write_text('{"version": "%s", "cases": [\n%s\n]}\n' % (safetensors.__version__, lines))
print(len(cases), "cases,", sum(case[3] is not None for case in cases), "accepted")
