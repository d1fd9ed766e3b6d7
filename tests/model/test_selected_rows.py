"""Where a head reads some rows only, the last block computes no others: the same outputs, the same
gradients.
"""

from __future__ import annotations

import pytest
import torch
from test_transformer import DIALS, batch, make

from triptych.inference.prepack import can_prepack, prepack
from triptych.model.heads.classifier import Classifier
from triptych.model.heads.tagger import Tagger
from triptych.model.heads.tokens import MaskedWords, output_of
from triptych.model.transformer import Transformer


@pytest.mark.parametrize("dials", DIALS)
# some with sequences of which none is read
@pytest.mark.parametrize("selected_rows", [[0, 5, 8], [1, 3, 4, 9], [14], [6], list(range(15))])
def test_states_and_gradients_of_the_rows_that_are_read(
    dials: str, selected_rows: list[int]
) -> None:
    model, inputs, wanted = (
        make(dials, "encoder").double(),
        batch("encoder"),
        torch.tensor(selected_rows),
    )
    model.precision = torch.float64  # type: ignore[assignment]
    whole = model(**inputs).index_select(0, wanted)
    some = model(**inputs, selected_rows=wanted)
    torch.testing.assert_close(some, whole, atol=1e-12, rtol=0)
    upstream = torch.randn_like(whole)
    for one, other in zip(
        *(
            torch.autograd.grad(y, list(model.parameters()), upstream, allow_unused=True)
            for y in (some, whole)
        ),
        strict=True,
    ):
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            torch.testing.assert_close(one, other, atol=1e-12, rtol=0)


def test_heads_that_read_some_rows_give_what_they_gave() -> None:
    model, inputs = make("bert", "encoder"), batch("encoder")
    masked = MaskedWords(32, 50, 1e-5).eval()
    first = Classifier(32, ["a", "b"], pooling="first", hidden=True, shortcut=True).eval()
    mean = Classifier(32, ["a", "b"], pooling="mean").eval()
    for places in ([2, 6, 7, 14], []):
        given = {
            **inputs,
            "masked": torch.zeros(15, dtype=torch.int64).index_fill_(
                0, torch.tensor(places, dtype=torch.int64), 1
            ),
        }
        _alike(model, masked, given)
    _alike(model, first, inputs)
    _alike(model, mean, inputs)
    # the second input has no word
    starts = torch.tensor([0, 1, 0, 1, 0, 0, 0, 0, 0, 1, 1, 1, 0, 1, 0])
    for pooling in ("first", "mean"):
        _alike(
            model,
            Tagger(32, 3, pooling=pooling).eval(),
            {**inputs, "word_starts": starts},
            "scores",
        )


def _alike(
    model: Transformer,
    head: torch.nn.Module,
    given: dict[str, torch.Tensor],
    what: str = "logits",
) -> None:
    whole = getattr(head(model, model(**given), given), what)
    torch.testing.assert_close(
        getattr(output_of(model, head, given), what), whole, atol=1e-5, rtol=1e-5
    )


@pytest.mark.skipif(not can_prepack(torch.float32), reason="this processor has no packed products")
def test_packed_weights_change_nothing() -> None:
    model, inputs, wanted = make("llama", "encoder"), batch("encoder"), torch.tensor([0, 6, 13])
    with torch.no_grad():
        plain = model(**inputs, selected_rows=wanted)
        assert prepack(model, torch.float32)
        torch.testing.assert_close(
            model(**inputs, selected_rows=wanted), plain, atol=1e-5, rtol=1e-5
        )
