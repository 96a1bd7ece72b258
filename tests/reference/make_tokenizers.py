"""Makes small tokenizer.json files, one a kind, and what Hugging Face's tokenizers makes of texts.

    pip install tokenizers==0.23.3
    python tests/reference/make_tokenizers.py tests/fixtures/tokenizers

Writes NAME/tokenizer.json and NAME/expected.jsonl: text, ids, ids_with_special (what the
post-processor adds too) and decoded.
"""
import json
import pathlib
import random
import sys

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
          r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
TRAINING = [
    "The small dog ran to the old house and sat there until the rain had stopped.",
    "She didn't know what they'd say; it's late, and we're all here.",
    "In 1984 the price rose by 12.5% to $3,400.00 (see table 7).",
    "def add(a, b):\n    return a + b\n\nfor i in range(10):\n\tprint(i)\n",
    "Le caf\u00e9 \u00e9tait ferm\u00e9. Stra\u00dfe, \u00fcber, \u00e5ngstr\u00f6m.",
    "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440! \u4f60\u597d\uff0c\u4e16\u754c\u3002",
]
TEXTS = TRAINING + [
    "", " ", "  ", "\n", "\t\t", "a", " a", "a ", "  a  b   c ", "\u2581", "\u2581a \u2581 b",
    "<s>", "<s>hello</s>", "a<s> b </s>c", "x <pad> y", "<tool>a <tool> b", "word<w>word", "a <w> b",
    "<0x41><0x0A>", "<unk>", "HELLO World's I'LL 'Tis", "x" * 100, " " * 100, "ab " * 50,
    "\u200b\u00a0\u3000\u180e", "e\u0301 \u00e9 a\u030a \ufb01 \u00bd \u2460 \u0130I\u0131",
    "\U0001f600\U0001f469\u200d\U0001f680 ok", "\u0e01\u0e33 \u0928\u092e\u0938\u094d\u0924\u0947",
    "a\u0000b\u007f\u0085c\u2028d\r\ne\rf", "\ufffd\ufeff", "12345 \u0661\u0662 \u00b2\u2163",
    "a-b_c.d,e;f:g!h?i(j)k[l]m{n}o'p\"q", "\u00df\u1e9e\u0149 \u01c4\u01c5", "ZZZ\u65e5\u672cZZZ",
]


def random_texts(seed, count):
    generator = random.Random(seed)
    alphabet = list("abcdehilnorstuw  \n\t.,'0123AEI") + list("\u00e9\u00df\u0301\u4f60\u0438\u2581\U0001f600")
    alphabet += ["<s>", "</s>", "<tool>", "<w>", "<pad>", "<0x41>"]
    return ["".join(generator.choice(alphabet) for _ in range(generator.randrange(1, 60)))
            for _ in range(count)]


def trained(pre_tokenizer, size, alphabet=()):
    """Vocabulary and merges of a plain BPE."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.train_from_iterator(TRAINING, trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=list(alphabet), show_progress=False))
    model = json.loads(tokenizer.to_str())["model"]
    return sorted(model["vocab"], key=model["vocab"].get), model["merges"]


def token(id, content, **flags):
    return {"id": id, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
            "normalized": False, "special": True} | flags


def bpe(pieces, merges, **options):
    return {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
            "ignore_merges": False} | options | {
                "vocab": {piece: id for id, piece in enumerate(pieces)}, "merges": merges}


def template(before, after=()):
    steps = [{"SpecialToken": {"id": name, "type_id": 0}} for name, _ in before]
    steps += [{"Sequence": {"id": "A", "type_id": 0}}]
    steps += [{"SpecialToken": {"id": name, "type_id": 0}} for name, _ in after]
    tokens = {name: {"id": name, "ids": [id], "tokens": [name]} for name, id in [*before, *after]}
    return {"type": "TemplateProcessing", "single": steps,
            "pair": [{"Sequence": {"id": "A", "type_id": 0}},
                     {"Sequence": {"id": "B", "type_id": 1}}], "special_tokens": tokens}


def byte_level(**options):
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
            "use_regex": True} | options


def document(**parts):
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [],
            "normalizer": None, "pre_tokenizer": None, "post_processor": None,
            "decoder": None} | parts


def split_bytes():
    """As Llama 3 has it: a pattern of its own, ignore_merges, a template."""
    pieces, merges = trained(pre_tokenizers.ByteLevel(add_prefix_space=False), 380,
                             pre_tokenizers.ByteLevel.alphabet())
    n = len(pieces)
    return document(
        added_tokens=[token(n, "<s>"), token(n + 1, "</s>"), token(n + 2, "<tool>", special=False)],
        pre_tokenizer={"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": LLAMA3}, "behavior": "Isolated",
             "invert": False}, byte_level(use_regex=False)]},
        post_processor={"type": "Sequence", "processors": [
            byte_level(), template([("<s>", n)], [("</s>", n + 1)])]},
        decoder=byte_level(), model=bpe(pieces, merges, ignore_merges=True))


def gpt2_bytes():
    """GPT-2's words, digits apart, NFC, tokens with every flag, merges as text."""
    pieces, merges = trained(pre_tokenizers.ByteLevel(add_prefix_space=False), 340,
                             pre_tokenizers.ByteLevel.alphabet())
    n = len(pieces)
    return document(
        added_tokens=[token(n, "<s>", lstrip=True), token(n + 1, "</s>", rstrip=True),
                      token(n + 2, "<w>", single_word=True),
                      token(n + 3, "  ", special=False, normalized=True),
                      token(n + 4, "<tool>", special=False, lstrip=True, rstrip=True),
                      token(n + 5, "<pad>")],
        normalizer={"type": "NFC"},
        pre_tokenizer={"type": "Sequence", "pretokenizers": [
            {"type": "Digits", "individual_digits": True}, byte_level(add_prefix_space=True)]},
        post_processor=byte_level(), decoder=byte_level(),
        model=bpe(pieces, [" ".join(pair) for pair in merges]))


