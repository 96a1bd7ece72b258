#!/usr/bin/env python3
"""Tiny models of the LLaMA family with what transformers computes for them, as fixtures.

Needs torch, transformers and safetensors; nothing of this runs in the build or the tests. The
files in tests/fixtures/families were made on a CPU by torch 2.15.0 and transformers 5.24.0 with

    python3 tests/reference/make_families.py tests/fixtures/families

OUT/<case>/ holds
    config.json           what save_pretrained writes
    config_v4.json        the same model as transformers 4 spelled it: 4.51.3 (SmolLM3: 4.53.3)
    model.safetensors     what save_pretrained writes: random f32 weights
    expected.safetensors  f32 unless said otherwise:
        ids (N) i32                    the sequences end to end
        starts (S+1) i32               where each begins; the last entry is N
        loss_from (S) i32              tokens with this index in the sequence or a later one are
                                       targets, those before carry no loss
        loss (1)                       mean over the targets of all sequences; each sequence runs
                                       on its own
        logits (T,V)                   of the first sequence
        grad.<parameter>               gradient of loss, named as in model.safetensors
        lomo.<parameter>               weights after ten steps of LOMO on this batch: the gradient
                                       times min(1, 1 / (norm + 1e-6)), norm that of all gradients
        lomo.losses, lomo.norms (10)   loss and norm before each step
        adalomo.<parameter>            weights after ten steps of AdaLomo without clipping, as
                                       lomo-optim 0.1.1 does it. Phi-3's fused matrices count as
                                       q, k, v and gate, up, each with its own statistics.
        adalomo.losses (10)            loss before each step
    The metadata of expected.safetensors names the rates, lomo.lr and adalomo.lr.

Prints a line per case: the largest difference of the logits between eager attention (used here)
and sdpa, and of the loss between this model and the two folders loaded again.
"""
import json
import pathlib
import shutil
import sys
import tempfile

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save
from transformers import AutoConfig, AutoModelForCausalLM

STEPS, LOMO_RATE, ADALOMO_RATE = 10, 0.05, 0.01
LENGTHS, LOSS_FROM = (13, 2, 7, 22), (1, 1, 5, 9)

SMALL = dict(hidden_size=16, intermediate_size=20, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, vocab_size=37, max_position_embeddings=64, rms_norm_eps=1e-5,
             bos_token_id=1, eos_token_id=2, pad_token_id=None, use_cache=False,
             tie_word_embeddings=False)
MULTIPLIERS = dict(embedding_multiplier=2.5, attention_multiplier=0.35, residual_multiplier=0.7,
                   logits_scaling=1.75)
PHI3 = dict(original_max_position_embeddings=64)


def rope(theta, **more):
    return dict(rope_parameters=dict(rope_type="default", rope_theta=theta) | more)


