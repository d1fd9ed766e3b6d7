"""Test that the beam tree is that of the search that gave the answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from toy_writer import predictor

from triptych.decoding.hypothesis import SearchStep
from triptych.decoding.requests import DecodingRequest
from triptych.decoding.settings import DecodingSettings
from triptych.inspection.beam_tree import ROOT, BeamTree, grow, tree_of
from triptych.inspection.views import beam as beam_svg
from triptych.model.build import build
from triptych.model.config import ModelConfig, StackConfig


def settings(**values: Any) -> DecodingSettings:
    found = DecodingSettings(**values)
    found.check()
    return found


def path_of(tree: BeamTree) -> list[int]:
    return [tree.branches[place].token for place in tree.best]


def check(tree: BeamTree, each: list[float]) -> None:
    """Totals along the answer's path, and the rule of the search at every step."""
    totals = [tree.branches[place].log_probability for place in tree.best]
    assert totals == pytest.approx([sum(each[: place + 1]) for place in range(len(each))], abs=1e-4)
    assert [tree.branches[place].parent for place in tree.best] == [ROOT, *tree.best[:-1]]
    for depth in range(1, max(one.depth for one in tree.branches) + 1):
        step = [one for one in tree.branches if one.depth == depth]
        kept = [one.log_probability for one in step if one.fate == "kept"]
        assert len(step) <= 2 * tree.beams and len(kept) <= tree.beams
        pruned = [one.log_probability for one in step if one.fate == "pruned" and one.token != 1]
        assert not kept or not pruned or min(kept) >= max(pruned)
        assert all(tree.branches[one.parent].fate == "kept" for one in step if one.parent != ROOT)


@pytest.mark.parametrize("prompt", ["", "the c"])
def test_of_a_model_that_writes(prompt: str) -> None:
    toy, chosen = predictor(), settings(beams=3, max_length=7)
    (answer,) = toy.predict([prompt], beams=3, max_length=7)
    ids = [0, *toy.tokenizers.target.encode(prompt)]
    tree = continued(toy.model, ids, chosen, toy.tokenizers.target, 64)
    end = [1] if len(answer.token_log_probabilities) > len(answer.tokens) else []
    assert (
        path_of(tree) == [*answer.tokens, *end]
        and tree.text == answer.text
        and tree.score == answer.score
    )
    check(tree, answer.token_log_probabilities)
    last = tree.branches[tree.best[-1]]
    assert last.fate in ("cut", "finished") and last.score == pytest.approx(answer.score, abs=1e-4)
    assert {one.fate for one in tree.branches} >= {"kept", "pruned"}


def test_past_the_context_and_of_a_stop_string() -> None:
    toy = predictor(16)
    ids, tokenizer = [0, *toy.tokenizers.target.encode("the")], toy.tokenizers.target
    answer = toy.predict(["the"], beams=2, max_length=30)[0]
    tree = continued(toy.model, ids, settings(beams=2, max_length=30), tokenizer, 16)
    assert 0 < len(tree.best) < 30 and path_of(tree) == answer.tokens[: len(tree.best)]
    check(tree, answer.token_log_probabilities[: len(tree.best)])
    toy = predictor(64)
    stop = toy.predict(["the"], beams=2, max_length=12)[0].text[3:5]
    answer = toy.predict(["the"], beams=2, max_length=12, stop=[stop])[0]
    tree = continued(toy.model, ids, settings(beams=2, max_length=12, stop=[stop]), tokenizer, 64)
    assert path_of(tree) == answer.tokens and len(answer.tokens) < 12 and tree.text == answer.text


def continued(
    model: Any, prompt: list[int], chosen: DecodingSettings, tokenizer: Any, context: int
) -> BeamTree:
    request = DecodingRequest(settings=chosen, prompt=prompt, context=context)
    return tree_of(model, request, tokenizer)


def test_of_a_model_that_translates() -> None:
    torch.manual_seed(5)
    stack = StackConfig(layers=1, width=16, heads=2, inner_width=32)
    model = build(
        ModelConfig(
            encoder=stack,
            decoder=stack,
            vocabulary_size=predictor().tokenizers.target.vocabulary_size,
        )
    ).eval()
    from triptych.decoding.generate import search

    inputs = {"source": torch.tensor([5, 9, 260, 1]), "source_lengths": torch.tensor([4])}
    chosen = settings(beams=4, max_length=6)
    best = search(model, inputs, chosen, begin=0, end=1)[0][0]
    request = DecodingRequest(settings=chosen, source=np.array([5, 9, 260, 1]))
    tree = tree_of(model, request, predictor().tokenizers.target)
    assert path_of(tree)[: len(best.tokens)] == best.tokens and tree.score == best.score
    check(tree, best.token_log_probabilities)


