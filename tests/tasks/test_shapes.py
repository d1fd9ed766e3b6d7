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
    "both": "transformer-tiny",
    "recurrent": "recurrent-small",
}
OF_BOTH = (
    "translation",
    "summarization",
    "question-generation",
    "generative-answering",
    "text-to-text",
    "span-corruption",
)
WRITERS = ("language-modelling", "chat", "preference")


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", SPECS)
def test_a_model_of_another_shape_is_refused(name: str, shape: str) -> None:
    fits = (
        ("both", "recurrent")
        if name in OF_BOTH
        else ("decoder",)
        if name in WRITERS
        else ("encoder",)
    )
    if shape in fits:
        return
    config = dataclasses.replace(PRESETS[SHAPES[shape]], vocabulary_size=300)
    with pytest.raises(UsageError, match="encoder|writes"):
        SPECS[name].build({}).head(config, {})
