"""Parsing, slot by slot, and once through a small model that learns a toy treebank."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from toy_trees import blocks

from triptych.data.batches.encoded import collate
from triptych.data.example import Example
from triptych.data.formats.conllu import examples_of, what_is_wrong
from triptych.data.tokenizers.sides import Tokenizers
from triptych.data.tokenizers.subwords import Tokenizer
from triptych.decoding.settings import DecodingSettings
from triptych.errors import DataError, UsageError
from triptych.inference.predictor import Predictor
from triptych.model.build import build
from triptych.model.config import ModelConfig, RecurrentConfig, StackConfig
from triptych.tasks.parsing import Parsed
from triptych.tasks.parsing_parts import SentencePart
from triptych.tasks.specs import SPECS
from triptych.tasks.task import Purpose, Task

EXAMPLES = examples_of("".join(blocks()).split("\n"), "toy.conllu")


def task(**options: Any) -> Task:
    return SPECS["parsing"].build({"arc_width": 16, "relation_width": 8, "dropout": 0.0, **options})


def tokenizers(mask: bool = False) -> Tokenizers:
    one = Tokenizer.train([one.text or "" for one in EXAMPLES], "bpe", 330, (), mask)
    return Tokenizers(one, one)


def predictor(built: Task, labels: dict[str, Any] | None = None, mask: bool = False) -> Predictor:
    torch.manual_seed(1)
    words = tokenizers(mask)
    labels = labels or built.prepare(EXAMPLES)
    stack = StackConfig(
        layers=1,
        width=32,
        heads=2,
        inner_width=32,
        dropout=0.0,
        norm_placement="pre",
        positions="rotary",
    )
    config = ModelConfig(encoder=stack, vocabulary_size=words.source.vocabulary_size)
    model, head = build(config), built.head(config, labels)
    return Predictor(
        model=model.eval(),
        head=head.eval(),
        task=built,
        tokenizers=words,
        labels=labels,
        decoding=DecodingSettings(),
    )


@pytest.fixture(scope="module")
def learnt() -> Predictor:
    found = predictor(task())
    encoded = [
        one
        for example in EXAMPLES
        for one in found.task.encode(example, found.tokenizers, found.labels, "train", None)
    ]
    parameters = [*found.model.parameters(), *found.head.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=5e-3)
    batch = collate(encoded)
    for _ in range(60):
        optimizer.zero_grad()
        losses = found.task.loss(
            found.head(found.model, found.model(**batch.inputs), batch.inputs), batch
        )
        (losses["loss"][0] / losses["loss"][1]).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
    return found


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"arc_widht": 2}, "Did you mean 'task.arc_width'"),
        ({"arc_width": 0}, "task.arc_width is 0"),
        ({"dropout": 1.0}, "task.dropout is 1.0"),
        ({"word_dropout": "x"}, "task.word_dropout is 'x'"),
        ({"upos_weight": -1}, "task.upos_weight is -1"),
        ({"window": 16, "word_pieces": 32}, "task.word_pieces is 32"),
    ],
)
def test_options_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        task(**options)


def test_encode_gives_words_their_pieces_and_targets() -> None:
    built, words = task(), tokenizers()
    labels = built.prepare(EXAMPLES)
    (one,) = built.encode(EXAMPLES[0], words, labels, "train", None)
    starts, source = one.inputs["word_starts"], one.inputs["source"]
    assert len(starts) == len(source) and starts.sum() == 6 and starts[0] == starts[-1] == 0
    assert words.source.decode(source.tolist()) == EXAMPLES[0].text
    assert one.weight == 6 and one.targets["heads"].tolist() == [2, 3, 0, 5, 3, 3]
    assert [labels["relations"][k] for k in one.targets["relations"]] == EXAMPLES[0].relations
    (used,) = built.encode(EXAMPLES[0], words, labels, "use", None)
    assert np.array_equal(used.inputs["source"], source) and not used.targets


def test_labels_unseen_in_training_are_scored_and_learn_nothing() -> None:
    built, words = task(), tokenizers()
    found = predictor(built, built.prepare(EXAMPLES))
    strange = Example(
        text="The dog",
        words=[(0, 3), (4, 7)],
        upos=["DET", "NEW"],
        heads=[2, 0],
        relations=["strange", "root"],
        place="x",
    )
    (one,) = built.encode(strange, words, found.labels, "train", None)
    assert one.targets["upos"].tolist()[1] == -1 and one.targets["relations"].tolist()[0] == -1
    evaluation = found.evaluate([strange])
    assert np.isfinite(evaluation.scores.values["loss"]) and list(evaluation.scores.values) == [
        "las",
        "uas",
        "upos",
        "loss",
    ]
    one.targets["relations"][:] = -1
    one.targets["upos"][:] = -1
    batch = collate([one])
    losses = built.loss(found.head(found.model, found.model(**batch.inputs), batch.inputs), batch)
    assert float(losses["relation_loss"][0]) == float(
        losses["upos_loss"][0]
    ) == 0.0 and torch.isfinite(losses["loss"][0])


def test_what_cannot_be_learnt_from() -> None:
    built, words = task(), tokenizers()
    with pytest.raises(DataError, match="nothing to train on"):
        built.prepare([])
    bad = Example(
        text="a b",
        words=[(0, 1), (2, 3)],
        upos=["X", "X"],
        heads=[0],
        relations=["root"],
        place="f:3",
    )
    with pytest.raises(
        DataError, match="f:3 has no part of speech, head and relation for each of its words"
    ):
        built.encode(bad, words, built.prepare(EXAMPLES), "train", None)
    long = Example(
        text="a" + " a" * 9,
        words=[(2 * k, 2 * k + 1) for k in range(10)],
        upos=["X"] * 10,
        heads=[0, *[1] * 9],
        relations=["root", *["dep"] * 9],
    )
    assert len(built.encode(long, words, built.prepare(EXAMPLES), "train", None)) == 1
    assert (
        task(window=8, word_pieces=4).encode(long, words, built.prepare(EXAMPLES), "train", None)
        == []
    )


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            ModelConfig(encoder=StackConfig(positions="learned", max_positions=64)),
            "task.window is 384; this model has 64 positions",
        ),
        (ModelConfig(encoder=StackConfig(), decoder=StackConfig()), "encoder-only"),
        (ModelConfig(decoder=StackConfig()), "encoder-only"),
        (RecurrentConfig(), "encoder-only"),
    ],
)
def test_models_that_cannot_parse_are_refused(config: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        task().head(config, {"upos": ["X"], "relations": ["root"]})


def test_word_dropout_hides_words_in_training_alone() -> None:
    built, words = task(word_dropout=0.5), tokenizers(mask=True)
    labels = built.prepare(EXAMPLES)
    assert built.draws and labels["mask"] is True
    mask = words.source.mask_id
    hidden = 0
    for seed in range(20):
        (one,) = built.encode(EXAMPLES[0], words, labels, "train", np.random.default_rng(seed))
        assert one.inputs["word_starts"].sum() == 6
        hidden += int((one.inputs["source"] == mask).sum())
    assert 40 <= hidden <= 80
    calls: list[tuple[Purpose, np.random.Generator | None]] = [
        ("train", None),
        ("use", np.random.default_rng(1)),
    ]
    for purpose, generator in calls:
        (one,) = built.encode(EXAMPLES[0], words, labels, purpose, generator)
        assert mask not in one.inputs["source"]


def test_it_learns_and_says_who_does_what(learnt: Predictor) -> None:
    evaluation = learnt.evaluate(EXAMPLES)
    values = evaluation.scores.values
    assert (
        values["las"] > 99
        and values["uas"] > 99
        and values["upos"] > 99
        and "CoNLL 2018" in evaluation.scores.signature
    )
    (found,) = learnt.predict(["The dog chases a cat."])
    details = json.loads(json.dumps(found.to_json()))
    assert [word["text"] for word in details["subject"]] == ["dog"] and [
        word["text"] for word in details["object"]
    ] == ["cat"]
    assert (
        [word["text"] for word in details["verb"]]
        == ["chases"]
        == [word["text"] for word in details["root"]]
    )
    assert details["words"][1] == {
        "id": 2,
        "text": "dog",
        "start": 4,
        "end": 7,
        "upos": "NOUN",
        "head": 3,
        "relation": "nsubj",
        "sentence": 1,
    }
    assert found.text.split("\n")[0] == "# text = The dog chases a cat."
    assert found.text.split("\n")[5] == "5\tcat\t_\tNOUN\t_\t_\t3\tobj\t_\tSpaceAfter=No"


def test_a_neighbour_in_the_batch_changes_no_answer(learnt: Predictor) -> None:
    texts = [
        "The dog sees a man.",
        "a cat",
        "The bird likes a dog. The man sees a cat. The cat sees a bird.",
    ]
    together = learnt.predict(texts)
    for text, one in zip(texts, together, strict=True):
        assert learnt.predict([text])[0].text == one.text


AWKWARD = [
    "",
    "   ",
    "\u200d",
    "a" * 10_000,
    "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1f9\U0001f1fc!",
    "今天 good नमस्ते שלום 👍🏽 ok",
    "(" * 500,
    "\n\n\n",
    "x\u0000y \ufeff",
    "'s n't",
]


def test_awkward_texts_give_trees(learnt: Predictor) -> None:
    for text, one in zip(AWKWARD, learnt.predict(AWKWARD), strict=True):
        for block in filter(None, one.text.split("\n\n")):
            rows = [line.split("\t") for line in block.split("\n") if not line.startswith("# text")]
            assert all(len(row) == 10 for row in rows)
            assert what_is_wrong([int(row[6]) for row in rows]) is None
        assert bool(one.text) == bool(text.strip())
    giant = learnt.predict(["a" * 10_000])[0]
    assert len(giant.details["words"]) == 1 and giant.truncated_input_tokens > 1000


def test_a_document_of_200_000_characters_comes_out_whole(learnt: Predictor) -> None:
    text = ("The dog sees a cat and " * 8 + "it. Dogs! 今天很好。") * 1010
    assert len(text) > 200_000
    (found,) = learnt.predict([text])
    words = found.details["words"]
    assert words[-1]["sentence"] == 3 * 1010 and found.truncated_input_tokens == 0
    assert sum(len(word["text"]) for word in words) == len("".join(text.split()))


def test_sentences_over_the_window_are_parsed_in_parts() -> None:
    found = predictor(task(window=16, word_pieces=6))
    text = " ".join(["dog"] * 30)
    (raw,) = found.predict([text])
    roots = [word for word in raw.details["words"] if word["head"] == 0]
    assert (
        len(raw.details["words"]) == 30 and len(roots) == raw.details["words"][-1]["sentence"] > 1
    )
    words = [(4 * place, 4 * place + 3) for place in range(30)]
    (given,) = found.predict([{"text": text, "words": words}])
    # one sentence, one tree
    assert what_is_wrong([word["head"] for word in given.details["words"]]) is None
    assert {word["sentence"] for word in given.details["words"]} == {
        1
    } and "parataxis" in given.text


MULTIWORD = """# text = Don't go al mar,Ana. Sí.
1-2\tDon't\t_\t_\t_\t_\t_\t_\t_\t_
1\tdo\t_\tAUX\t_\t_\t3\taux\t_\t_
2\tnot\t_\tPART\t_\t_\t3\tadvmod\t_\t_
3\tgo\t_\tVERB\t_\t_\t0\troot\t_\t_
4-5\tal\t_\t_\t_\t_\t_\t_\t_\t_
4\ta\t_\tADP\t_\t_\t6\tcase\t_\t_
5\tel\t_\tDET\t_\t_\t6\tdet\t_\t_
6-7\tmar,\t_\t_\t_\t_\t_\t_\t_\tSpaceAfter=No
6\tmarx\t_\tNOUN\t_\t_\t3\tobl\t_\t_
7\ty\t_\tPUNCT\t_\t_\t3\tpunct\t_\t_
8\tAna\t_\tPROPN\t_\t_\t3\tvocative\t_\tSpaceAfter=No
9\t.\t_\tPUNCT\t_\t_\t3\tpunct\t_\t_
10\tSí\t_\tINTJ\t_\t_\t3\tdiscourse\t_\tSpaceAfter=No
11\t.\t_\tPUNCT\t_\t_\t3\tpunct\t_\t_"""


def test_words_of_one_token_are_written_behind_its_range() -> None:
    (given,) = examples_of(MULTIWORD.split("\n"), "a")
    assert given.text and given.words and given.heads and given.relations and given.upos
    raw = [Parsed(SentencePart(given.words, 0, False, 0), given.heads, given.relations, given.upos)]
    written = task().read(raw, given, tokenizers()).text
    assert [line.split("\t")[::9] for line in written.split("\n")[1:]] == [
        line.split("\t")[::9] for line in MULTIWORD.split("\n")[1:]
    ]
    assert written.split("\n")[1:3] == [
        "1-2\tDon't" + "\t_" * 8,
        "1\tDon't\t_\tAUX\t_\t_\t3\taux\t_\t_",
    ]
    # also where the text is put together from its tokens
    for lines in (written.split("\n"), written.split("\n")[1:]):
        (again,) = examples_of(lines, "a")
        assert [
            getattr(again, name) for name in ("text", "words", "upos", "heads", "relations")
        ] == [
            given.text,
            given.words,
            given.upos,
            given.heads,
            given.relations,
        ]


def test_a_sentence_that_another_follows_without_a_space_says_so(learnt: Predictor) -> None:
    (found,) = learnt.predict(["狗叫。貓跑。 The dog sees a cat."])
    ends = [block.split("\n")[-1].split("\t")[9] for block in found.text.split("\n\n")]
    assert ends == ["SpaceAfter=No", "_", "_"]


def test_given_words_are_taken_and_copulas_are_verbs() -> None:
    built = task()
    example = Example(text="She is wise", place="x")
    part = SentencePart([(0, 3), (4, 6), (7, 11)], 0, False, 0)
    found = built.read(
        [Parsed(part, [3, 3, 0], ["nsubj", "cop", "root"], ["PRON", "AUX", "ADJ"])],
        example,
        tokenizers(),
    )
    assert [word["text"] for word in found.details["verb"]] == ["is"] and [
        word["text"] for word in found.details["root"]
    ] == ["wise"]
    old = built.read(
        [Parsed(part, [2, 0, 2], ["nsubjpass", "root", "dobj"], ["PRON", "VERB", "NOUN"])],
        example,
        tokenizers(),
    )
    assert [old.details[key][0]["text"] for key in ("subject", "verb", "object")] == [
        "She",
        "is",
        "wise",
    ]
