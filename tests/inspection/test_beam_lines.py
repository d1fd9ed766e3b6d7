"""Test that a long search reads as text, and that nothing of it is lost or told twice."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence

import pytest
from toy_writer import predictor

from triptych.decoding.requests import DecodingRequest
from triptych.decoding.settings import DecodingSettings
from triptych.inspection.beam_tree import ROOT, BeamTree, Branch, tree_of
from triptych.inspection.views import beam_lines
from triptych.inspection.views.bars import NOT_XML
from triptych.inspection.views.beam_lines import Strand, markup, strands

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def decode(ids: Sequence[int]) -> str:
    return "".join(LETTERS[one] for one in ids)


def grown(answer: int, sides: Sequence[tuple[int, int, str]], pruned: int = 1) -> BeamTree:
    """Build a tree: an answer of "abc...", and sides (where it parts, tokens, fate of its end)."""
    branches: list[Branch] = []
    path: list[int] = []

    def add(parent: int, token: int, fate: str, score: float | None = None) -> int:
        depth = 1 if parent == ROOT else branches[parent].depth + 1
        branches.append(Branch(parent, token, LETTERS[token], depth, -float(depth), fate, score))
        return len(branches) - 1

    for depth in range(answer):
        before = path[-1] if path else ROOT
        ends = depth == answer - 1
        path.append(add(before, depth % 26, "cut" if ends else "kept", -1.0 if ends else None))
        for _ in range(pruned):
            add(before, (depth + 13) % 26, "pruned")
        for start, length, fate in sides:
            at = before
            for step in range(length if start == depth else 0):
                last = step == length - 1
                whole = last and fate != "kept"
                at = add(at, 25 - step, fate if last else "kept", -2.0 if whole else None)
    return BeamTree(branches, path, decode([branches[one].token for one in path]), -1.0, 3)


def parsed(tree: BeamTree) -> ElementTree.Element:
    return ElementTree.fromstring(f"<main>{markup(tree, decode)}</main>")


def words(root: ElementTree.Element, path: str) -> list[str]:
    return ["".join(one.itertext()) for one in root.findall(path)]


RUNS = "./div/div[@class='strand best']/p[@class='run']/span[@class='words']"


def test_a_short_tree_is_one_picture_and_a_long_one_text() -> None:
    assert markup(grown(beam_lines.SHORT, []), decode).startswith("<svg")
    long = parsed(grown(beam_lines.SHORT + 1, []))
    assert words(long, RUNS) == [LETTERS[:25]], "nothing parts from it, so it is one run"


def test_the_answer_is_interrupted_only_where_a_branch_parts() -> None:
    root = parsed(grown(30, [(3, 4, "kept"), (10, 2, "finished")]))
    assert words(root, RUNS) == ["abc", "defghij", "klmnopqrstuvwxyzabcd"]
    ranges = words(root, "./div/div[@class='strand best']/p/span[@class='range']")
    assert ranges == ["1–3", "4–10", "11–30"]
    forks = root.findall("./div/div[@class='strand best']/div[@class='forks']")
    assert ["".join(one.find("./details/summary/span").itertext()) for one in forks] == [  # type: ignore[union-attr]
        "“zyxw”",
        "“zy”",
    ]
    kinds = [one.find("./details").attrib["class"] for one in forks]  # type: ignore[union-attr]
    assert kinds == ["fork kept", "fork whole"], "another whole answer is highlighted"
    assert "kept for 4 tokens" in "".join(forks[0].itertext())
    assert "2 tokens, score −2.00" in "".join(forks[1].itertext())


def test_pruned_candidates_are_named_at_branch_points_only() -> None:
    root = parsed(grown(30, [(3, 4, "kept")], pruned=9))
    (pruned,) = root.findall(".//p[@class='pruned']")
    text = "".join(pruned.itertext())
    assert text.count("“q”") == beam_lines.MOST_PRUNED and "and 3 more" in text


def test_only_the_longest_branches_are_written_and_the_rest_counted() -> None:
    sides = [(depth, 1 + depth % 5, "kept") for depth in range(1, 60)]
    root = parsed(grown(60, sides))
    assert len(root.findall(".//details[@class='fork kept']")) == beam_lines.MOST_STRANDS
    assert f"{59 - beam_lines.MOST_STRANDS} shorter branches" in "".join(root.itertext())
    # The picture shows them as well, as far as there is room, and the answer over them.
    lines = root.findall("./div/div/{*}svg/{*}g")
    assert len(lines) == 60 and lines[-1].attrib["class"] == "strand-line best"


def test_strands_hold_every_kept_branch_once() -> None:
    toy, chosen = predictor(128), DecodingSettings(beams=4, max_length=40)
    request = DecodingRequest(settings=chosen, prompt=[0], context=128)
    tree = tree_of(toy.model, request, toy.tokenizers.target)
    answer = strands(tree)
    found = [place for one in answer.everything() for place in one.places]
    kept = [place for place, one in enumerate(tree.branches) if one.fate != "pruned"]
    assert sorted(found) == kept and answer.places[: len(tree.best)] == tree.best

    def check(strand: Strand) -> None:
        parents = [tree.branches[place].parent for place in strand.places]
        assert parents[1:] == strand.places[:-1]
        for index, several in strand.forks.items():
            for one in several:
                assert tree.branches[one.places[0]].parent == parents[index]
                check(one)

    check(answer)
    root = ElementTree.fromstring(f"<main>{markup(tree, toy.tokenizers.target.decode)}</main>")
    text = "".join(words(root, RUNS)).replace("⏎", "").replace("␣", " ")
    assert text.startswith(NOT_XML.sub("\ufffd", tree.text)) and len(tree.best) >= 40


@pytest.mark.parametrize("length", [200, 400])
def test_a_long_answer_stays_a_page(length: int) -> None:
    sides = [(depth, 3, "kept") for depth in range(0, length, 2)]
    text = markup(grown(length, sides, pruned=6), decode)
    before = text.partition("<details><summary><span")[0]
    assert "style=" not in text and "<script" not in text
    width = int(re.findall(r'class="tree strands" width="(\d+)"', text)[0])
    assert width == beam_lines.WIDTH and before.count("<details") == beam_lines.MOST_STRANDS


def test_no_token_breaks_the_text() -> None:
    tree = grown(30, [(3, 4, "kept")])
    root = ElementTree.fromstring(f"<main>{markup(tree, lambda ids: '<b>&' * len(ids))}</main>")
    assert words(root, RUNS)[0] == "<b>&" * 3