def sentencepiece_pieces(size):
    pieces, merges = trained(pre_tokenizers.Metaspace(), size)
    bytes_ = [f"<0x{b:02X}>" for b in range(256)]
    return ["<unk>", "<s>", "</s>"] + bytes_ + pieces, merges


SPECIAL = [token(0, "<unk>"), token(1, "<s>"), token(2, "</s>")]
UNSPACED = {"type": "Sequence", "decoders": [
    {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}, {"type": "ByteFallback"},
    {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}


def metaspace():
    """What transformers 5 writes for a sentencepiece model."""
    pieces, merges = sentencepiece_pieces(160)
    return document(
        added_tokens=SPECIAL,
        pre_tokenizer={"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first",
                       "split": False},
        post_processor=template([("<s>", 1)]), decoder=UNSPACED,
        model=bpe(pieces, merges, fuse_unk=True, byte_fallback=True))


def prepend():
    """What transformers 4 wrote for one; with a piece that goes over a word's boundary."""
    pieces, merges = sentencepiece_pieces(160)
    pieces.append("e\u2581")
    merges.insert(0, ["e", "\u2581"])
    return document(
        added_tokens=SPECIAL + [token(len(pieces), "<tool>", rstrip=True)],
        normalizer={"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "\u2581"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]},
        post_processor=template([("<s>", 1)]), decoder=UNSPACED,
        model=bpe(pieces, [" ".join(pair) for pair in merges], unk_token="<unk>", fuse_unk=True,
                  byte_fallback=True))


def unknowns():
    """Characters without a piece, in runs; words parted by Metaspace and punctuation."""
    pieces, merges = trained(pre_tokenizers.Metaspace(), 120)
    pieces = ["<unk>", "<s>"] + pieces
    return document(
        added_tokens=SPECIAL[:2],
        normalizer={"type": "Sequence", "normalizers": [
            {"type": "NFKC"}, {"type": "Lowercase"},
            {"type": "Replace", "pattern": {"Regex": "[0-9]+"}, "content": "0"},
            {"type": "Strip", "strip_left": False, "strip_right": True}]},
        pre_tokenizer={"type": "Sequence", "pretokenizers": [
            {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always",
             "split": True},
            {"type": "Punctuation", "behavior": "MergedWithPrevious"}]},
        decoder={"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always",
                 "split": True},
        model=bpe(pieces, merges, unk_token="<unk>", fuse_unk=True))


def behaviors():
    """Split in all its ways; unknown characters one by one; no decoder."""
    pieces, merges = trained(pre_tokenizers.Whitespace(), 110)
    split = lambda pattern, behavior, invert=False: {
        "type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert}
    return document(
        added_tokens=[token(0, "<unk>")],
        pre_tokenizer={"type": "Sequence", "pretokenizers": [
            split({"String": "the"}, "MergedWithNext"),
            split({"Regex": r"[,.;]"}, "MergedWithPrevious"),
            split({"Regex": r"\d"}, "Contiguous"),
            split({"Regex": r"\w+|[^\w\s]+"}, "Removed", True),
            split({"Regex": r"a*"}, "Isolated"),
            {"type": "Digits", "individual_digits": False}]},
        model=bpe(["<unk>"] + pieces, merges, unk_token="<unk>"))


def main(folder):
    for make in (split_bytes, gpt2_bytes, metaspace, prepend, unknowns, behaviors):
        place = folder / make.__name__
        place.mkdir(parents=True, exist_ok=True)
        text = json.dumps(make(), ensure_ascii=False, separators=(",", ":")) + "\n"
        (place / "tokenizer.json").write_text(text, encoding="utf-8")
        tokenizer = Tokenizer.from_str(text)
        with open(place / "expected.jsonl", "w", encoding="utf-8") as out:
            for sample in TEXTS + random_texts(make.__name__, 60):
                ids = tokenizer.encode(sample, add_special_tokens=False).ids
                out.write(json.dumps({
                    "text": sample, "ids": ids, "ids_with_special": tokenizer.encode(sample).ids,
                    "decoded": tokenizer.decode(ids, skip_special_tokens=False),
                }, ensure_ascii=True, separators=(",", ":")) + "\n")


main(pathlib.Path(sys.argv[1]))
