#!/usr/bin/env python3
"""How fast tokenizers are read and encode, here and in Hugging Face's tokenizers, in turns.

    pip install tokenizers==0.23.3
    cmake --build --preset ci --target bench_tokenizer
    python scripts/experiments/tokenizer_speed.py build/ci/tests/bench_tokenizer TEXTS.jsonl FOLDER...

TEXTS.jsonl has a "text" a line. Both on one core, in processor time, the best of all rounds. Words
were seen before, as in all but the first seconds of a large file.
"""
import json
import os
import pathlib
import re
import subprocess
import sys
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
from tokenizers import Tokenizer  # noqa: E402

ROUNDS = 2


def theirs(file, texts):
    start = time.process_time()
    tokenizer = Tokenizer.from_file(str(file))
    read = time.process_time() - start
    best = 1e9
    for _ in range(3):  # as bench_tokenizer does
        start = time.process_time()
        count = sum(len(tokenizer.encode(text, add_special_tokens=False).ids) for text in texts)
        best = min(best, time.process_time() - start)
    return read, best, count


def main(program, file, folders):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    texts = [json.loads(line)["text"] for line in open(file, encoding="utf-8")]
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    print(f"{len(texts)} texts, {megabytes:.1f} MB")
    print("| tokenizer | read here | there | MB/s here | there |\n|---|---|---|---|---|")
    for folder in folders:
        name = pathlib.Path(folder) / "tokenizer.json"
        best = [1e9, 1e9, 0.0, 0.0]
        for _ in range(ROUNDS):
            out = subprocess.run([program, file, name], check=True, stdout=subprocess.PIPE).stdout
            found = re.search(r"read in ([\d.]+) s, ([\d.]+) MB/s, (\d+) ids", out.decode())
            read, seconds, count = theirs(name, texts)
            if count != int(found[3]):
                print(f"{name}: {found[3]} ids here, {count} there")
            best = [min(best[0], float(found[1])), min(best[1], read),
                    max(best[2], float(found[2])), max(best[3], megabytes / seconds)]
        print(f"| {pathlib.Path(folder).name} | {best[0]:.3f} s | {best[1]:.3f} s | {best[2]:.1f} | "
              f"{best[3]:.1f} |", flush=True)


main(sys.argv[1], sys.argv[2], sys.argv[3:])