# The family and what differs from SMALL.
CASES = {
    "llama_bias": ("llama", dict(attention_bias=True, mlp_bias=True, vocab_size=41)),
    "llama_attention_bias_tied": (
        "llama", dict(attention_bias=True, tie_word_embeddings=True, hidden_size=18,
                      num_attention_heads=3, num_key_value_heads=1)),
    "llama_linear_v4": ("llama", dict(intermediate_size=24, **rope(
        10000.0, rope_type="linear", factor=2.5))),
    "llama_yarn": ("llama", dict(num_attention_heads=2, num_key_value_heads=1, **rope(
        20.0, rope_type="yarn", factor=4.0, original_max_position_embeddings=16))),
    # The factor is not the ratio of the lengths, which transformers 4.51.3 took in its place.
    "llama_yarn_attention": ("llama", dict(
        num_attention_heads=2, num_key_value_heads=1, vocab_size=39, max_position_embeddings=32,
        **rope(
            10.0, rope_type="yarn", factor=4.0, original_max_position_embeddings=16,
            attention_factor=1.3, beta_fast=1.25, beta_slow=0.5))),
    "mistral_window": ("mistral", dict(sliding_window=5, head_dim=6)),
    "mistral_wide": ("mistral", dict(sliding_window=23, vocab_size=40)),
    # No window: transformers 4 wrote its width all the same.
    "qwen2": ("qwen2", dict(tie_word_embeddings=True, intermediate_size=24, vocab_size=47,
                            use_sliding_window=False, sliding_window=3, max_window_layers=1,
                            **rope(1000000.0))),
    "qwen2_untied": ("qwen2", dict(vocab_size=43, sliding_window=32)),
    "qwen2_window": ("qwen2", dict(tie_word_embeddings=True, num_hidden_layers=3, vocab_size=41,
                                   use_sliding_window=True, sliding_window=4,
                                   max_window_layers=1)),
    "qwen3": ("qwen3", dict(tie_word_embeddings=True, head_dim=6, vocab_size=45,
                            sliding_window=4096, **rope(1000000.0))),
    "qwen3_untied": ("qwen3", dict(attention_bias=True, head_dim=10, num_attention_heads=2,
                                   num_key_value_heads=1, sliding_window=4096)),
    # A window in every layer.
    "qwen3_yarn": ("qwen3", dict(
        tie_word_embeddings=True, head_dim=10, num_attention_heads=2, num_key_value_heads=1,
        max_position_embeddings=48, sliding_window=6, use_sliding_window=True,
        max_window_layers=0, **rope(
            50.0, rope_type="yarn", factor=3.0, original_max_position_embeddings=16, mscale=1.2,
            mscale_all_dim=0.6, truncate=False))),
    "phi3": ("phi3", dict(vocab_size=40, intermediate_size=24, **PHI3)),
    "phi3_partial": ("phi3", dict(
        tie_word_embeddings=True, num_attention_heads=2, num_key_value_heads=1,
        sliding_window=262144, **PHI3, **rope(10000.0, partial_rotary_factor=0.75))),
    "phi3_window": ("phi3", dict(sliding_window=4, **PHI3)),
    "smollm3": ("smollm3", dict(tie_word_embeddings=True, num_hidden_layers=3, vocab_size=43,
                                no_rope_layers=[1, 0, 1])),
    "granite": ("granite", dict(tie_word_embeddings=True, intermediate_size=24, vocab_size=47,
                                **MULTIPLIERS)),
    "granite_untied": ("granite", dict(attention_bias=True, mlp_bias=True, **MULTIPLIERS)),
}


def make_model(number, family, options):
    config = AutoConfig.for_model(family, **(SMALL | options), attn_implementation="eager")
    model = AutoModelForCausalLM.from_config(config).to(torch.float32).eval()
    generator = torch.Generator().manual_seed(1000 + number)

    def spread(p):  # even in [-0.2, 0.2)
        return 0.4 * torch.rand(p.shape, generator=generator) - 0.2

    with torch.no_grad():
        for name, p in model.named_parameters():
            if name.endswith("norm.weight"):
                p.copy_(1 + spread(p))
            elif name.endswith(".bias"):
                p.copy_(spread(p))
            else:
                p.copy_(0.3 * torch.randn(p.shape, generator=generator))
    return model


def v4_config(config, options):
    """config.json as transformers 4 wrote it."""
    family = config["model_type"]
    late = family == "smollm3"  # came with 4.53, which wrote layer_types
    v4 = dict(config, transformers_version="4.53.3" if late else "4.51.3")
    v4["torch_dtype"] = v4.pop("dtype")
    if not late:
        v4.pop("layer_types", None)
    if family in ("qwen2", "qwen3"):  # later ones write null where the window is off
        v4["sliding_window"] = options["sliding_window"]

    scaling = dict(v4.pop("rope_parameters"))
    v4["rope_theta"] = scaling.pop("rope_theta")
    if family == "phi3":
        v4["partial_rotary_factor"] = scaling.pop("partial_rotary_factor")
    if scaling["rope_type"] == "linear":  # as the oldest files have it
        scaling["type"] = scaling.pop("rope_type")
    if family != "mistral":
        v4["rope_scaling"] = None if scaling == {"rope_type": "default"} else scaling

    # What equals the base class was left out.
    for key in ("bos_token_id", "eos_token_id", "pad_token_id"):
        if v4[key] is None and family not in ("phi3", "smollm3"):
            del v4[key]
    if late:
        del v4["mlp_bias"]  # not known yet
        if v4["tie_word_embeddings"]:
            del v4["tie_word_embeddings"]
    return v4


