"""Heads against gold arcs: words of tokens, the most attended word, shares and baselines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import toy_tasks
import toy_writer

from triptych import Interventions
from triptych.errors import DataError, UsageError
from triptych.inference.gold_arcs import arcs_of, gold_heads
from triptych.inspection.cells import TokenCell, cells
from triptych.inspection.gold_heads import Counts, between_words, most_attended, words_of
from triptych.inspection.sites import Site
from triptych.inspection.views.followed import followed

SENTENCES = """\
# text = the cat sat
1\tthe\t_\tDET\t_\t_\t2\tdet\t_\t_
2\tcat\t_\tNOUN\t_\t_\t3\tnsubj:pass\t_\t_
3\tsat\t_\tVERB\t_\t_\t0\troot\t_\t_

# text = the mat 貓
1\tthe\t_\tDET\t_\t_\t2\tdet\t_\t_
2\tmat\t_\tNOUN\t_\t_\t0\troot\t_\t_
3\t貓\t_\tNOUN\t_\t_\t2\tobj\t_\t_

"""


@pytest.fixture()
def treebank(tmp_path: Path) -> Path:
    path = tmp_path / "a.conllu"
    path.write_text(SENTENCES, encoding="utf-8")
    return path


def cell(text: str, *tokens: int) -> TokenCell:
    return TokenCell(text, text, None, None, tokens, ())


def test_tokens_of_words() -> None:
    shown = [cell("", 0), cell("The", 1), cell(" ca", 2), cell("fé", 3, 4), cell("n't.", 5)]
    text = "the café n't."
    assert words_of(shown, text, [(0, 3), (4, 8), (9, 12), (12, 13)]) == [[1], [2, 3, 4], [5], [5]]
    assert words_of(shown, "the cafe n't.", [(0, 3), (4, 8)]) == [[1], [2, 3, 4]], "accents"
    assert words_of(shown, "the cafes", [(0, 3)]) is None


def test_weights_between_words() -> None:
    weights = np.array([[[[0.5, 0.2, 0.3], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4]]]])
    found = between_words(weights, [[0], [1, 2]])
    np.testing.assert_allclose(found, [[[0.5, 0.5], [0.2, 0.8]]])
    assert most_attended(found).tolist() == [[1, 0]], "a word's own weight does not count"
    first = np.array([[[1.0, 0.0], [0.4, 0.6]]])
    assert most_attended(first).tolist() == [[-1, 0]], "nothing is before the first word"


def test_shares_and_baselines() -> None:
    counts = Counts([Site("encoder", 0, "self", 0), Site("encoder", 0, "self", 1)])
    right, left = np.zeros((3, 3)), np.zeros((3, 3))
    right[[0, 1, 2], [1, 2, 0]] = left[[0, 1, 2], [2, 0, 1]] = 1
    counts.add(np.stack([right, left]), [2, 3, 0], ["det", "nsubj:pass", "root"])
    counts.add(np.stack([right, left]), [2, 0, 2], ["det", "root", "obj"])
    found = counts.result()
    assert found.relations == ["all", "det", "nsubj", "obj"] and found.counts == [4, 2, 1, 1]
    np.testing.assert_allclose(found.shares[:, 0], [3 / 4, 1, 1, 0])
    np.testing.assert_allclose(found.shares[:, 1], [1 / 4, 0, 0, 1])
    np.testing.assert_allclose(found.offsets[1], [3 / 4, 1, 1, 0])
    np.testing.assert_allclose(found.offsets[-1], [1 / 4, 0, 0, 1])
    assert found.best(3) == (found.sites[1], 1.0) and found.baseline(0) == (1, 3 / 4)


def test_a_decoder_against_a_treebank(treebank: Path) -> None:
    run = toy_writer.predictor()
    sentences = arcs_of(treebank)
    found = gold_heads(run, sentences)
    assert found.sentences == 2 and found.left_out == 0 and found.counts[0] == 4
    assert found.shares.shape == (4, 8) and found.shares[found.relations.index("det")].max() == 0
    # by hand, for the one word whose head comes before it
    (encoded,) = run.task.encode(run.example("the mat 貓"), run.tokenizers, {}, "use", None)
    batch = {
        "target": __import__("torch").tensor(encoded.inputs["target"]),
        "target_lengths": __import__("torch").tensor([len(encoded.inputs["target"])]),
    }
    weights = run.model.attention_weights(kind="decoder", **batch)[:, 0].detach().numpy()
    shown = cells(run.tokenizers.target, encoded.inputs["target"].tolist())
    owner = ["".join(one.text.split()) for one in shown]
    sums = {}
    for word in ("the", "mat"):
        places, rest = [], word
        for one, text in zip(shown, owner, strict=True):
            if rest and text and rest.startswith(text):
                places += one.tokens
                rest = rest.removeprefix(text)
        sums[word] = weights[..., -1:, :][..., places].sum(-1).ravel()
    last = shown[-1].tokens
    if len(last) == 1:
        np.testing.assert_array_equal(
            found.shares[found.relations.index("obj")] == 1, sums["mat"] > sums["the"]
        )


def test_an_encoder_and_its_results(treebank: Path) -> None:
    run = toy_writer.predictor()
    asked = Interventions(arcs=treebank)
    found = run.trace("the cat", target=" sat", interventions=asked).interventions
    assert found is not None and found.arcs is not None
    rows = [one for one in found.rows() if one[0] == "arcs"]
    assert len(rows) == len(found.arcs.relations) * (8 + 2)
    (drawn,) = followed(found)
    assert f"{found.arcs.sites[0]}:" in drawn.markup and "det" in drawn.markup


def test_what_cannot_be_compared(treebank: Path, tmp_path: Path) -> None:
    run = toy_writer.predictor()
    with pytest.raises(UsageError, match="spell none"):
        gold_heads(run, [one for one in arcs_of(treebank) if _changed(one)])
    (tmp_path / "b.conllu").write_text("1\tthe\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"b\.conllu:1"):
        arcs_of(tmp_path / "b.conllu")
    reader = toy_tasks.predictor("question-answering")
    with pytest.raises(UsageError, match="reads question"):
        gold_heads(reader, arcs_of(treebank))


def _changed(one: object) -> bool:
    one.words = []  # type: ignore[attr-defined]
    one.text = "\u0000"  # type: ignore[attr-defined]
    return True
