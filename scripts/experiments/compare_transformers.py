#!/usr/bin/env python3
"""A model of scripts/experiments/make_smollm2.py, or another that fits, beside transformers in f32.

    pip install torch transformers
    cmake --build --preset ci --target lomo-train print_logits
    python scripts/experiments/compare_transformers.py build/ci models/smollm2 WORK

Loss and logits of a text element by element, 64 greedy tokens, ten LOMO steps beside plain SGD of
PyTorch (LOMO is SGD without momentum whose gradients are never all there), a resumed run and one
of two ranks beside the run they must equal. WORK is a new folder of some GB. Exit code 1 says that
something is farther off than the tolerances below.
"""
import json
import os
import pathlib
import subprocess
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
import torch  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402

TEXT = "The capital of France is Paris, and the capital of Italy is Rome. Water boils at 100 degrees."
PROMPT = "Once upon a time, there was a"
TRAINING = [TEXT, "The river runs to the sea, and the sea gives its water back to the sky.",
            "One, two, three, four, five: she counted the steps down to the old harbour.",
            "Nobody knew where the cat went at night, and the cat did not say."]
RATE = 0.001  # at 0.01 unclipped steps make the loss rise, and rounding grows with it
LOGITS = 1e-4   # of the largest logit
LOSSES = 1e-4   # of the loss
ROUNDING = 1e-5  # of the loss, where only the order of sums differs


def main(build, folder, work):
    build, folder, work = pathlib.Path(build), pathlib.Path(folder), pathlib.Path(work)
    work.mkdir(parents=True)
    program = build / "bin" / "lomo-train"
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

    lists = [tokenizer(t).input_ids for t in TRAINING]
    data = work / "ids.jsonl"
    data.write_text("".join(json.dumps({"ids": list_}) + "\n" for list_ in lists))
    config = work / "config.json"
    config.write_text(json.dumps({
        "model": {"path": str(folder.resolve()), "dtype": "f32"},
        "data": {"task": "ids", "train": str(data.resolve())},
        "batch": {"sequences": len(lists)}, "train": {"epochs": 10},
        "optimizer": {"name": "lomo", "lr": RATE}, "schedule": {"kind": "constant", "warmup": 0},
        "clip": {"norm": 0}, "ranks": {"comm_dtype": "f32"},
        "save": {"every_steps": 5, "keep_last": 0}}))
    there = []
    for _ in range(10):
        targets = sum(len(list_) - 1 for list_ in lists)
        model.zero_grad()
        total = 0
        for list_ in lists:
            logits = model(torch.tensor([list_[:-1]])).logits[0]
            part = torch.nn.functional.cross_entropy(logits, torch.tensor(list_[1:]),
                                                     reduction="sum") / targets
            part.backward()
            total += part.item()
        there.append(total)
        with torch.no_grad():
            for weight in model.parameters():
                weight -= RATE * weight.grad

    def losses(run):
        events = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        return [e["loss"] for e in events if e["event"] == "step"]

    def hash_of(run):
        out = subprocess.run([program, "verify", run / "model"], check=True, stdout=subprocess.PIPE)
        return next(line for line in out.stdout.decode().splitlines() if "hash" in line)

    subprocess.run([program, "--config", config, "--output", work / "one"], check=True)
    here = losses(work / "one")
    for step, (a, b) in enumerate(zip(here, there, strict=True)):
        print(f"step {step + 1}: {a:.7f} here, {b:.7f} there")
    report("losses of ten steps apart", max(abs(a / b - 1) for a, b in zip(here, there)), LOSSES)

    subprocess.run([program, "--resume", work / "one" / "checkpoints" / "step-5", "--output",
                    work / "resumed"], check=True)
    report("hashes of the resumed run that differ",
           int(hash_of(work / "one") != hash_of(work / "resumed")), 0)

    script = pathlib.Path(__file__).resolve().parent.parent / "mpirun.sh"
    subprocess.run([script, "2", config, "--output", work / "two"], check=True,
                   env=dict(os.environ, LOMO_TRAIN=str(program)))
    report("losses of two ranks apart",
           max(abs(a / b - 1) for a, b in zip(losses(work / "two"), here, strict=True)), ROUNDING)
    return 0 if fine else 1


sys.exit(main(*sys.argv[1:]))
