"""Names of files that no file system can hold are refused where a recipe is read."""

from __future__ import annotations

import pytest

from triptych.data.load import names_of
from triptych.errors import DataError


@pytest.mark.parametrize("name", ["a" * 256 + ".tsv", "data/" + "字" * 86 + "/train.tsv"])
def test_a_name_that_is_too_long_is_refused(name: str) -> None:
    with pytest.raises(DataError, match=r"cannot be the name of a file: .* allow 255"):
        names_of(["train.tsv", name])
    assert names_of("a" * 255) == ["a" * 255]
