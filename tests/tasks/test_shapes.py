"""Every task refuses, by a sentence, a model of a shape that it is not for."""

from __future__ import annotations

import dataclasses

import pytest

from triptych.errors import UsageError
from triptych.presets import PRESETS
from triptych.tasks.specs import SPECS

SHAPES = {
    "encoder": "encoder-tiny",
    "decoder": "decoder-tiny",
    "encoder-decoder": "transformer-tiny",
    "recurrent": "recurrent-small",  # an encoder and a decoder too
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", SPECS)
def test_a_model_of_another_shape_is_refused(name: str, shape: str) -> None:
    wanted = SPECS[name].architecture
    if shape == wanted or (shape, wanted) == ("recurrent", "encoder-decoder"):
        return
    config = dataclasses.replace(PRESETS[SHAPES[shape]], vocabulary_size=300)
    with pytest.raises(UsageError, match="encoder|decoder-only"):
        SPECS[name].build({}).head(config, {})
