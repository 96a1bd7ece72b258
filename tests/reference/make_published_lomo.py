#!/usr/bin/env python3
"""Ten steps of the published LOMO and AdaLomo on a tiny LLaMA, as fixtures for tests/train.

Needs torch, transformers, safetensors and lomo-optim 0.1.1 (PyPI); writes into
tests/fixtures/published/. Nothing of this runs in the build or the tests.

    python3 tests/reference/make_published_lomo.py

The package assumes a GPU and a process group; on a CPU its AdaLomo states are kept on the CPU by
making Tensor.cuda the identity.
"""
import json
import pathlib

import torch
from lomo_optim import AdaLomo, Lomo
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

OUT = pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "published"
STEPS, ROWS, LENGTH, VOCAB = 10, 2, 9, 29

SCENARIOS = {
    "norm_clip": dict(kind="lomo", lr=0.05, clip_grad_norm=1.0),
    "value_clip_decay": dict(kind="lomo", lr=0.05, clip_grad_value=0.01, weight_decay=0.1),
    "norm_and_value": dict(kind="lomo", lr=0.05, clip_grad_norm=0.5, clip_grad_value=0.02),
    "adalomo": dict(kind="adalomo", lr=0.01),
    "adalomo_decay_clip": dict(kind="adalomo", lr=0.01, clip_grad_norm=1.0, weight_decay=0.1),
}


def make_model(tied):
    torch.manual_seed(7)
    config = LlamaConfig(hidden_size=16, intermediate_size=24, num_hidden_layers=2,
                         num_attention_heads=4, num_key_value_heads=2, vocab_size=VOCAB,
                         max_position_embeddings=32, rms_norm_eps=1e-5, tie_word_embeddings=tied,
                         initializer_range=0.2, attn_implementation="eager")
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "norm" in name:
                p.add_(0.2 * torch.randn_like(p))
    return model


def tokens_of(step):
    generator = torch.Generator().manual_seed(100 + step)
    return torch.randint(0, VOCAB, (ROWS, LENGTH), generator=generator)


def learning_rate(base, step):
    """Linear to zero without warm-up: step t of STEPS runs at base (1 - t / STEPS)."""
    return base * (1 - step / STEPS)


def run(tied, scenario):
    options = dict(scenario)
    kind, base = options.pop("kind"), options.pop("lr")
    model = make_model(tied)
    optimizer = (Lomo if kind == "lomo" else AdaLomo)(model, lr=base, **options)
    clipped = options.get("clip_grad_norm") is not None
    tensors = {}
    log = []
    for step in range(STEPS):
        ids = tokens_of(step)
        lr = learning_rate(base, step)
        loss = model(input_ids=ids, labels=ids).loss
        entry = {"ids": ids.tolist(), "lr": lr, "loss": loss.item()}
        if clipped:
            optimizer.grad_norm(loss)
            entry["norm"] = torch.norm(torch.stack(list(optimizer.grad_norms)), 2.0).item() \
                if not torch.is_tensor(optimizer.grad_norms) \
                else torch.norm(optimizer.grad_norms, 2.0).item()
            loss = model(input_ids=ids, labels=ids).loss
        optimizer.fused_backward(loss, lr)
        log.append(entry)
        if step in (0, STEPS - 1):
            for name, p in model.named_parameters():
                tensors[f"step{step + 1}/{name}"] = p.detach().clone().contiguous()
    return tensors, log


def main():
    torch.set_num_threads(1)
    torch.Tensor.cuda = lambda self, *args, **kwargs: self
    OUT.mkdir(parents=True, exist_ok=True)
    about = {}
    for tied in (False, True):
        suffix = "tied" if tied else "untied"
        initial = {n: p.detach().clone().contiguous() for n, p in make_model(tied).named_parameters()}
        save_file(initial, OUT / f"initial_{suffix}.safetensors")
        for name, scenario in SCENARIOS.items():
            tensors, log = run(tied, scenario)
            save_file(tensors, OUT / f"{name}_{suffix}.safetensors")
            about[f"{name}_{suffix}"] = {"tied": tied, **scenario, "steps": log}
    with open(OUT / "runs.json", "w") as f:
        lines = [f"{json.dumps(name)}: {json.dumps(run)}" for name, run in about.items()]
        f.write("{\n" + ",\n".join(lines) + "\n}\n")


main()
