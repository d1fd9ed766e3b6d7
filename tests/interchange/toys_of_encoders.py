"""The encoders among the published families, by class, each with what makes it differ."""

from __future__ import annotations

from functools import partial
from typing import Any

from published_folders import Toy, byte_level, pieces, word_piece

BERT = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 48,
}
ROBERTA = {**BERT, "type_vocab_size": 1, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
ROUND = {"single": "<s> $A </s>", "pair": "<s> $A </s> </s> $B </s>"}
MARKS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
of_roberta = partial(byte_level, MARKS, **ROUND)
of_xlm = partial(pieces, MARKS, **ROUND)
OF_ROBERTA = {"mask_token": "<mask>", "cls_token": "<s>", "sep_token": "</s>"}
LABELS = {"id2label": {0: "one", 1: "two", 2: "three"}}


def family(
    name: str, values: dict[str, Any], tokenizer: Any, settings: dict[str, Any]
) -> dict[str, Toy]:
    """Return the toys of a family's classes with a head, and of its base."""
    heads = {
        "MaskedLM": {},
        "SequenceClassification": LABELS,
        "TokenClassification": LABELS,
        "QuestionAnswering": {},
    }
    found = {
        f"{name}For{head}": Toy(
            f"{name}For{head}", {**values, **more}, tokenizer, "", 0.3, settings
        )
        for head, more in heads.items()
    }
    return {**found, f"{name}Model": Toy(f"{name}Model", values, tokenizer, "", 0.3, settings)}


TOYS: dict[str, Toy] = {
    **family("Bert", BERT, word_piece, {"mask_token": "[MASK]"}),
    **family("Roberta", ROBERTA, of_roberta, OF_ROBERTA),
    **family("XLMRoberta", ROBERTA, of_xlm, OF_ROBERTA),
    "Camembert": Toy("CamembertForMaskedLM", ROBERTA, of_xlm, "", 0.3, OF_ROBERTA),
}
