"""One dial for decoder-only models: what it sets, what wins over it, what it says."""

from __future__ import annotations

from typing import Any

import pytest

from triptych.errors import UsageError
from triptych.presets import configure, parameter_count
from triptych.presets.depth import describe, sizes
from triptych.recipe.schema import Recipe

LM = '[task]\nname = "language-modelling"\n[data]\ntrain = "a.txt"\n[training]\nsteps = 10\n'


def stack(recipe: Recipe) -> Any:
    config: Any = recipe.model.config()
    return config.decoder


def test_the_rules() -> None:
    found = sizes(6, "decoder-small")
    assert found["decoder"] == {"layers": 6, "width": 384, "heads": 6, "inner_width": 1536}
    assert found["batches"] == {"batch_tokens": 18_432, "accumulate": 1} and found["training"] == {
        "learning_rate": 0.00133
    }
    whole = [sizes(depth, "gpt2") for depth in range(1, 41)]
    rates = [one["training"]["learning_rate"] for one in whole]
    tokens = [one["batches"]["batch_tokens"] * one["batches"]["accumulate"] for one in whole]
    assert (
        rates == sorted(rates, reverse=True)
        and tokens == sorted(tokens)
        and rates[0] == 3e-3
        and tokens[0] == 4096
    )
    assert max(one["batches"]["batch_tokens"] for one in whole) <= 32_768
    assert all(
        max(4096, 512 * depth**2) <= held < 512 * depth**2 + 4096
        for depth, held in enumerate(tokens, 1)
    )
    counts = [parameter_count(configure("gpt2", {"decoder": one["decoder"]})) for one in whole]
    assert counts == sorted(counts)
    # GPT-2 itself
    assert sizes(12, "gpt2")["decoder"] == {
        "layers": 12,
        "width": 768,
        "heads": 12,
        "inner_width": 3072,
    }
    for width, published in (
        (768, 6e-4),
        (1024, 3e-4),
        (1536, 2.5e-4),
        (2048, 2e-4),
        (2560, 1.6e-4),
        (4096, 1.2e-4),
    ):  # Brown et al. 2020, table 2.1
        rate = sizes(width // 64, "gpt2")["training"]["learning_rate"]
        assert published / 1.7 < rate < published * 1.7


@pytest.mark.parametrize("depth", range(1, 20))
def test_every_depth_fits_a_preset_with_fewer_key_heads(depth: int) -> None:
    decoder = sizes(depth, "llama-small")["decoder"]
    assert decoder["heads"] % decoder["key_heads"] == 0 and decoder["inner_width"] % 64 == 0
    configure("llama-small", {"decoder": decoder})


def test_in_a_recipe_and_saved_whole() -> None:
    recipe = Recipe.parse(LM + "[model]\ndepth = 4\ndropout = 0.2\n")
    assert (
        recipe.model.preset == "decoder-small"
        and stack(recipe).width == 256
        and stack(recipe).dropout == 0.2
    )
    assert recipe.batches.batch_tokens == 8192 and recipe.training.learning_rate == 2e-3
    assert "layers = 4" in recipe.to_toml() and Recipe.parse(recipe.to_toml()) == recipe


def test_what_is_said_wins() -> None:
    text = LM + (
        "learning_rate = 5e-4\n[model]\ndepth = 4\nwidth = 128\n[model.decoder]\nheads = 2\n"
        "[batches]\nbatch_tokens = 2048\n"
    )
    recipe = Recipe.parse(text)
    assert (stack(recipe).layers, stack(recipe).width, stack(recipe).heads) == (
        4,
        128,
        2,
    ) and recipe.training.learning_rate == 5e-4
    assert recipe.batches.batch_tokens == 2048 and recipe.batches.accumulate == 4
    later = Recipe.parse(text, overrides={"model.width": "192", "model.heads": "3"})
    assert (stack(later).width, stack(later).heads, stack(later).layers) == (192, 3, 4)


def test_a_step_keeps_its_tokens_in_smaller_micro_batches() -> None:
    text = LM + "[model]\ndepth = 12\n"
    whole, cut = (
        Recipe.parse(text).batches,
        Recipe.parse(text, overrides={"batches.batch_tokens": "4096"}).batches,
    )
    assert (whole.batch_tokens, whole.accumulate, cut.batch_tokens, cut.accumulate) == (
        24_576,
        3,
        4096,
        18,
    )
    said = Recipe.parse(
        text + "[batches]\naccumulate = 5\n", overrides={"batches.batch_tokens": "4096"}
    ).batches
    assert (said.batch_tokens, said.accumulate) == (4096, 5)


def test_on_the_command_line_it_replaces_the_recipe_but_not_its_neighbours() -> None:
    recipe = Recipe.load("war-and-peace", {"model.depth": "2", "training.learning_rate": "1e-4"})
    assert (
        stack(recipe).layers,
        stack(recipe).width,
        stack(recipe).heads,
        stack(recipe).inner_width,
    ) == (2, 128, 2, 512)
    assert (
        recipe.training.learning_rate == 1e-4
        and recipe.batches.batch_tokens == 4096
        and stack(recipe).dropout == 0.2
    )
    assert recipe.model.preset == "decoder-small" and recipe.training.minutes == 30


def test_it_says_what_it_set() -> None:
    recipe = Recipe.parse(LM + "learning_rate = 5e-4\n[model]\ndepth = 4\n")
    first, second = describe(4, recipe.model.preset, recipe.to_values(), 3_000_000, 8192)
    assert (
        "layers 4, width 256, heads 4, inner_width 1,024, batch_tokens 8,192, accumulate 1" in first
    )
    assert "said otherwise: learning_rate 0.0005" in first
    assert "60,000,000 tokens" in second and "7,325 steps" in second


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("depth = 0", "from 1 to 128"),
        ("depth = 1000", "from 1 to 128"),
        ('preset = "transformer-small"\ndepth = 4', "decoder-only"),
        ('start = "runs/a"\ndepth = 4', "model.depth cannot be given as well"),
        ('preset = "bert-tiny"\ndepth = 2', "preset"),
        ("depth = 2.5", "a whole number"),
    ],
)
def test_what_cannot_be_is_refused(model: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Recipe.parse(LM + "[model]\n" + model)
