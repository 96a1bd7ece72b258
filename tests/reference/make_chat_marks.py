"""What carries loss in rendered conversations, for tests/chat, by rendering prefixes and by transformers.

    pip install jinja2 transformers tokenizers
    python tests/reference/make_chat_marks.py > tests/fixtures/chat/marks.jsonl

A line has `name`, `template`, `special` (tokens), `messages`, and `text` with `loss`, a list of [begin, end) in bytes.
Templates with generation blocks: `loss` is what apply_chat_template(return_assistant_tokens_mask=True) marks with a
tokenizer of one token a character. Others: the text of each answer, found here without the trainer's code.
"""
import json
import os
import re

from jinja2.sandbox import ImmutableSandboxedEnvironment

TEMPLATES = {
    "marker": ("{% for m in messages %}{{ '<|' + m.role + '|>' + m.content + '<|end|>\\n' }}{% endfor %}"
               "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}", ["<|end|>"]),
    "marker, no special tokens": ("{% for m in messages %}{{ '[' + m.role + ']' + m.content + '[/]\\n' }}{% endfor %}"
                                  "{% if add_generation_prompt %}{{ '[assistant]' }}{% endif %}", []),
    "eos at the very end too": ("{% for m in messages %}{{ '<|' + m.role + '|>\\n' + m.content | trim + '<|end|>\\n' }}{% endfor %}"
                                "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% else %}{{ eos_token }}{% endif %}", ["<|end|>", "</s>"]),
    "instruct": ("{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}{{ '[INST] ' + m.content + ' [/INST]' }}"
                 "{% elif m.role == 'assistant' %}{{ ' ' + m.content + eos_token }}{% endif %}{% endfor %}", ["<s>", "</s>"]),
    "strips thoughts": ("{% for m in messages %}{% set c = m.content %}{% if not loop.last and m.role == 'assistant' %}"
                        "{% set c = c.split('</think>')[-1] %}{% endif %}{{ '<|' + m.role + '|>' + c + '<|end|>' }}{% endfor %}"
                        "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}", ["<|end|>"]),
    "eos after the last answer only": ("{% for m in messages %}{{ m.role + ': ' + m.content }}{% if loop.last and not add_generation_prompt %}{{ eos_token }}"
                                       "{% else %}{{ '\\n' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}", ["</s>"]),
    "generation blocks": ("{% for m in messages %}<|{{ m.role }}|>{% if m.role == 'assistant' %}{% generation %}{{ m.content }}<|end|>{% endgeneration %}"
                          "{% else %}{{ m.content }}<|end|>{% endif %}{{ '\\n' }}{% endfor %}", ["<|end|>"]),
}


def turns(*contents, system=None):
    roles = ["user", "assistant"]
    head = [{"role": "system", "content": system}] if system is not None else []
    return head + [{"role": roles[i % 2], "content": c} for i, c in enumerate(contents)]


CONVERSATIONS = [
    turns("Hi", "Hello."), turns("a", "b", "c", "d", "e", "f"), turns("Wie geht's?", "Gut – danke 🌍!", "Schön", "Ja", system="Sei nett."),
    turns("x", ""), turns("q", "<think>hm</think>one", "r", "<think>ha</think>two"), turns("q", " padded \n", "r", "tail\n"),
    turns("open", "answer", "last question"), turns("say <|end|>", "I say <|end|> too", "again", "ok"), turns("A", "A", "B", "B"),
    [{"role": "assistant", "content": "first"}, {"role": "user", "content": "then"}, {"role": "assistant", "content": "done"}],
]


def render(env, template, messages, open_form):
    return env.from_string(template).render(messages=messages, tools=None, documents=None, add_generation_prompt=open_form, **env.tokens)


def first_special(text, special):
    found = [text.index(s) + len(s) for s in special if s in text]
    starts = {text.index(s) + len(s): text.index(s) for s in special if s in text}
    return min(found, key=lambda end: starts[end]) if found else None


def by_prefixes(env, template, special, messages):
    full = render(env, template, messages, False)
    spans = []
    for i, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        start = render(env, template, messages[:i], True)
        closed = render(env, template, messages[: i + 1], False)
        if not (closed.startswith(start) and full.startswith(start)):
            continue
        # What follows any content: taken off two renderings that differ in the content only.
        pair = [render(env, template, messages[:i] + [{"role": "assistant", "content": c}], False) for c in "AB"]
        closing = os.path.commonprefix([p[::-1] for p in pair])[::-1]
        while not closed.endswith(closing):
            closing = closing[1:]
        closing = closing[max(0, len(closing) - (len(closed) - len(start))):]
        content_end = len(closed) - len(closing)
        if not full.startswith(closed[:content_end]):
            continue
        cut = first_special(closing, special)
        end = content_end + (cut if cut is not None else len(closing.rstrip()))
        if not full.startswith(closed[:end]):
            end = content_end
        if end > len(start):
            spans.append((len(start), end))
    return full, spans


def by_transformers(template, messages):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    characters = sorted(set(template + "".join(m["role"] + m["content"] for m in messages) + "<s>/"))
    inner = Tokenizer(models.WordLevel({c: i for i, c in enumerate(characters)}, unk_token="s"))
    from tokenizers import Regex
    inner.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner)
    tokenizer.chat_template = template
    out = tokenizer.apply_chat_template(messages, return_assistant_tokens_mask=True, return_dict=True)
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    mask = out["assistant_masks"]
    assert len(mask) == len(text)
    return text, [m.span() for m in re.finditer("1+", "".join(map(str, mask)))]


def main():
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    env.tokens = {"bos_token": "<s>", "eos_token": "</s>"}
    for name, (template, special) in TEMPLATES.items():
        for messages in CONVERSATIONS:
            text, spans = by_transformers(template, messages) if "generation %}" in template else by_prefixes(env, template, special, messages)
            loss = [[len(text[:a].encode()), len(text[:b].encode())] for a, b in spans]
            print(json.dumps({"name": name, "template": template, "special": special, "messages": messages, "text": text, "loss": loss}, ensure_ascii=False))


if __name__ == "__main__":
    main()
