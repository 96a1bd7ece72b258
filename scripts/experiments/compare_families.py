#!/usr/bin/env python3
"""Models of every family that were trained and saved here, read by transformers: the same logits.

    pip install torch transformers
    cmake --build --preset ci --target lomo-train print_logits
    python scripts/experiments/compare_families.py build/ci WORK

Each small model of tests/fixtures/families takes three LOMO steps here in f32; its folder is then
loaded by transformers, which must know every tensor by name and type and compute the same logits
of 24 ids. WORK is a new folder. Exit code 1 says that a model is farther off than LIMIT.
"""
import json
import os
import pathlib
import subprocess
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
import torch  # noqa: E402
from safetensors import safe_open  # noqa: E402
from transformers import AutoModelForCausalLM  # noqa: E402

LIMIT = 1e-5  # of the largest logit


def tensors_of(folder):
    with safe_open(folder / "model.safetensors", "pt") as file:
        return {name: (file.get_tensor(name).dtype, tuple(file.get_tensor(name).shape))
                for name in file.keys()}


def main(build, work):
    build, work = pathlib.Path(build), pathlib.Path(work)
    work.mkdir(parents=True)
    fixtures = pathlib.Path(__file__).resolve().parents[2] / "tests" / "fixtures" / "families"
    fine = True
    print("| model | tensors | loss of three steps | logits apart, of the largest |\n|---|---|---|---|")
    for folder in sorted(path for path in fixtures.iterdir() if path.is_dir()):
        vocab = json.loads((folder / "config.json").read_text())["vocab_size"]
        lists = [[(7 * i * i + 3 * i + k) % (vocab - 3) for i in range(24)] for k in range(4)]
        data = work / "ids.jsonl"
        data.write_text("".join(json.dumps({"ids": ids}) + "\n" for ids in lists))
        run = work / folder.name
        settings = {"model.path": folder, "model.dtype": "f32", "data.task": "ids",
                    "data.train": data.resolve(), "batch.sequences": 4, "train.epochs": 3,
                    "optimizer.name": "lomo", "optimizer.lr": 0.05, "schedule.warmup": 0}
        config = work / "config.json"
        nested = {}
        for key, value in settings.items():
            section, name = key.split(".")
            nested.setdefault(section, {})[name] = str(value) if isinstance(
                value, pathlib.Path) else value
        config.write_text(json.dumps(nested))
        subprocess.run([build / "bin" / "lomo-train", "--config", config, "--output", run,
                        "--log-level", "error"], check=True, stdout=subprocess.DEVNULL)
        events = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        losses = [event["loss"] for event in events if event["event"] == "step"]

        saved = run / "model"
        model, told = AutoModelForCausalLM.from_pretrained(
            saved, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
        unknown = {key: names for key, names in told.items() if names}
        same = tensors_of(saved) == tensors_of(folder)
        file = work / "logits"
        subprocess.run([build / "tests" / "print_logits", saved, file, *map(str, lists[0])],
                       check=True)
        ours = torch.frombuffer(bytearray(file.read_bytes()), dtype=torch.float32).view(24, -1)
        with torch.no_grad():
            theirs = model(torch.tensor([lists[0]])).logits[0]
        apart = ((ours - theirs).abs().max() / theirs.abs().max()).item()
        moved = losses[-1] < losses[0]
        fine = fine and apart <= LIMIT and same and not unknown and moved
        print(f"| {folder.name} | {'the same' if same else 'others'}"
              f"{f', {unknown}' if unknown else ''} | {losses[0]:.4f} to {losses[-1]:.4f} | "
              f"{apart:.2g} |", flush=True)
    return 0 if fine else 1


sys.exit(main(*sys.argv[1:]))