def test_fates_by_hand() -> None:
    """Two beams over two steps: what the events say, branch for branch."""
    toy = predictor().tokenizers.target
    a, b, c = toy.encode("the")
    events = [
        SearchStep(
            0,
            [0, 0, 1, 0, 0],
            [0, 0, 0, 0, 0],
            [a, b, a, c, 1],
            [-1.0, -2.0, -9.0, -3.0, -4.0],
            ["kept", "kept", "kept", "pruned", "pruned"],
        ),
        SearchStep(
            1,
            [0, 0, 0, 0],
            [1, 0, 0, 1],
            [1, c, 1, b],
            [-2.1, -2.5, -3.0, float("-inf")],
            ["finished", "kept", "pruned", "pruned"],
        ),
    ]
    branches, path = grow(events, toy, [b, 1])
    assert [(one.parent, one.token, one.fate) for one in branches[:4]] == [
        (ROOT, a, "kept"), (ROOT, b, "kept"), (ROOT, c, "pruned"), (ROOT, 1, "pruned"),
    ]  # fmt: skip
    assert [(one.parent, one.token, one.fate) for one in branches[4:]] == [
        (1, 1, "finished"),
        (0, c, "kept"),
        (0, 1, "pruned"),
    ]
    assert path == [1, 4] and branches[4].label == "<end>" and branches[0].label == "t"


def test_siblings_that_differ_by_a_space_are_told_apart() -> None:
    toy = predictor().tokenizers.target

    texts = {5: "cat", 6: " cat", 7: " dog"}

    class Spaced:
        begin_id, end_id, end_ids = toy.begin_id, toy.end_id, toy.end_ids

        def decode(self, ids: Sequence[int], /) -> str:
            return "".join(texts.get(one, "") for one in ids)

        def pieces(self, ids: list[int]) -> list[str]:
            return [texts[one] for one in ids]

    step = SearchStep(
        0, [0, 0, 0], [0, 0, 0], [5, 6, 7], [-1.0, -2.0, -3.0], ["kept", "pruned", "pruned"]
    )
    assert [one.label for one in grow([step], Spaced(), [5])[0]] == ["cat", "␣cat", "dog"]
    # a prompt's word goes on
    assert [one.label for one in grow([step], Spaced(), [5], "wild")[0]] == ["·cat", "cat", "dog"]


def test_bytes_of_one_character_show_it_at_the_last() -> None:
    toy = predictor().tokenizers.target
    ids = toy.encode("貓")
    branches, _ = grow(
        [
            SearchStep(place, [0], [0], [number], [-1.0], ["kept"])
            for place, number in enumerate(ids)
        ],
        toy,
        ids,
    )
    assert [one.label for one in branches] == ["<0xE8>", "<0xB2>", "貓"]


def test_the_picture_holds_the_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    toy = predictor()
    tree = continued(toy.model, [0], settings(beams=3, max_length=7), toy.tokenizers.target, 64)
    picture = beam_svg.svg(tree)
    found = re.findall(
        r'data-branch="(\d+)" data-parent="(-?\d+)" data-fate="(\w+)" data-best="(\d)" '
        r'data-total="([-.\d]+)"',
        picture,
    )
    assert len(found) == len(tree.branches)
    for place, parent, fate, best, total in found:
        branch = tree.branches[int(place)]
        assert (branch.parent, branch.fate) == (int(parent), fate) and (
            int(place) in tree.best
        ) == (best == "1")
        assert float(total) == pytest.approx(branch.log_probability, abs=1e-5)
    assert "style=" not in picture and 'data-left-out="0"' in picture and "pruned 捨棄" in picture
    at = dict(
        re.findall(
            r'data-branch="(\d+)".*?<text class="\w+" fill="#\w+" x="[\d.]+" y="(\d+)"', picture
        )
    )
    assert len({at[str(place)] for place in tree.best}) == 1, "the answer is one straight line"
    assert len({(at[place], tree.branches[int(place)].depth) for place in at}) == len(at), (
        "nothing lies on anything"
    )
    monkeypatch.setattr(beam_svg, "MOST_ROWS", 4)
    small = beam_svg.svg(tree)
    left_out = int(re.findall(r'data-left-out="(\d+)"', small)[0])
    assert left_out > 0 and f"{left_out} weaker candidates not drawn" in small
    assert all(f'data-branch="{place}"' in small for place in tree.best)
    drawn = {int(place) for place in re.findall(r'data-branch="(\d+)"', small)}
    assert len(drawn) == len(tree.branches) - left_out and all(
        tree.branches[place].parent in {ROOT, *drawn} for place in drawn
    )
    lines = len(
        set(
            re.findall(
                r'<text class="\w+" fill="#\w+" x="[\d.]+" y="(\d+)"',
                small.split("<g", 1)[1].rsplit("</g>", 1)[0],
            )
        )
    )
    assert lines <= max(4, sum(one.fate in ("finished", "cut") for one in tree.branches)), (
        "what was kept and given up goes too"
    )


def test_no_token_breaks_the_picture() -> None:
    from triptych.inspection.beam_tree import Branch

    tree = BeamTree([Branch(ROOT, 5, '<"&\x00', 1, -1.0, "cut", -1.0)], [0], '<script>"', -1.0, 2)
    import xml.etree.ElementTree as ElementTree

    ElementTree.fromstring(beam_svg.svg(tree))
    ElementTree.fromstring(beam_svg.svg(BeamTree([], [], "", 0.0, 2)))
