#!/usr/bin/env python3
"""Random strings through lomo-train and Hugging Face's tokenizers, side by side.

    pip install tokenizers==0.23.3
    python scripts/experiments/compare_tokenizers.py build/release/bin/lomo-train 100000 FOLDER...

For each folder with a tokenizer.json: how many strings there are and how many gave other ids. Of
these are counted apart those with a character that is newer than Unicode 14, which the two
libraries may class differently, and those that Hugging Face's normalizer, which knows Unicode 13,
composes otherwise than Unicode 14. The first few of the others are shown.
"""
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import unicodedata

from tokenizers import Tokenizer

WORDS = ["the", "Hello", "don't", "I'LL", "  ", "\n\n", "\r\n", "\t", "1234567", "x**2", "://", "...",
         "\u00e9t\u00e9", "\u4f60\u597d", "\u041f\u0440\u0438\u0432\u0435\u0442", "\u2581",
         "\U0001f469\u200d\U0001f680", "<s>", "</s>", "<unk>", "<0x0A>", "<|endoftext|>",
         "<|im_start|>", "<|eot_id|>", "<|user|>"]
RANGES = [(0, 0x7f, 30), (0x80, 0x24f, 20), (0x250, 0x5ff, 10), (0x600, 0x1fff, 15),
          (0x2000, 0x2fff, 10), (0x3000, 0x9fff, 10), (0xa000, 0xffff, 5), (0x10000, 0x1ffff, 8),
          (0x20000, 0x10ffff, 2)]


def character(generator):
    low, high, _ = generator.choices(RANGES, [weight for *_, weight in RANGES])[0]
    while True:
        code = generator.randint(low, high)
        if not 0xd800 <= code <= 0xdfff:
            return chr(code)


def text(generator):
    parts = []
    for _ in range(generator.randint(0, 24)):
        kind = generator.random()
        if kind < 0.35:
            parts.append(generator.choice(WORDS))
        elif kind < 0.6:
            parts.append(" " * generator.randint(1, 3))
        else:
            parts.append(character(generator))
    return "".join(parts)


def main(program, count, folders):
    generator = random.Random(1)
    texts = [text(generator) for _ in range(int(count))]
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl", encoding="utf-8") as file:
        file.writelines(json.dumps({"text": t}) + "\n" for t in texts)
        file.flush()
        for folder in folders:
            ours = subprocess.run(
                [program, "tokenize", "--model", folder, "--tokenizer", "json", "--no-special",
                 "--parse-special", file.name], check=True, stdout=subprocess.PIPE).stdout
            theirs = Tokenizer.from_file(str(pathlib.Path(folder) / "tokenizer.json"))
            stage = json.loads((pathlib.Path(folder) / "tokenizer.json").read_text())["normalizer"]
            form = stage["type"] if stage and stage["type"] in ("NFC", "NFD", "NFKC", "NFKD") else None
            differ = newer = older = 0
            for line, given in zip(ours.decode().rstrip("\n").split("\n"), texts, strict=True):
                ids = theirs.encode(given, add_special_tokens=False).ids
                if json.loads(line)["ids"] == ids:
                    continue
                differ += 1
                # This interpreter knows Unicode 14 when it is 3.11.
                if any(unicodedata.category(c) == "Cn" for c in given):
                    newer += 1
                elif form and theirs.normalizer.normalize_str(given) != unicodedata.normalize(form, given):
                    older += 1
                elif differ - newer - older <= 3:
                    print(" ", json.dumps(given), json.loads(line)["ids"], ids)
            print(f"{folder}: {len(texts)} strings, {differ} differ: {newer} with characters "
                  f"unassigned in Unicode {unicodedata.unidata_version}, {older} composed by an older "
                  f"Unicode, {differ - newer - older} others", flush=True)


main(sys.argv[1], sys.argv[2], sys.argv[3:])
