"""Tokenizers and chat templates in the styles of published models, at toy size."""

from __future__ import annotations

import json
from typing import Any

import tokenizers
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers, trainers

from triptych.data.tokenizers.imported import ImportedTokenizer

TEXTS = [
    "hello there, how are you?",
    "fine, and you?\n",
    "你好嗎 user assistant system",
    "[INST] <tool>",
]

CHATML = """\
{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}{{- messages[0].content + '\\n\\n' }}{%- endif %}
    {{- "# Tools\\n<tools>" }}
    {%- for tool in tools %}
        {{- "\\n" }}{{- tool | tojson }}
    {%- endfor %}
    {{- "\\n</tools><|im_end|>\\n" }}
{%- elif messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == 'user' or (message.role == 'system' and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == 'assistant' %}
        {{- '<|im_start|>' + message.role }}
        {%- if message.content %}{{- '\\n' + message.content }}{%- endif %}
        {%- for call in message.tool_calls or [] %}
            {%- if call.function %}{%- set call = call.function %}{%- endif %}
            {{- '\\n<tool_call>\\n{"name": "' + call.name + '", "arguments": ' }}
            {{- call.arguments | tojson }}{{- '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == 'tool' %}
        {{- '<|im_start|>user\\n<tool_response>\\n' + message.content + '\\n</tool_response>' }}
        {{- '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}
"""
LLAMA3 = """\
{{- bos_token }}
{%- set date = "26 Jul 2024" %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system = messages[0]['content'] | trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{{- "Today Date: " + date + "\\n\\n" }}
{{- system }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {%- if message.role == 'tool' %}
        {{- "<|start_header_id|>ipython<|end_header_id|>\\n\\n" }}
        {{- message.content | tojson }}{{- "<|eot_id|>" }}
    {%- else %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' }}
        {{- message['content'] | trim + '<|eot_id|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""
MISTRAL = """\
{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('After the system message, roles must alternate') }}
    {%- endif %}
    {%- if message["role"] == "user" %}
        {%- if loop.first and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- else %}
        {{- " " + message["content"] + eos_token }}
    {%- endif %}
{%- endfor %}
"""
GEMMA = """\
{{ bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {%- set first_user_prefix = messages[0]['content'] + '\\n\\n' -%}
    {%- set loop_messages = messages[1:] -%}
{%- else -%}
    {%- set first_user_prefix = "" -%}
    {%- set loop_messages = messages -%}
{%- endif -%}
{%- for message in loop_messages -%}
    {%- if (message['role'] == 'assistant') -%}
        {%- set role = "model" -%}
    {%- else -%}
        {%- set role = message['role'] -%}
    {%- endif -%}
    {{ '<start_of_turn>' + role + '\\n' + (first_user_prefix if loop.first else "") }}
    {{- message['content'] | trim }}{{ '<end_of_turn>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{'<start_of_turn>model\\n'}}
{%- endif -%}
"""
# name -> (template, kind of tokenizer, special tokens, tokens added without being special,
# begin, ends)
STYLES: dict[str, tuple[str, str, list[str], list[str], str, list[str]]] = {
    "chatml": (
        CHATML,
        "bytes",
        ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        ["<tool_call>", "</tool_call>"],
        "<|endoftext|>",
        ["<|im_end|>", "<|endoftext|>"],
    ),
    "llama3": (
        LLAMA3,
        "bytes",
        ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
        [],
        "<|begin_of_text|>",
        ["<|eot_id|>"],
    ),
    "mistral": (MISTRAL, "metaspace", ["<s>", "</s>", "[INST]", "[/INST]"], [], "<s>", ["</s>"]),
    "mistral-prepend": (MISTRAL, "prepend", ["<s>", "</s>"], [], "<s>", ["</s>"]),
    "gemma": (
        GEMMA,
        "gemma",
        ["<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"],
        [],
        "<bos>",
        ["<eos>", "<end_of_turn>"],
    ),
}


def backend_of(kind: str, special: list[str], added: list[str]) -> tokenizers.Tokenizer:
    """Train a tokenizer as that of GPT-2 (bytes) or of Llama, in three forms of its file."""
    if kind == "bytes":
        found = tokenizers.Tokenizer(models.BPE())
        found.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # type: ignore[assignment]
        found.decoder = decoders.ByteLevel()  # type: ignore[assignment]
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(
            vocab_size=400, initial_alphabet=alphabet, show_progress=False
        )
    else:
        found = tokenizers.Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
        bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
        steps = [normalizers.Replace(" ", "▁")]
        if kind == "prepend":
            steps = [normalizers.Prepend("▁"), *steps]
        if kind == "metaspace":
            found.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)  # type: ignore[assignment]
        else:
            found.normalizer = normalizers.Sequence(steps)  # type: ignore[assignment]
        found.decoder = decoders.Sequence(  # type: ignore[assignment]
            [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
        )
        held = ["<unk>", *(special if kind != "gemma" else []), *bytes_]
        trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=held, show_progress=False)
    cutter = found.pre_tokenizer
    if kind != "bytes":  # pieces never cross a space, as in SentencePiece
        found.pre_tokenizer = pre_tokenizers.Metaspace()  # type: ignore[assignment]
    found.train_from_iterator(TEXTS * 4, trainer)
    found.pre_tokenizer = cutter  # type: ignore[assignment]
    if kind != "bytes":  # bytes are ordinary pieces
        values = json.loads(found.to_str())
        values["added_tokens"] = [
            one for one in values["added_tokens"] if not one["content"].startswith("<0x")
        ]
        found = tokenizers.Tokenizer.from_str(json.dumps(values))
    found.add_special_tokens(
        [AddedToken(one, normalized=False, rstrip=one == "[/INST]") for one in special]
    )
    found.add_tokens([AddedToken(one, normalized=False) for one in added])
    return found


def tokenizer_of(style: str) -> tuple[ImportedTokenizer, tokenizers.Tokenizer]:
    _, kind, special, added, begin, ends = STYLES[style]
    backend = backend_of(kind, special, added)
    numbers = [backend.token_to_id(one) for one in ends]
    text = backend.to_str()
    return ImportedTokenizer.take_writer(text, style, begin, numbers), backend


def labels_of(style: str) -> dict[str, Any]:
    template, *_, begin, ends = STYLES[style]
    return {
        "template": {"jinja": template, "bos_token": begin, "eos_token": ends[0]},
        "tags": [],
        "roles": ["assistant", "system", "user"],
    }
