#!/usr/bin/env python3
"""A model of scripts/experiments/make_smollm2.py, or another that fits, beside transformers in f32.

    pip install torch transformers
    cmake --build --preset ci --target print_logits
    python scripts/experiments/compare_transformers.py build/ci models/smollm2 WORK

Loss and logits of a text element by element, and 64 greedy tokens. WORK is a folder for what is
computed here. Exit code 1 says that something is farther off than the tolerances below.
"""
import os
import pathlib
import subprocess
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
import torch  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402

TEXT = "The capital of France is Paris, and the capital of Italy is Rome. Water boils at 100 degrees."
PROMPT = "Once upon a time, there was a"
LOGITS = 1e-4  # of the largest logit
LOSSES = 1e-4  # of the loss


def main(build, folder, work):
    build, folder, work = pathlib.Path(build), pathlib.Path(folder), pathlib.Path(work)
    work.mkdir(parents=True)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    fine = True

    def report(what, value, limit):
        nonlocal fine
        fine = fine and value <= limit
        print(f"{what}: {value:.3g} (at most {limit:g})", flush=True)

    def logits_of(ids):
        file = work / "logits"
        subprocess.run([build / "tests" / "print_logits", folder, file, *map(str, ids)], check=True)
        return torch.frombuffer(bytearray(file.read_bytes()), dtype=torch.float32).view(len(ids), -1)

    ids = tokenizer(TEXT).input_ids
    ours = logits_of(ids)
    with torch.no_grad():
        theirs = model(torch.tensor([ids])).logits[0]
    print(f"{ours.numel()} logits, the largest {theirs.abs().max():.4g}, "
          f"farthest apart by {(ours - theirs).abs().max():.3g}")
    report("logits apart, of the largest", ((ours - theirs).abs().max() / theirs.abs().max()).item(),
           LOGITS)
    loss = [torch.nn.functional.cross_entropy(x[:-1], torch.tensor(ids[1:])).item()
            for x in (ours, theirs)]
    print(f"loss {loss[0]:.7f} here, {loss[1]:.7f} there")
    report("losses apart", abs(loss[0] / loss[1] - 1), LOSSES)

    prompt = tokenizer(PROMPT, return_tensors="pt")
    there = model.generate(**prompt, max_new_tokens=64, do_sample=False)[0]
    # Behind the same tokens the same next one each time: the same text.
    new = there[prompt.input_ids.shape[1]:]
    here = logits_of(there.tolist())[prompt.input_ids.shape[1] - 1:-1].argmax(dim=1)
    report(f"greedy tokens of {len(new)} that differ", int((new != here).sum()), 0)

    return 0 if fine else 1


sys.exit(main(*sys.argv[1:]))
