"""Ids of rendered conversations and which of them carry loss, for tests/chat, by transformers.

    pip install jinja2 transformers tokenizers
    python tests/reference/make_chat_masks.py DATA > tests/fixtures/chat/masks.jsonl

DATA is the folder that LOMO_TEST_DATA names. A line has `tokenizer` (a folder in tests/fixtures, or in DATA after
"data:"), `template` (a file in DATA after "data:", or the template itself), `messages`, `tools`, and `ids` with `loss`
(one 0 or 1 an id), both as text. Templates with generation blocks: what apply_chat_template(return_assistant_tokens_mask=True)
gives. Others: the tokens from the first to the last that share a character with an answer, found by rendering prefixes as make_chat_marks.py does.
Templates that print the day were rendered on 30 November 2026.
"""
import datetime
import json
import os
import sys

import transformers.utils.chat_template_utils as templates
from transformers import PreTrainedTokenizerFast

from make_chat_marks import CONVERSATIONS, TEMPLATES, by_prefixes, turns

HERE = os.path.dirname(os.path.abspath(__file__))
SMALL = ["tokenizers/gpt2_bytes", "tokenizers/split_bytes", "tokenizers/metaspace", "tokenizers/prepend"]
REAL = ["smollm2-49k", "qwen2-151k", "llama3-128k", "llama2-32k-json", "phi3-32k-json"]
GENERATION = ["phi_4", "smollm3"]
PREFIXES = [("smollm2-49k", "smollm2"), ("qwen2-151k", "qwen2.5-own"), ("qwen2-151k", "qwen3-own"), ("llama3-128k", "llama3"),
            ("llama2-32k-json", "mistral_v1"), ("phi3-32k-json", "phi-3-mini-own")]
TOOLS = [{"type": "function", "function": {"name": "weather", "description": "Says the weather.", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}]
CALLS = [{"role": "user", "content": "Rain in Köln?"},
         {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": {"name": "weather", "arguments": {"city": "Köln"}}}]},
         {"role": "tool", "content": "{\"rain\": true}"}, {"role": "assistant", "content": "Yes, take an umbrella ☔"}]
THOUGHT = [{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "4", "reasoning_content": "Two and two."},
           {"role": "user", "content": "And 3+3?"}, {"role": "assistant", "content": "6", "reasoning_content": "Three and three."}]
EXTRA = [turns("Viel Glück 🍀", "Danke, dir auch 🍀🍀", "naïve café", "ﬁne – “quoted” text\n\n  indented", system="Du bist nett.")]


class Day(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2026, 11, 30, 12)


class Env:
    """Compiles as transformers does."""

    def __init__(self, tokens):
        self.tokens = tokens

    def from_string(self, template):
        return templates._compile_jinja_template(template)


def tokenizer_of(folder):
    tokens = {}
    config = os.path.join(folder, "tokenizer_config.json")
    if os.path.exists(config):
        for key, value in json.load(open(config)).items():
            if key in ("bos_token", "eos_token", "unk_token", "pad_token") and value:
                tokens[key] = value if isinstance(value, str) else value["content"]
    return PreTrainedTokenizerFast(tokenizer_file=os.path.join(folder, "tokenizer.json"), **tokens), tokens


def line(name, template, shown, tokenizer, tokens, messages, tools):
    if "generation %}" in template or "generation -%}" in template:
        out = tokenizer.apply_chat_template(messages, tools=tools, chat_template=template, return_assistant_tokens_mask=True, return_dict=True)
        ids, loss = out["input_ids"], out["assistant_masks"]
    else:
        special = [str(t) for t in tokenizer.added_tokens_decoder.values() if t.special]
        text, spans = by_prefixes(Env(tokens), template, special, messages)
        out = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        ids = out["input_ids"]
        loss = [0] * len(ids)
        for s, e in spans:  # a token between two of an answer may have no characters left by trim_offsets
            marked = [i for i, (a, b) in enumerate(out["offset_mapping"]) if a < e and s < b]
            for i in range(marked[0], marked[-1] + 1):
                loss[i] = 1
    print(json.dumps({"tokenizer": name, "template": shown, "messages": messages, "tools": tools, "ids": " ".join(map(str, ids)),
                      "loss": "".join(map(str, loss))}, ensure_ascii=False))


def lines(name, folder, shown, template, conversations):
    tokenizer, tokens = tokenizer_of(folder)
    for messages, tools in conversations:
        try:
            line(name, template, shown, tokenizer, tokens, messages, tools)
        except Exception as error:  # a template that refuses a conversation
            print(f"{name} {shown[:40]}: {error!r}", file=sys.stderr)


def main():
    data = sys.argv[1]
    templates.datetime = Day
    plain = [(c, None) for c in CONVERSATIONS[:3] + EXTRA]
    for name in SMALL:
        for template in ["generation blocks", "strips thoughts"]:
            source = TEMPLATES[template][0].replace("<|end|>", "</s>")
            lines(name, os.path.join(HERE, "../fixtures", name), source, source, [(c, None) for c in CONVERSATIONS + EXTRA])
    for name in REAL:
        for template in GENERATION:
            source = open(f"{data}/chat/{template}/chat_template.jinja").read()
            more = [(CALLS, TOOLS), (THOUGHT, None)] if template == "smollm3" else []
            lines(f"data:tokenizers/{name}", f"{data}/tokenizers/{name}", f"data:chat/{template}", source, plain + more)
    for name, template in PREFIXES:
        source = open(f"{data}/chat/{template}/chat_template.jinja").read()
        more = [(CALLS, None), (THOUGHT, None)] if template.startswith("qwen") else []
        lines(f"data:tokenizers/{name}", f"{data}/tokenizers/{name}", f"data:chat/{template}", source, plain + more)


main()
