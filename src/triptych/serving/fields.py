"""Define what the fields of bodies have in common: strict types of JSON, and limits."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Le
from pydantic import BaseModel, ConfigDict, Field

from .limits import LONGEST_NAME, MOST_IDS

Name = Annotated[str, Field(max_length=LONGEST_NAME)]
TokenId = Annotated[int, Ge(0), Le(2**31 - 1)]
# fail_fast: a list of a hundred thousand wrong items is one error and not as many.
Tokens = Annotated[list[TokenId], Field(fail_fast=True, min_length=1, max_length=MOST_IDS)]


class Body(BaseModel):
    """Hold the JSON body of a request: "1" and true are no numbers, 1 is not true.

    Unknown fields are ignored, because clients add new ones.
    """

    model_config = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False)