def make_batch(number, vocab):
    generator = torch.Generator().manual_seed(2000 + number)
    return [torch.randint(0, vocab, (length,), generator=generator) for length in LENGTHS]


def mean_loss(model, batch):
    total = sum(F.cross_entropy(model(input_ids=ids[None]).logits[0, start - 1:-1], ids[start:],
                                reduction="sum")
                for ids, start in zip(batch, LOSS_FROM))
    return total / sum(len(ids) - start for ids, start in zip(batch, LOSS_FROM))


def gradients(model, batch):
    model.zero_grad()
    loss = mean_loss(model, batch)
    loss.backward()
    return loss.item(), {name: p.grad for name, p in model.named_parameters()}


@torch.no_grad()
def parameters(model):
    return {name: p.clone() for name, p in model.named_parameters()}


def run_lomo(model, batch):
    losses, norms = [], []
    for _ in range(STEPS):
        loss, grads = gradients(model, batch)
        norm = torch.linalg.vector_norm(torch.cat([g.flatten() for g in grads.values()])).item()
        with torch.no_grad():
            for name, p in model.named_parameters():
                p.sub_(grads[name], alpha=LOMO_RATE * min(1.0, 1 / (norm + 1e-6)))
        losses.append(loss)
        norms.append(norm)
    return {"lomo.losses": torch.tensor(losses), "lomo.norms": torch.tensor(norms)}


def matrices(config, name, x):
    """Views of what the trainer keeps as separate parameters."""
    if name.endswith("qkv_proj.weight"):
        head = config.hidden_size // config.num_attention_heads
        kv = config.num_key_value_heads * head
        return x.split([config.num_attention_heads * head, kv, kv])
    return x.chunk(2) if name.endswith("gate_up_proj.weight") else [x]


def rms(x):
    return x.square().mean().sqrt()


def adalomo_update(p, g, state, step):
    """lomo-optim's, with decay_rate -0.8, eps 1e-30 and 1e-3, clip_threshold 1."""
    beta = 1 - step ** -0.8

    def average(key, square):
        state[key] = beta * state.get(key, torch.zeros_like(square)) + (1 - beta) * square
        return state[key]

    square = g.square() + 1e-30
    if p.dim() == 2:
        row, column = average("row", square.mean(1)), average("column", square.mean(0))
        update = (row / row.mean()).rsqrt()[:, None] * column.rsqrt() * g
    else:
        update = average("all", square).rsqrt() * g
    update = update / rms(update).clamp(min=1)
    p.sub_(update * (ADALOMO_RATE * rms(p).clamp(min=1e-3)))


def run_adalomo(model, batch):
    losses, states = [], {}
    for step in range(1, STEPS + 1):
        loss, grads = gradients(model, batch)
        losses.append(loss)
        with torch.no_grad():
            for name, p in model.named_parameters():
                pieces = zip(matrices(model.config, name, p),
                             matrices(model.config, name, grads[name]))
                for i, (part, g) in enumerate(pieces):
                    adalomo_update(part, g, states.setdefault((name, i), {}), step)
    return {"adalomo.losses": torch.tensor(losses)}


