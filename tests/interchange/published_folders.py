"""Folders of published families at toy size, with shaken weights and a tokenizer each.

`Toy` describes one; `write` makes it with the library transformers, the oracle.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import tokenizers
import torch
from tokenizers import models, normalizers, pre_tokenizers, processors, trainers
from torch import Tensor

VOCABULARY = 300
TEXTS = ["the cat sat on the mat", "the", "a mat", "on the other cat and the mat the cat sat"]
CORPUS = ["the cat sat on the mat and the other cat", "Ünïcode 貓 坐 and 😀"] * 4


class Toy(NamedTuple):
    """Describe a folder.

    Args:
        model: Their class.
        values: Its configuration, without the vocabulary's size.
        tokenizer: Builds its tokenizer.
        config: Their class of the configuration, if it is not named by the model's.
        scale: Standard deviation of all weights.
        settings: Content of tokenizer_config.json.
        unread: Endings of the names of tensors that their class holds and does not use.
    """

    model: str
    values: Mapping[str, Any]
    tokenizer: Callable[[], tokenizers.Tokenizer]
    config: str = ""
    scale: float = 0.3
    settings: Mapping[str, Any] = {}
    unread: tuple[str, ...] = ()


def cases(names: Iterable[str], slow: Collection[str]) -> list[Any]:
    """Return the names as parameters of a test; those of `slow` are left to `make test-slow`."""
    names = list(names)
    assert not (unknown := set(slow) - set(names)), unknown
    return [pytest.param(name, marks=pytest.mark.slow) if name in slow else name for name in names]


def library() -> Any:
    return pytest.importorskip(
        "transformers", reason="transformers, the oracle of imports, is not installed"
    )


def write(toy: Toy, path: Path) -> Any:
    """Write a toy's folder and return their model, whose parameters are all random."""
    transformers = library()
    torch.manual_seed(3)
    ends = ("ForCausalLM", "ForConditionalGeneration", "ForMaskedLM", "MTModel", "LMHeadModel",
            "ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering",
            "ForPreTraining", "Model")  # fmt: skip
    name = toy.config or next(
        toy.model.removesuffix(end) + "Config" for end in ends if toy.model.endswith(end)
    )
    config = getattr(transformers, name)(**{"vocab_size": VOCABULARY, **toy.values})
    config._attn_implementation = "eager"
    model = getattr(transformers, toy.model)(config).eval()
    shake(model, toy.scale)
    model.save_pretrained(path)
    toy.tokenizer().save(str(path / "tokenizer.json"))
    (path / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", **toy.settings})
    )
    return model


@torch.no_grad()
def shake(model: Any, scale: float) -> None:
    """Give every parameter random values, norms and biases too."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=scale)


def ids(count: int, seed: int = 3) -> Tensor:
    """Return token ids (count,) that no model takes for padding or another special token."""
    return torch.randint(
        10, VOCABULARY - 10, (count,), generator=torch.Generator().manual_seed(seed)
    )


# Tokenizers ---------------------------------------------------------------------------------------


def trained(model: Any, trainer: Any, before: Any, decoder: Any, size: int = VOCABULARY) -> Any:
    found = tokenizers.Tokenizer(model)
    found.pre_tokenizer, found.decoder = before, decoder
    found.train_from_iterator(CORPUS, trainer)
    while found.get_vocab_size() < size:
        found.add_tokens([f"spare{found.get_vocab_size()}"])
    return found


def byte_level(
    specials: tuple[str, ...] = ("<s>", "<pad>", "</s>", "<unk>", "<mask>"),
    single: str = "",
    pair: str = "",
) -> tokenizers.Tokenizer:
    """Build a tokenizer of bytes like RoBERTa's or GPT-2's; `single` is what it puts around."""
    from tokenizers import decoders

    found = trained(
        models.BPE(),
        trainers.BpeTrainer(
            vocab_size=VOCABULARY,
            special_tokens=list(specials),
            show_progress=False,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
        pre_tokenizers.ByteLevel(add_prefix_space=False),
        decoders.ByteLevel(),
    )
    return around(found, single, pair)


def word_piece(single: str = "[CLS] $A [SEP]") -> tokenizers.Tokenizer:
    """Build a tokenizer like BERT's."""
    from tokenizers import decoders

    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    found = trained(
        models.WordPiece(unk_token="[UNK]"),
        trainers.WordPieceTrainer(vocab_size=VOCABULARY, special_tokens=names, show_progress=False),
        pre_tokenizers.BertPreTokenizer(),
        decoders.WordPiece(),
    )
    found.normalizer = normalizers.BertNormalizer()
    return around(found, single, single.replace("$A", "$A [SEP] $B:1") + ":1")


def pieces(
    specials: tuple[str, ...] = ("<pad>", "</s>", "<unk>"), single: str = "", pair: str = ""
) -> tokenizers.Tokenizer:
    """Build a unigram tokenizer like T5's or XLM-R's."""
    from tokenizers import decoders

    found = trained(
        models.Unigram(),
        trainers.UnigramTrainer(
            vocab_size=100, special_tokens=list(specials), show_progress=False, unk_token="<unk>"
        ),
        pre_tokenizers.Metaspace(),
        decoders.Metaspace(),
    )
    return around(found, single, pair)


def around(found: Any, single: str, pair: str = "") -> Any:
    """Let a tokenizer put special tokens around a text."""
    if single:
        named = {part for part in f"{single} {pair}".split() if part[0] != "$"}
        named = {part.split(":")[0] for part in named}
        found.post_processor = processors.TemplateProcessing(
            single=single,
            pair=pair or f"{single} {single.replace('$A', '$B')}",
            special_tokens=[(one, found.token_to_id(one)) for one in sorted(named)],
        )
    return found
