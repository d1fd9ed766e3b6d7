"""Rotations of config.json: older spellings are read as the present ones, and what is wrong."""

from __future__ import annotations

from typing import Any

import pytest
from toys_of_decoders import LINEAR, LLAMA, LLAMA3, LONGROPE, YARN

from triptych.errors import RunError
from triptych.interchange.families import READ
from triptych.model.config import StackConfig

SIZES = {**LLAMA, "vocab_size": 300, "hidden_act": "silu"}
BESIDE = ("rope_theta", "partial_rotary_factor")


def stack(kind: str = "llama", **values: Any) -> StackConfig:
    read = READ[kind].read_config
    assert read is not None
    found = read({**SIZES, "model_type": kind, **values}, "config.json").decoder
    assert found is not None
    return found


@pytest.mark.parametrize("name", ["type", "rope_type"])
@pytest.mark.parametrize("table", [LINEAR, LLAMA3, YARN])
def test_older_files_say_the_same(table: dict[str, Any], name: str) -> None:
    now = stack(rope_parameters=table)
    scaling = {key: one for key, one in table.items() if key not in BESIDE}
    scaling[name] = scaling.pop("rope_type")
    assert stack(rope_scaling=scaling, rope_theta=table["rope_theta"]) == now
    assert now.rotary_base == table["rope_theta"] and now.rotary_scaling is not None
    assert stack(rope_scaling=scaling, rope_parameters=table) == now  # both, as an export has them


@pytest.mark.parametrize("name", ["su", "yarn", "longrope"])
def test_phi3_had_other_names_for_longrope(name: str) -> None:
    table = {**LONGROPE, "rope_type": name}
    found = stack("phi3", rope_scaling=table, max_position_embeddings=8192)
    assert found.rotary_scaling == {
        "rope_type": "longrope",
        "original_max_position_embeddings": 4096,
        "factor": 2.0,
        "long_factor": LONGROPE["long_factor"],
        "short_factor": LONGROPE["short_factor"],
    }


def test_a_length_that_is_not_said_is_that_of_the_texts() -> None:
    table = {"rope_type": "yarn", "factor": 2.0}
    found = stack(rope_parameters=table, original_max_position_embeddings=16)
    assert found.rotary_scaling == {**table, "original_max_position_embeddings": 16}
    found = stack(rope_parameters={"rope_type": "dynamic", "factor": 2.0})
    scaling = {"rope_type": "dynamic", "factor": 2.0, "original_max_position_embeddings": 64}
    assert found.rotary_scaling == scaling and found.max_positions == 128


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"rope_scaling": "linear"}, "rope_scaling is 'linear', not a table"),
        ({"rope_parameters": [1]}, r"rope_parameters is \[1\], not a table"),
        ({"rope_scaling": {"type": "linear"}}, "rope_scaling of rope_type 'linear' lacks factor"),
        ({"rope_parameters": {"rope_type": "spiral"}}, "rope_parameters.rope_type is 'spiral'; it"),
        ({"rope_parameters": {"rope_type": ["yarn"]}}, r"rope_type is \['yarn'\]; it must be one"),
        ({"rope_scaling": {"type": "linear", "factor": 10**400}}, "it must be above 0"),
        ({"rope_scaling": {**LLAMA3, "high_freq_factor": 1}}, "must be above low_freq_factor"),
        ({"rope_scaling": {**YARN, "long_factor": [1.0]}}, "rope_scaling has 'long_factor'"),
        ({"rope_scaling": {**YARN, "rope_theta": 1}}, "needs .* and the base above 1"),
        ({"rope_parameters": {"rope_theta": "x"}}, "rope_theta is 'x'"),
        ({"rope_parameters": {"rope_theta": 10**400}}, "rope_theta is 1000"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor is 0.5, not 1.0"),
        ({"partial_rotary_factor": 7}, "partial_rotary_factor is 7, not above 0 and up to 1"),
    ],
)
def test_what_is_wrong_is_named(values: dict[str, Any], said: str) -> None:
    with pytest.raises(RunError, match=said):
        stack(**values)


def test_a_family_may_have_fewer_kinds() -> None:
    with pytest.raises(RunError, match="rope_type is 'linear'; a Phi-3 may have longrope"):
        stack("phi3", rope_scaling=LINEAR)
