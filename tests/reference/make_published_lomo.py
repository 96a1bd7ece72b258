#!/usr/bin/env python3
"""Ten steps of the published LOMO and AdaLomo on a tiny LLaMA, as fixtures for tests/train.

Needs torch, transformers, safetensors and lomo-optim 0.1.1 (PyPI); writes into
tests/fixtures/published/. Nothing of this runs in the build or the tests.

    python3 tests/reference/make_published_lomo.py

The package assumes a GPU and a process group: on a CPU its AdaLomo states are kept on the CPU by
making Tensor.cuda the identity, and its loss scaler gets a group of one process. It scales only
losses that are fp16 themselves, so the f32 loss is rounded to fp16 for it.
"""
import json
import os
import pathlib

import torch
import torch.distributed
from lomo_optim import AdaLomo, Lomo
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

OUT = pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "published"
STEPS, ROWS, LENGTH, VOCAB = 10, 2, 9, 19
TOTAL, WARMUP = STEPS + 1, 0.2  # of the schedule, whose last step has rate 0

TYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}
SCENARIOS = {
    "norm_clip": dict(kind="lomo", lr=0.05, clip_grad_norm=1.0),
    "value_clip_decay": dict(kind="lomo", lr=0.05, clip_grad_value=0.01, weight_decay=0.1),
    "norm_and_value": dict(kind="lomo", lr=0.05, clip_grad_norm=0.5, clip_grad_value=0.02),
    "adalomo": dict(kind="adalomo", lr=0.01),
    "adalomo_decay_clip": dict(kind="adalomo", lr=0.01, clip_grad_norm=1.0, weight_decay=0.1),
    "bf16_norm_clip": dict(kind="lomo", dtype="bf16", lr=0.05, clip_grad_norm=1.0),
    "bf16_value_clip_decay": dict(kind="lomo", dtype="bf16", lr=0.05, clip_grad_value=0.01,
                                  weight_decay=0.1),
    "f16_norm_clip": dict(kind="lomo", dtype="f16", lr=0.05, clip_grad_norm=1.0, init_scale=8192),
    # The head is so large that what it sends back overflows until the scale has fallen.
    "f16_overflow": dict(kind="lomo", dtype="f16", lr=0.05, clip_grad_norm=1.0, init_scale=8192,
                         enlarged=24.0),
}


def make_model(tied, dtype="f32", enlarged=1.0):
    torch.manual_seed(7)
    config = LlamaConfig(hidden_size=8, intermediate_size=12, num_hidden_layers=2,
                         num_attention_heads=4, num_key_value_heads=2, head_dim=4,
                         vocab_size=VOCAB, max_position_embeddings=32, rms_norm_eps=1e-5,
                         tie_word_embeddings=tied, initializer_range=0.3,
                         attn_implementation="eager")
    model = LlamaForCausalLM(config).to(torch.float32)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "norm" in name:
                p.add_(0.2 * torch.randn_like(p))
        model.lm_head.weight.mul_(enlarged)
    return model.to(TYPES[dtype])


def tokens_of(step):
    generator = torch.Generator().manual_seed(100 + step)
    return torch.randint(0, VOCAB, (ROWS, LENGTH), generator=generator)


def learning_rate(base, step):
    """The published linear schedule; steps count from 1."""
    progress = step / max(2, TOTAL)
    if progress < WARMUP:
        return base * progress / WARMUP
    return base * max(0.0, (progress - 1) / (WARMUP - 1))


def run(tied, scenario):
    options = dict(scenario)
    kind, base = options.pop("kind"), options.pop("lr")
    dtype = options.pop("dtype", "f32")
    model = make_model(tied, dtype, options.pop("enlarged", 1.0))
    if "init_scale" in options:
        options["loss_scale_args"] = dict(init_scale=options.pop("init_scale"))
    optimizer = (Lomo if kind == "lomo" else AdaLomo)(model, lr=base, **options)
    clipped = options.get("clip_grad_norm") is not None

    history = {name: [] for name, _ in model.named_parameters()}

    def keep():
        for name, p in model.named_parameters():
            history[name].append(p.detach().clone().reshape(-1))

    def forward(ids):
        loss = model(input_ids=ids, labels=ids).loss
        return loss.half() if dtype == "f16" else loss

    log = []
    keep()
    for step in range(1, STEPS + 1):
        ids = tokens_of(step)
        lr = learning_rate(base, step)
        loss = forward(ids)
        entry = {"ids": ids.tolist(), "lr": lr, "loss": loss.item()}
        scaler = optimizer.loss_scaler if kind == "lomo" else None
        if dtype == "f16":
            entry["scale"] = scaler.loss_scale if scaler else scenario["init_scale"]
        skip = False
        if clipped:
            optimizer.grad_norm(loss)
            scaler = optimizer.loss_scaler if kind == "lomo" else None
            skip = scaler is not None and scaler.has_overflow_serial
            entry["overflow"] = bool(skip)
            if not skip:
                entry["norm"] = torch.norm(optimizer.grad_norms, 2.0).item()
                loss = forward(ids)
        if not skip:
            optimizer.fused_backward(loss, lr)
        log.append(entry)
        keep()
    return {name: torch.stack(steps) for name, steps in history.items()}, log  # (11, numel)


def main():
    torch.set_num_threads(1)
    torch.Tensor.cuda = lambda self, *args, **kwargs: self
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="29517")
    torch.distributed.init_process_group("gloo", rank=0, world_size=1)
    OUT.mkdir(parents=True, exist_ok=True)
    about = {}
    for tied in (False, True):
        suffix = "tied" if tied else "untied"
        for name, scenario in SCENARIOS.items():
            # Tied, the large head is the embedding too, and only the package's fp16 copy of that
            # gradient overflows; here no gradient is ever fp16.
            if name == "f16_overflow" and tied:
                continue
            tensors, log = run(tied, scenario)
            save_file(tensors, OUT / f"{name}_{suffix}.safetensors")
            about[f"{name}_{suffix}"] = {"tied": tied, **scenario, "total": TOTAL,
                                         "warmup": WARMUP, "steps": log}
    with open(OUT / "runs.json", "w") as f:
        lines = [f"{json.dumps(name)}: {json.dumps(run)}" for name, run in about.items()]
        f.write("{\n" + ",\n".join(lines) + "\n}\n")
    torch.distributed.destroy_process_group()


main()
