"""Write a run's tokenizer for AutoTokenizer, so that a text has the ids there that it has here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

from ..data.segmentation.words import expression
from ..data.templates.published import TEXT
from ..data.tokenizers.imported import ImportedTokenizer
from ..data.tokenizers.subwords import Tokenizer
from ..data.tokenizers.tokenizer_file import Step, TokenizerJson
from ..model.config import ModelConfig
from ..tasks.spans import EAST
from ..tasks.specs import SPECS
from . import chat_template, published_chat
from .classes import ExportClass, Form


class Written(TypedDict):
    """Hold the content of tokenizer.json and of tokenizer_config.json, and notes on them."""

    tokenizer: TokenizerJson
    config: dict[str, object]
    notes: list[str]


def tokenizer_files(
    tokenizer: Tokenizer, form: Form, labels: Mapping[str, object], chosen: ExportClass
) -> Written:
    """Return what the folder says about the tokenizer of a run that was trained here."""
    assert isinstance(form.model, ModelConfig), "only a Transformer is written"
    stacks = form.model.architecture
    values = tokenizer.to_huggingface(begin=stacks != "encoder-decoder", end=stacks != "decoder")
    notes: list[str] = []
    if not isinstance(tokenizer, ImportedTokenizer):
        values = with_steps(values, form, labels)
        special = tokenizer.special_tokens
        notes.append(
            f"The library reads {' or '.join(special.values())} in a text as the special token; "
            "in triptych it is plain text."
        )
        if SPECS[form.task].head == "tagger":
            notes.insert(0, _how_to_tag(labels))
    config = _tokenizer_config(tokenizer, chosen, form.model)
    forms = labels.get("template")
    if isinstance(forms, dict) and TEXT in forms:
        config |= published_chat.exported(forms)
    elif isinstance(forms, dict):
        config["chat_template"] = chat_template.jinja(forms, tokenizer)
        if chat_template.differs(forms, tokenizer, values):
            notes.insert(
                0,
                "Its apply_chat_template cuts words at the borders of turns into other tokens "
                "than triptych, because the template's marks are ordinary text.",
            )
    return {"tokenizer": values, "config": config, "notes": notes}


def _how_to_tag(labels: Mapping[str, object]) -> str:
    given = (
        "words: tokenizer(words, is_split_into_words=True)"
        if labels.get("spaces") == "always"
        else "a text"
    )
    whole = "" if labels.get("scheme") == "plain" else "; triptych also keeps spans whole"
    return f"Give its tokenizer {given}. A word's tag is the likeliest of its first token{whole}."


def with_steps(values: TokenizerJson, form: Form, labels: Mapping[str, object]) -> TokenizerJson:
    """Cut a text as the task does before subwords: its first word has a space, words are apart."""
    if SPECS[form.task].head == "tagger":
        values = {**values, "normalizer": {"type": "Prepend", "prepend": " "}}
        words = labels.get("words")
        rule = words.get("rules") if isinstance(words, dict) else None
        pattern = expression(str(rule)) if labels.get("spaces") == "text" else None
        return values if pattern is None else _cut_first(values, f" ?(?:{pattern})")
    return _cut_first(values, EAST.pattern) if form.options.get("characters") else values


def _cut_first(values: TokenizerJson, pattern: str) -> TokenizerJson:
    """Put a step before the pre-tokenizer that isolates what the pattern finds."""
    first: Step = {
        "type": "Split",
        "pattern": {"Regex": pattern},
        "behavior": "Isolated",
        "invert": False,
    }
    after = values.get("pre_tokenizer")
    assert after is not None, "a tokenizer of this package always has a pre-tokenizer"
    return {**values, "pre_tokenizer": {"type": "Sequence", "pretokenizers": [first, after]}}


def _tokenizer_config(
    tokenizer: Tokenizer, chosen: ExportClass, model: ModelConfig
) -> dict[str, object]:
    """Return enough for AutoTokenizer; padding uses the end token, which a mask hides."""
    begin, end = tokenizer.pieces([tokenizer.begin_id, tokenizer.end_id])
    marks = tokenizer.pieces(list(tokenizer.tags.values()))
    values: dict[str, object] = {"tokenizer_class": "PreTrainedTokenizerFast"}
    if marks:
        values["additional_special_tokens"] = marks
    if model.encoder is None:
        values |= {"bos_token": begin, "eos_token": end}
    elif model.decoder is not None:
        values |= {"bos_token": begin, "eos_token": end, "pad_token": end}
        values["model_input_names"] = ["input_ids", "attention_mask"]
    else:
        imported = isinstance(tokenizer, ImportedTokenizer)
        values |= {"cls_token": begin, "sep_token": end}
        values["pad_token"] = "[PAD]" if imported and tokenizer.holds("[PAD]") else end
        values["model_max_length"] = model.encoder.usable_positions
        values["model_input_names"] = [
            "input_ids",
            "attention_mask",
            *(["token_type_ids"] if chosen.family.has_segments else []),
        ]
        if imported and tokenizer.holds("[UNK]"):
            values["unk_token"] = "[UNK]"
    if tokenizer.mask_id is not None:
        values["mask_token"] = tokenizer.pieces([tokenizer.mask_id])[0]
    return {**values, "clean_up_tokenization_spaces": False}
