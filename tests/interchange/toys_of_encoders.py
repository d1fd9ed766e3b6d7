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
    "max_position_embeddings": 72,
}
ROBERTA = {**BERT, "type_vocab_size": 1, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
ROUND = {"single": "<s> $A </s>", "pair": "<s> $A </s> </s> $B </s>"}
MARKS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
of_roberta = partial(byte_level, MARKS, **ROUND)
of_xlm = partial(pieces, MARKS, **ROUND)
OF_BERT = {"mask_token": "[MASK]"}
OF_ROBERTA = {"mask_token": "<mask>", "cls_token": "<s>", "sep_token": "</s>"}
LABELS = {"id2label": {0: "one", 1: "two", 2: "three"}}
# blocks of two tokens, of which up to 14 tokens see everything; 3 is [SEP]
BIGBIRD = {**BERT, "block_size": 2, "num_random_blocks": 1, "pad_token_id": 0, "sep_token_id": 3}
MPNET = {**BERT, "pad_token_id": 1, "layer_norm_eps": 1e-6}
DEBERTA = {
    **BERT,
    "relative_attention": True,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": "p2c|c2p",
    "position_biased_input": False,
    "position_buckets": 8,
    "max_relative_positions": 14,
}
LONGFORMER = {**ROBERTA, "attention_window": [4, 8], "sep_token_id": 2}
MODERN = {
    **{key: value for key, value in BERT.items() if key != "num_hidden_layers"},
    "num_hidden_layers": 4,
    "local_attention": 6,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "cls_token_id": 0,
    "eos_token_id": 2,
    "sep_token_id": 2,
}
ELECTRA = {**BERT, "embedding_size": 20}
ALBERT = {**BERT, "num_hidden_layers": 3, "embedding_size": 20}


def family(
    name: str,
    values: dict[str, Any],
    tokenizer: Any,
    settings: dict[str, Any],
    unread: tuple[str, ...] = (),
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
            f"{name}For{head}", {**values, **more}, tokenizer, "", 0.3, settings, unread
        )
        for head, more in heads.items()
    }
    return {**found, f"{name}Model": Toy(f"{name}Model", values, tokenizer, "", 0.3, settings)}


TOYS: dict[str, Toy] = {
    **family("Bert", BERT, word_piece, OF_BERT),
    "Bert, another activation": Toy(
        "BertForMaskedLM", {**BERT, "hidden_act": "gelu_new"}, word_piece
    ),
    **family("Roberta", ROBERTA, of_roberta, OF_ROBERTA),
    **family("XLMRoberta", ROBERTA, of_xlm, OF_ROBERTA),
    "Camembert": Toy("CamembertForMaskedLM", ROBERTA, of_xlm, "", 0.3, OF_ROBERTA),
    **family("BigBird", BIGBIRD, word_piece, OF_BERT, ("pooler.weight", "pooler.bias")),
    **family("ModernBert", MODERN, of_roberta, OF_ROBERTA),
    "ModernBert, mean": Toy(
        "ModernBertForSequenceClassification",
        {
            **MODERN,
            **LABELS,
            "classifier_pooling": "mean",
            "hidden_activation": "relu",
            "classifier_activation": "relu",
            "layer_types": ["sliding_attention"] * 4,
        },
        of_roberta,
    ),
    **family("Electra", ELECTRA, word_piece, OF_BERT),
    "Electra, base": Toy("ElectraForMaskedLM", {**BERT, "embedding_size": 32}, word_piece),
    **family("Albert", ALBERT, word_piece, OF_BERT),
    "Albert, as wide": Toy("AlbertModel", {**BERT, "embedding_size": 32}, word_piece),
    **family("MPNet", MPNET, of_roberta, OF_ROBERTA),
    **family("DebertaV2", DEBERTA, word_piece, OF_BERT),
    "DebertaV2, newer": Toy(
        "DebertaV2ForMaskedLM", {**DEBERTA, "legacy": False, "hidden_act": "silu"}, word_piece
    ),
    "DebertaV2, older": Toy(
        "DebertaV2Model",
        {**DEBERTA, "position_biased_input": True, "position_buckets": -1, "type_vocab_size": 2},
        word_piece,
    ),
    **family("Longformer", LONGFORMER, of_roberta, OF_ROBERTA),
    "Longformer, one window": Toy("LongformerModel", {**LONGFORMER, "attention_window": 4}, of_xlm),
    "BigBird, full": Toy(
        "BigBirdModel",
        {
            **BIGBIRD,
            "attention_type": "original_full",
            "use_bias": False,
            "rescale_embeddings": True,
            "hidden_act": "relu",
        },
        word_piece,
    ),
}
