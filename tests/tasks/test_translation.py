"""Translation, slot by slot, and once through a small model with real words."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from triptych.data.batches.encoded import Encoded, collate
from triptych.data.example import FIELDS, Example
from triptych.data.tokenizers.sides import Tokenizers
from triptych.data.tokenizers.subwords import Tokenizer
from triptych.decoding.requests import DecodedText
from triptych.decoding.settings import DecodingSettings
from triptych.decoding.writing import decode
from triptych.errors import DataError, RunError, UsageError
from triptych.model.build import build
from triptych.model.config import ModelConfig, StackConfig
from triptych.tasks.specs import SPECS
from triptych.tasks.task import Prediction, Task

PAIRS = [
    ("A man rides.", "Ein Mann reitet."),
    ("A dog runs.", "Ein Hund rennt."),
    ("Two dogs play.", "Zwei Hunde spielen."),
    ("A woman sings.", "Eine Frau singt."),
    ("It snows.", "Es schneit."),
    ("Children laugh.", "Kinder lachen."),
]


def examples(*languages: str | None) -> list[Example]:
    return [
        Example(
            source=source,
            target=target,
            source_language="en",
            target_language=language,
            place=f"toy.en:{number}",
        )
        for language in languages or ("de",)
        for number, (source, target) in enumerate(PAIRS, 1)
    ]


def task(**options: Any) -> Task:
    return SPECS["translation"].build(options)


def tokenizers(*tags: str) -> Tokenizers:
    one = Tokenizer.train([text for pair in PAIRS for text in pair], "bpe", 330, tags)
    return Tokenizers(one, one)


def test_the_slots_are_there() -> None:
    built = task(label_smoothing=0)
    for slot in ("prepare", "encode", "head", "loss", "request", "read", "score"):
        assert callable(getattr(built, slot))
    assert set(built.needs) <= set(FIELDS) and [
        name for name in built.needs if FIELDS[name].role == "input"
    ] == ["source"]
    assert json.loads(json.dumps(dict(built.options))) == {
        "label_smoothing": 0, "r_drop": 0.0, "default_target": None, "tokenized_bleu": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"label_smooting": 0.1},
            "Unknown recipe key 'task.label_smooting'.*Did you mean 'task.label_smoothing'",
        ),
        ({"label_smoothing": 1.0}, r"task\.label_smoothing is 1\.0"),
        ({"label_smoothing": "a"}, r"task\.label_smoothing is 'a'"),
        ({"r_drop": -1}, r"task\.r_drop is -1"),
        ({"tokenized_bleu": 1}, r"task\.tokenized_bleu is 1"),
        ({"default_target": 3}, r"task\.default_target is 3"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        task(**options)


def test_labels_hold_the_languages_and_tags_where_they_are_needed() -> None:
    assert task().prepare(examples("de")) == {
        "languages": {"source": ["en"], "targets": ["de"]},
        "tags": [],
    }
    several = task().prepare(examples("fr", "de"))
    assert several == {
        "languages": {"source": ["en"], "targets": ["de", "fr"]},
        "tags": ["de", "fr"],
    }
    assert task().prepare(examples(None)) == {
        "languages": {"source": ["en"], "targets": []},
        "tags": [],
    }
    with pytest.raises(DataError, match="nothing to train on"):
        task().prepare([])
    with pytest.raises(UsageError, match=r"'nl' in task\.default_target.*Allowed: de, fr"):
        task(default_target="nl").prepare(examples("de", "fr"))
    with pytest.raises(UsageError, match="'zh' for bleu_tokenized_lowercased"):
        task(tokenized_bleu=True).prepare(examples("de", "zh"))


def test_one_language_has_no_tag() -> None:
    both, built = tokenizers(), task()
    one = built.encode(examples()[0], both, built.prepare(examples()), "train", None)[0]
    assert one.inputs["source"].tolist() == [
        *both.source.encode("A man rides."),
        both.source.end_id,
    ]
    pieces = both.target.encode("Ein Mann reitet.")
    assert one.inputs["target"].tolist() == [both.target.begin_id, *pieces]
    assert one.targets["tokens"].tolist() == [*pieces, both.target.end_id]
    assert {array.dtype for array in (*one.inputs.values(), *one.targets.values())} == {
        np.dtype(np.int64)
    }


def test_several_languages_have_a_tag_first() -> None:
    both, built = tokenizers("de", "fr"), task()
    labels = built.prepare(examples("de", "fr"))
    for language in ("de", "fr"):
        one = built.encode(
            Example(source="It snows.", target_language=language), both, labels, "use", None
        )[0]
        assert (
            one.inputs["source"][0] == both.source.tags[language]
            and set(one.inputs) == {"source"}
            and not one.targets
        )
    with pytest.raises(UsageError, match="choose one with --to: de, fr"):
        built.encode(Example(source="It snows."), both, labels, "use", None)
    with pytest.raises(RunError, match="no tag for 'de'"):
        built.encode(
            Example(source="It snows.", target_language="de"), tokenizers(), labels, "use", None
        )
    default = task(default_target="fr").encode(
        Example(source="It snows."), both, labels, "use", None
    )[0]
    assert default.inputs["source"][0] == both.source.tags["fr"]


def test_an_unknown_language_is_refused_with_the_known_ones() -> None:
    built = task()
    for languages in (("de",), ("de", "fr")):
        labels = built.prepare(examples(*languages))
        with pytest.raises(
            UsageError,
            match=rf"Unknown target language 'nl' \(text 1\).*Allowed: {', '.join(languages)}\.",
        ):
            built.encode(
                Example(source="a", target_language="nl", place="text 1"),
                tokenizers(*languages),
                labels,
                "use",
                None,
            )


def test_a_text_that_is_not_there_is_named_by_its_place() -> None:
    built, both = task(), tokenizers()
    labels = built.prepare(examples())
    with pytest.raises(DataError, match=r"x\.en:3 has no source"):
        built.encode(Example(target="a", place="x.en:3"), both, labels, "train", None)
    with pytest.raises(DataError, match=r"x\.en:3 has no target"):
        built.encode(Example(source="a", place="x.en:3"), both, labels, "train", None)
    with pytest.raises(DataError, match=r"x\.en:3 has no reference"):
        built.score([Prediction("a")], [Example(source="a", place="x.en:3")], {})


def test_loss_is_smoothed_and_reports_plain_nats() -> None:
    torch.manual_seed(1)
    states, weight, bias = (
        torch.randn(5, 8, requires_grad=True),
        torch.randn(11, 8),
        torch.randn(11),
    )
    batch: Any = SimpleNamespace(
        targets={"tokens": torch.tensor([1, 4, 0, 10, 3])}, counts={"tokens": 5}, passes=1
    )
    output = SimpleNamespace(states=states, weight=weight, bias=bias, softcap=None)
    found = task(label_smoothing=0.2).loss(output, batch)
    logits, tokens = states @ weight.T + bias, batch.targets["tokens"]
    smoothed = torch.nn.functional.cross_entropy(
        logits, tokens, label_smoothing=0.2, reduction="sum"
    )
    plain = torch.nn.functional.cross_entropy(logits, tokens, reduction="sum")
    assert torch.allclose(found["loss"][0], smoothed, atol=1e-4) and found["loss"][1:] == (5, 1.0)
    assert torch.allclose(found["nll"][0], plain, atol=1e-4) and found["nll"][1:] == (5, 0.0)
    assert found["loss"][0].requires_grad and not found["nll"][0].requires_grad


def test_r_drop_asks_for_two_passes_and_compares_them() -> None:
    asking = task(r_drop=5.0)
    assert asking.passes == 2 and task().passes == 1
    one = Encoded(
        {"source": np.array([4, 5]), "target": np.array([0, 7])}, {"tokens": np.array([7, 1])}
    )
    two = Encoded({"source": np.array([6]), "target": np.array([0])}, {"tokens": np.array([1])})
    batch = collate([one, two], asking.passes)
    assert batch.inputs["source"].tolist() == [4, 5, 6, 4, 5, 6] and batch.targets[
        "tokens"
    ].tolist() == [7, 1, 1, 7, 1, 1]
    assert (
        batch.counts == {"tokens": 6, "states": 6, "input_tokens": 12, "examples": 4}
        and batch.passes == 2
    )
    torch.manual_seed(1)
    states, weight = torch.randn(3, 8), torch.randn(11, 8)
    apart = asking.loss(
        SimpleNamespace(
            states=torch.cat((states, states + 1)), weight=weight, bias=None, softcap=None
        ),
        batch,
    )
    same = asking.loss(
        SimpleNamespace(states=states.repeat(2, 1), weight=weight, bias=None, softcap=None), batch
    )
    plain = task().loss(
        SimpleNamespace(states=states, weight=weight, bias=None, softcap=None), collate([one, two])
    )
    assert apart["disagreement"][0] > 0.1 and abs(float(same["disagreement"][0])) < 1e-5
    assert (
        torch.allclose(same["loss"][0], 2 * plain["loss"][0], rtol=1e-5)
        and same["loss"][1] == 6
        and same["disagreement"][2] == 0
    )


def test_read_takes_the_best_and_keeps_the_others() -> None:
    both = tokenizers()
    ids = [both.target.encode(text) for text in ("Es schneit.", "Kinder")]
    raw = [
        [
            DecodedText("Es schneit.", ids[0], -1.0, -0.5, [-1.0], True),
            DecodedText("Kinder", ids[1], -1.8, -0.9, [-1.8], False),
        ]
    ]
    found = task().read(raw, examples()[0], both)
    assert (found.text, found.score, found.log_probability, found.cut) == (
        "Es schneit.",
        -0.5,
        -1.0,
        False,
    )
    assert found.tokens == ids[0] and found.truncated_input_tokens == 0
    assert [(one.text, one.cut) for one in found.alternatives] == [("Kinder", True)]
    assert json.loads(json.dumps(found.to_json()))["alternatives"][0]["text"] == "Kinder"


def test_score_of_one_language() -> None:
    references = examples("de")
    predictions = [Prediction(example.target or "") for example in references[:-1]] + [
        Prediction("Menschen lachen.")
    ]
    found = task(tokenized_bleu=True).score(predictions, references, {"loss": 2.0, "nll": 1.5})
    assert list(found.values) == [
        "bleu",
        "chrf",
        "exact_match",
        "bleu_tokenized_lowercased",
        "loss",
        "perplexity",
    ]
    assert found.values["exact_match"] == pytest.approx(500 / 6) and 0 < found.values["bleu"] < 100
    assert found.values["loss"] == 1.5 and found.values["perplexity"] == pytest.approx(
        math.exp(1.5)
    )
    assert "tok:13a" in found.signatures["bleu"] and "bleu = BLEU|nrefs:1" in found.signature
    assert "bleu_tokenized_lowercased" not in task().score(predictions, references, {}).values


def test_score_of_several_languages_is_their_mean() -> None:
    both = [
        *examples("de"),
        *(Example(source="a", target="我喜歡貓。", target_language="zh-Hant") for _ in range(2)),
    ]
    predictions = [Prediction(example.target or "") for example in both[:-2]] + [
        Prediction("我喜歡貓。"),
        Prediction("貓"),
    ]
    values = (found := task().score(predictions, both, {})).values
    assert (
        values["exact_match_de"] == 100
        and values["exact_match_zh-Hant"] == 50
        and values["exact_match"] == 75
    )
    assert values["bleu"] == pytest.approx((values["bleu_de"] + values["bleu_zh-Hant"]) / 2)
    assert (
        found.signatures["bleu"].startswith("mean over de zh-Hant of BLEU|")
        and "tok:zh" in found.signatures["bleu"]
    )


def test_a_small_model_learns_and_answers() -> None:
    torch.manual_seed(1)
    built, both, data = task(), tokenizers(), examples()
    labels = built.prepare(data)
    stack = StackConfig(
        layers=1, width=48, heads=2, inner_width=96, norm_placement="pre", dropout=0.0
    )
    config = ModelConfig(encoder=stack, decoder=stack, vocabulary_size=both.target.vocabulary_size)
    model, head = build(config), built.head(config, labels)
    batch = collate(
        [one for example in data for one in built.encode(example, both, labels, "train", None)]
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(120):
        sum_, count, weight = built.loss(head(model, model(**batch.inputs), batch.inputs), batch)[
            "loss"
        ]
        optimizer.zero_grad()
        (weight * sum_ / count).backward()
        optimizer.step()
    model.eval()
    asked = [built.encode(example, both, labels, "use", None)[0] for example in data]
    for settings in (DecodingSettings(), DecodingSettings(beams=3, n_best=2)):
        assert built.request is not None
        requests = [built.request(one, settings, both) for one in asked]
        raw = decode(model, requests, both.target)
        predictions = [
            built.read([one], example, both) for one, example in zip(raw, data, strict=True)
        ]
        assert [prediction.text for prediction in predictions] == [target for _, target in PAIRS]
        assert not any(prediction.cut for prediction in predictions)
        assert all(
            len(prediction.alternatives) == settings.n_best - 1 for prediction in predictions
        )
    assert built.score(predictions, data, {}).values["bleu"] == pytest.approx(100)
