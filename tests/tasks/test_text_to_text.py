"""Summaries, questions, answers in words, and several tasks in one model: slot by slot, and once
through a small model.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

from triptych.data.example import FIELDS, Example
from triptych.data.tokenizers.sides import Tokenizers
from triptych.data.tokenizers.subwords import Tokenizer
from triptych.decoding.settings import DecodingSettings
from triptych.errors import DataError, RunError, UsageError
from triptych.inference.predictor import Predictor
from triptych.model.build import build as build_model
from triptych.model.config import ModelConfig, StackConfig
from triptych.tasks.specs import SPECS
from triptych.tasks.task import Prediction, Task

LONG = "Ada: shall we meet at noon?\nBob: yes, by the old bridge.\nAda: see you there! 再見。"
TASK_NAMES = ("summarization", "question-generation", "generative-answering", "text-to-text")
INPUTS: dict[str, dict[str, str]] = {
    "summarization": {"source": LONG},
    "question-generation": {"passage": LONG},
    "generative-answering": {"question": "Where do they meet?", "passage": LONG},
    "text-to-text": {"source": LONG, "target_language": "shorten"},
}


@pytest.fixture(scope="module")
def tokenizers() -> Tokenizers:
    one = Tokenizer.train([LONG, "Where do they meet?"], "bpe", 360, ("ask", "shorten"))
    return Tokenizers(one, one)


def made(name: str, **options: Any) -> tuple[Task, list[Example], dict[str, Any]]:
    task = SPECS[name].build(options)
    found = [Example(**INPUTS[name], target="They meet at noon.", place="a.tsv:1")]  # type: ignore[arg-type]
    if name == "text-to-text":
        found.append(Example(source=LONG, target="Where?", target_language="ask", place="a.tsv:2"))
    return task, found, task.prepare(found)


def predictor(
    name: str, tokenizers: Tokenizers, positions: Any = "rotary", **options: Any
) -> Predictor:
    torch.manual_seed(1)
    task, _, labels = made(name, **options)
    stack = StackConfig(
        layers=1,
        width=16,
        heads=2,
        inner_width=32,
        norm_placement="pre",
        positions=positions,
        dropout=0.0,
    )
    config = ModelConfig(
        encoder=stack, decoder=stack, vocabulary_size=tokenizers.target.vocabulary_size
    )
    return Predictor(
        model=build_model(config).eval(),
        head=task.head(config, labels),
        task=task,
        tokenizers=tokenizers,
        labels=labels,
        decoding=DecodingSettings(max_length=5),
    )


def test_an_answer_cut_inside_a_character_shows_nothing_of_it(tokenizers: Tokenizers) -> None:
    toy, cut = predictor("summarization", tokenizers), 0
    for seed in range(20):
        dials: dict[str, Any] = {"temperature": 1.0, "seed": seed, "max_length": 3}
        one = toy.predict([LONG], **dials)[0]
        cut += tokenizers.target.decode(one.tokens).endswith("\ufffd") and one.cut
        assert (
            not (one.cut and one.text.endswith("\ufffd"))
            and "".join(toy.stream(LONG, **dials)) == one.text
        )
    assert cut, "none was cut there: a check that cannot fail"


@pytest.mark.parametrize("name", TASK_NAMES)
def test_slots_and_needs(name: str, tokenizers: Tokenizers) -> None:
    task, examples, labels = made(name)
    assert task.name == name and set(task.needs) <= set(FIELDS) and task.needs[-1] == "references"
    assert task.input == next(iter(INPUTS[name]))
    one = task.encode(examples[0], tokenizers, labels, "train", None)[0]
    pieces = tokenizers.target.encode("They meet at noon.")
    assert one.inputs["target"].tolist() == [0, *pieces] and one.targets["tokens"].tolist() == [
        *pieces,
        1,
    ]
    used = task.encode(Example(**INPUTS[name]), tokenizers, labels, "use", None)[0]  # type: ignore[arg-type]
    assert (
        used.inputs["source"].tolist() == one.inputs["source"].tolist()
        and set(used.inputs) == {"source"}
        and not used.unseen
    )
    with pytest.raises(DataError, match="nothing to train on"):
        task.prepare([])
    with pytest.raises(DataError, match=r"b\.tsv:7 has no target text"):
        task.encode(Example(**INPUTS[name], place="b.tsv:7"), tokenizers, labels, "train", None)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"b\.tsv:8 has no"):
        task.encode(
            Example(place="b.tsv:8", target_language="ask"), tokenizers, labels, "use", None
        )


def test_what_the_source_is(tokenizers: Tokenizers) -> None:
    tokenizer = tokenizers.source
    pieces, question = tokenizer.encode(LONG), tokenizer.encode("Where do they meet?")
    wanted: dict[str, list[int]] = {
        "summarization": [*pieces, 1],
        "question-generation": [*pieces, 1],
        "generative-answering": [*question, 1, *pieces, 1],
        "text-to-text": [*tokenizer.encode("shorten: "), *pieces, 1],
    }
    for name, ids in wanted.items():
        task, examples, labels = made(name)
        assert (
            task.encode(examples[0], tokenizers, labels, "use", None)[0].inputs["source"].tolist()
            == ids
        )
    task, examples, labels = made("text-to-text", prefix="tag")
    assert labels["tags"] == ["ask", "shorten"]
    one = task.encode(examples[0], tokenizers, labels, "use", None)[0]
    assert one.inputs["source"].tolist() == [tokenizer.tags["shorten"], *pieces, 1]


@pytest.mark.parametrize("name", TASK_NAMES)
@pytest.mark.parametrize("longest", [16, 48])
def test_a_long_source_is_cut_and_counted(name: str, longest: int, tokenizers: Tokenizers) -> None:
    task, examples, labels = made(name, longest_source=longest)
    whole = (
        made(name)[0]
        .encode(examples[0], tokenizers, labels, "use", None)[0]
        .inputs["source"]
        .tolist()
    )
    for purpose in ("train", "use"):
        one = task.encode(examples[0], tokenizers, labels, purpose, None)[0]  # type: ignore[arg-type]
        cut = one.inputs["source"].tolist()
        assert len(cut) == longest and one.unseen == len(whole) - longest and cut[-1] == 1
        if name != "generative-answering" or longest > 20:
            # its beginning; a question is whole, the passage gives way
            assert cut[:-1] == whole[: longest - 1]
    ready = predictor(name, tokenizers, longest_source=longest)
    found = ready.predict([INPUTS[name]])[0]
    assert (
        found.truncated_input_tokens
        == len(whole) - longest
        == found.to_json()["truncated_input_tokens"]
    )
    shorter = ready.predict([INPUTS[name]], truncate=10)[0]
    assert shorter.truncated_input_tokens == len(whole) - 10


def test_one_word_of_ten_thousand_characters_and_an_empty_source(tokenizers: Tokenizers) -> None:
    ready = predictor("summarization", tokenizers)
    word, empty, short = ready.predict(["xy" * 5000, " \n", "Ada: yes"])
    assert word.truncated_input_tokens == len(tokenizers.source.encode("xy" * 5000)) - 511
    assert empty.text == "" and short.truncated_input_tokens == 0
    alone = ready.predict(["Ada: yes"])[0]
    assert alone.text == short.text and alone.log_probability == pytest.approx(
        short.log_probability, abs=1e-4
    )


@pytest.mark.parametrize("positions", ["rotary", "sinusoidal", "learned"])
def test_beams_and_losses_with_any_positions(positions: str, tokenizers: Tokenizers) -> None:
    ready = predictor("generative-answering", tokenizers, positions)
    found = ready.predict([INPUTS["generative-answering"]] * 2, beams=3, n_best=2)
    assert found[0].text == found[1].text and len(found[0].alternatives) == 1
    example = Example(**INPUTS["generative-answering"], target=found[0].text)  # type: ignore[arg-type]
    evaluation = ready.evaluate([example])
    assert evaluation.scores.values["loss"] > 0
    trace = ready.trace(INPUTS["generative-answering"])
    assert trace.attention["cross"].shape[-2:] == (len(trace.target), len(trace.source))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("summarization", {"longest": 3}, "Did you mean 'task.longest_source'"),
        (
            "summarization",
            {"longest_source": 4},
            r"task\.longest_source is 4; it must be a whole number of at least 8 tokens",
        ),
        ("question-generation", {"longest_source": True}, r"task\.longest_source is True"),
        ("generative-answering", {"label_smoothing": 1}, r"task\.label_smoothing is 1"),
        ("text-to-text", {"r_drop": -1.0}, r"task\.r_drop is -1"),
        ("text-to-text", {"prefix": "word"}, "task.prefix is 'word'; it must be one of text, tag"),
        ("text-to-text", {"default_task": 1}, "task.default_task is 1"),
    ],
)
def test_wrong_options_are_refused(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        SPECS[name].build(options)


def test_a_model_without_a_decoder_or_with_few_positions_is_refused() -> None:
    stack = StackConfig(width=16, heads=2, positions="learned", max_positions=100)
    with pytest.raises(UsageError, match="set model.preset, for example to 'transformer-small'"):
        SPECS["summarization"].build({}).head(ModelConfig(encoder=stack), {})
    with pytest.raises(
        UsageError,
        match=r"task\.longest_source is 512; this model has 100 positions\. Give 100 or less",
    ):
        SPECS["summarization"].build({}).head(ModelConfig(encoder=stack, decoder=stack), {})


def test_tasks_are_named_or_asked_for(tokenizers: Tokenizers) -> None:
    task, examples, labels = made("text-to-text")
    with pytest.raises(UsageError, match="choose one with --to: ask, shorten"):
        task.encode(Example(source="a"), tokenizers, labels, "use", None)
    with pytest.raises(UsageError, match=r"Unknown task 'sing' \(text 1\).*Allowed: ask, shorten"):
        task.encode(
            Example(source="a", target_language="sing", place="text 1"),
            tokenizers,
            labels,
            "use",
            None,
        )
    default = made("text-to-text", default_task="ask")[0]
    one = default.encode(Example(source="a"), tokenizers, labels, "use", None)[0]
    assert one.inputs["source"].tolist()[:-2] == tokenizers.source.encode("ask: ")
    with pytest.raises(UsageError, match=r"'sing' in task\.default_task"):
        made("text-to-text", default_task="sing")
    alone = task.prepare(examples[:1])
    assert (
        task.encode(Example(source="a"), tokenizers, alone, "use", None)[0].inputs["source"][0]
        == tokenizers.source.encode("shorten")[0]
    )
    plain = Tokenizer.train([LONG], "bpe", 330)
    with pytest.raises(RunError, match="no tag for 'ask'"):
        made("text-to-text", prefix="tag")[0].encode(
            examples[1], Tokenizers(plain, plain), labels, "use", None
        )
    with pytest.raises(DataError, match=r"The prefix 'shorten' alone has \d+ tokens"):
        made("text-to-text", longest_source=8)[0].encode(
            examples[0], Tokenizers(plain, plain), labels, "use", None
        )


# Scores -------------------------------------------------------------------------------------------


def scored(name: str, texts: list[str], examples: list[Example]) -> Any:
    return (
        SPECS[name]
        .build({})
        .score([Prediction(text=text) for text in texts], examples, {"loss": 2.0, "nll": 1.0})
    )


def test_summaries_are_scored_by_the_best_reference() -> None:
    several = [Example(target="a b", references=["a b", "c d e"]), Example(target="x")]
    scores = scored("summarization", ["c d e", "x"], several)
    assert list(scores.values) == ["rouge1", "rouge2", "rougeL", "loss", "perplexity"]
    assert (
        scores.values["rouge1"] == 100
        and scores.values["rouge2"] == 50
        and scores.values["loss"] == 1.0
    )
    assert "best:each" in scores.signatures["rouge1"]
    with pytest.raises(DataError, match=r"c\.tsv:1 has no reference"):
        scored("summarization", ["a"], [Example(place="c.tsv:1")])


def test_questions_are_scored_by_all_references() -> None:
    text = "where did the two of them meet ?"
    several = [Example(target="who met ?", references=["who met ?", text]), Example(target=text)]
    scores = scored("question-generation", [text, text], several)
    assert list(scores.values)[:2] == ["bleu", "rougeL"] and scores.values["bleu"] == pytest.approx(
        100
    )
    assert "tok:13a" in scores.signatures["bleu"] and "nrefs:var" in scores.signatures["bleu"]
    worse = scored(
        "question-generation", [text, text], [Example(target="who met ?"), Example(target=text)]
    )
    assert worse.values["bleu"] < 100 and "nrefs:1" in worse.signatures["bleu"]
    chinese = scored(
        "question-generation", ["他們在哪裡見面？"], [Example(target="他們在哪裡見面？")]
    )
    assert chinese.values["rougeL"] == 100 and "tok:zh" in chinese.signatures["bleu"]


def test_answers_are_scored_as_the_extractive_reader_is() -> None:
    extractive, generative = (
        SPECS["question-answering"].build({}),
        SPECS["generative-answering"].build({}),
    )
    rows = [
        ("The old bridge", "by the old bridge", "en"),
        ("首都東京", "東京", "ja"),
        ("", "", None),
        ("北京市", "北京", "zh"),
    ]
    theirs = [
        Example(
            question="?", passage=text, answers=[(text, 0)] if text else [], source_language=code
        )
        for _, text, code in rows
    ]
    ours = [
        Example(
            question="?",
            passage=text,
            target=text,
            references=[text] if text else [],
            source_language=code,
        )
        for _, text, code in rows
    ]
    predictions = [Prediction(text=text) for text, _, _ in rows]
    wanted, found = (
        extractive.score(predictions, theirs, {}),
        generative.score(predictions, ours, {}),
    )
    assert found.values == wanted.values and found.signatures == wanted.signatures


def test_several_tasks_have_a_mean_and_their_own_scores() -> None:
    examples = [
        Example(target="a b c d", target_language="ask"),
        Example(target="x y", target_language="shorten"),
    ]
    values = scored("text-to-text", ["a b c d", "z"], examples).values
    assert (values["rougeL_ask"], values["rougeL_shorten"], values["rougeL"]) == (100, 0, 50)
    assert (values["exact_match_ask"], values["exact_match"]) == (100, 50) and next(
        iter(values)
    ) == "rougeL"
    one = scored("text-to-text", ["a b c d"], examples[:1])
    assert (
        set(one.values) == {"rougeL", "bleu", "exact_match", "loss", "perplexity"}
        and "mean over" not in one.signature
    )