def make_expected(model, batch):
    loss, grads = gradients(model, batch)
    starts = torch.tensor([0] + [len(ids) for ids in batch]).cumsum(0)
    expected = {"ids": torch.cat(batch).int(), "starts": starts.int(),
                "loss_from": torch.tensor(LOSS_FROM).int(), "loss": torch.tensor([loss]),
                "logits": model(input_ids=batch[0][None]).logits[0].detach().clone()}
    expected |= {f"grad.{name}": g.clone() for name, g in grads.items()}
    start = parameters(model)
    for kind, optimizer in (("lomo", run_lomo), ("adalomo", run_adalomo)):
        expected |= optimizer(model, batch)
        expected |= {f"{kind}.{name}": p for name, p in parameters(model).items()}
        model.load_state_dict(start, strict=False)  # a tied head follows the embedding
    return expected


def serialized(tensors, metadata):
    """With the metadata in this order; safetensors leaves it to chance."""
    raw = save(tensors, metadata=metadata)
    start, size = 8, int.from_bytes(raw[:8], "little")
    header = json.loads(raw[start:start + size]) | {"__metadata__": metadata}
    text = json.dumps(header, separators=(",", ":")).encode().ljust(size)
    assert len(text) == size
    return raw[:start] + text + raw[start + size:]


@torch.no_grad()
def reloaded_loss(folder, config, batch):
    """Of the folder with `config` for its config.json."""
    with tempfile.TemporaryDirectory() as scratch:
        shutil.copy(folder / "model.safetensors", scratch)
        shutil.copy(folder / config, pathlib.Path(scratch) / "config.json")
        model = AutoModelForCausalLM.from_pretrained(scratch, attn_implementation="eager")
        return mean_loss(model.eval(), batch).item()


@torch.no_grad()
def sdpa_difference(model, batch):
    """Largest, of any logit."""
    eager = [model(input_ids=ids[None]).logits for ids in batch]
    model.set_attn_implementation("sdpa")
    sdpa = [model(input_ids=ids[None]).logits for ids in batch]
    model.set_attn_implementation("eager")
    return max((a - b).abs().max().item() for a, b in zip(eager, sdpa))


def main():
    torch.set_num_threads(1)
    out = pathlib.Path(sys.argv[1])
    for number, (case, (family, options)) in enumerate(CASES.items()):
        folder = out / case
        shutil.rmtree(folder, ignore_errors=True)
        model = make_model(number, family, options)
        model.save_pretrained(folder)
        (folder / "generation_config.json").unlink()
        v4 = v4_config(json.loads((folder / "config.json").read_text()), options)
        (folder / "config_v4.json").write_text(json.dumps(v4, indent=2, sort_keys=True) + "\n")

        batch = make_batch(number, model.config.vocab_size)
        sdpa = sdpa_difference(model, batch)
        expected = make_expected(model, batch)
        on_disk = load_file(folder / "model.safetensors")
        assert all(torch.equal(on_disk.pop(n), p) for n, p in model.named_parameters())
        assert not on_disk
        (folder / "expected.safetensors").write_bytes(serialized(
            expected, {"lomo.lr": str(LOMO_RATE), "adalomo.lr": str(ADALOMO_RATE)}))

        loss = expected["loss"].item()
        again = [abs(reloaded_loss(folder, config, batch) - loss)
                 for config in ("config.json", "config_v4.json")]
        assert sdpa < 2e-5 and max(again) < 1e-6, (case, sdpa, again)
        size = sum(f.stat().st_size for f in folder.iterdir()) / 1000
        print(f"{case}: {size:.0f} kB, loss {loss:.4f}, "
              f"lomo {expected['lomo.losses'][-1]:.4f}, "
              f"adalomo {expected['adalomo.losses'][-1]:.4f}, "
              f"norm {expected['lomo.norms'][0]:.2f} to {expected['lomo.norms'][-1]:.2f}, "
              f"sdpa {sdpa:.1e}, again {again[0]:.1e}, as v4 {again[1]:.1e}")


main()
