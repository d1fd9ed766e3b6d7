"""How an answer is looked for. Imports no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from numbers import Integral, Real
from typing import Any

from ..errors import UsageError


@dataclass(frozen=True, kw_only=True)
class DecodingSettings:
    """The dials of `search`; a recipe's table `decoding`."""

    beams: int = 1  # 1: greedy
    # score = log-probability / length ** penalty; the length counts the end token
    length_penalty: float = 1.0
    n_best: int = 1  # answers kept for a source, best first
    temperature: float = 0.0  # 0: the most probable; above: sampling
    top_k: int = 0  # sampling: only the k most probable tokens; 0: all
    top_p: float = 1.0  # only the most probable tokens that together reach p (Holtzman et al. 2020)
    min_p: float = 0.0  # only tokens at least min_p as probable as the best (Nguyen et al. 2024)
    # sampling: draw so many and keep the n_best most probable (sample-and-rank, Adiwardana et al.
    # 2020)
    samples: int = 1
    # above 1: what was written before is less probable (Keskar et al. 2019, section 4.1)
    repetition_penalty: float = 1.0
    # no run of so many tokens is written twice in an answer (Paulus et al. 2018, section 2.5); 0:
    # off
    no_repeat_ngram_size: int = 0
    stop: list[str] | None = None  # the answer ends before the first of these texts
    # code: the answer ends before a line that is indented less than its first (`stopping`)
    stop_at_dedent: bool = False
    seed: int = 1  # of what sampling draws
    # tokens, end included; None: source length * max_length_ratio + max_length_extra
    max_length: int | None = None
    max_length_ratio: float = 2.0  # see max_length
    max_length_extra: int = 10  # see max_length
    min_length: int = 0  # tokens before the end is allowed
    batch_tokens: int = 4096  # source tokens decoded together
    # with a draft: so many tokens are proposed and checked at once (Leviathan et al. 2023)
    draft_tokens: int = 4
    # a step becomes one program, built once (about a minute, needs a C++ compiler) and kept
    # (compiled.py)
    compile: bool = False
    # False: greedy answers come without log-probabilities (0 instead), a little faster
    scores: bool = True

    def check(self) -> None:
        """Raise UsageError for values that cannot decode."""
        for one in fields(self):
            _check_type(one.name, str(one.type), getattr(self, one.name))
        wrong = [
            (self.beams < 1, "decoding.beams", self.beams, "at least 1"),
            (self.n_best < 1, "decoding.n_best", self.n_best, "at least 1"),
            (self.samples < 1, "decoding.samples", self.samples, "at least 1"),
            (
                not self.repetition_penalty > 0,
                "decoding.repetition_penalty",
                self.repetition_penalty,
                "above 0",
            ),
            (
                self.no_repeat_ngram_size < 0 or self.no_repeat_ngram_size == 1,
                "decoding.no_repeat_ngram_size",
                self.no_repeat_ngram_size,
                "0 (off) or at least 2",
            ),
            (
                self.stop is not None and not all(self.stop),
                "decoding.stop",
                self.stop,
                "a list of texts that are not empty",
            ),
            (self.temperature < 0, "decoding.temperature", self.temperature, "0 or more"),
            (self.top_k < 0, "decoding.top_k", self.top_k, "0 or more"),
            (not 0 < self.top_p <= 1, "decoding.top_p", self.top_p, "above 0 and at most 1"),
            (not 0 <= self.min_p <= 1, "decoding.min_p", self.min_p, "between 0 and 1"),
            (
                self.max_length is not None and self.max_length < 1,
                "decoding.max_length",
                self.max_length,
                "at least 1",
            ),
            (
                self.max_length_ratio < 0,
                "decoding.max_length_ratio",
                self.max_length_ratio,
                "0 or more",
            ),
            (
                self.max_length_extra < 1,
                "decoding.max_length_extra",
                self.max_length_extra,
                "at least 1",
            ),
            (self.min_length < 0, "decoding.min_length", self.min_length, "0 or more"),
            (self.draft_tokens < 1, "decoding.draft_tokens", self.draft_tokens, "at least 1"),
            (self.batch_tokens < 1, "decoding.batch_tokens", self.batch_tokens, "at least 1"),
        ]
        for name in (
            "temperature",
            "length_penalty",
            "top_p",
            "min_p",
            "max_length_ratio",
            "repetition_penalty",
        ):
            value = getattr(self, name)
            wrong.append((not math.isfinite(value), f"decoding.{name}", value, "a finite number"))
        for bad, name, value, allowed in wrong:
            if bad:
                raise UsageError(f"{name} is {value}; it must be {allowed}.")
        if self.max_length is not None and self.min_length > self.max_length:
            raise UsageError(
                f"decoding.min_length is {self.min_length}, above decoding.max_length "
                f"{self.max_length}."
            )
        if self.temperature == 0 and self.n_best > self.beams:
            raise UsageError(
                f"decoding.n_best is {self.n_best}, but {self.beams} beams find at most "
                f"{self.beams}. Raise decoding.beams."
            )
        if self.samples > 1 and self.temperature == 0:
            raise UsageError(
                f"decoding.samples is {self.samples}, but without decoding.temperature nothing is "
                "drawn."
            )
        if self.samples > 1 and not self.scores:
            raise UsageError(
                f"decoding.samples is {self.samples}, and the most probable cannot be kept with "
                "decoding.scores = false."
            )
        if self.repetition_penalty != 1 and self.beams > 1:
            raise UsageError(
                "decoding.repetition_penalty is for greedy search and sampling: leave out "
                "decoding.beams."
            )
        if self.temperature > 0 and self.beams > 1:
            raise UsageError(
                "Beams look for the most probable answer and sampling does not: give "
                "decoding.beams or decoding.temperature."
            )

    def longest(self, source_length: int) -> int:
        """The most tokens an answer to so long a source may have, end included."""
        return self.max_length or int(source_length * self.max_length_ratio) + self.max_length_extra


def _check_type(name: str, kind: str, value: Any) -> None:
    """Raise UsageError where a program gave what no recipe could say. kind: as the dial is
    annotated.
    """
    if value is None and kind.endswith("| None"):
        return
    if kind.startswith("list"):  # a text alone would be read as its characters
        fits, wanted = (
            isinstance(value, list | tuple) and all(isinstance(one, str) for one in value),
            "a list of texts",
        )
    elif kind == "bool":
        fits, wanted = isinstance(value, bool), "true or false"
    else:
        whole = kind.startswith("int")
        fits = isinstance(value, Integral if whole else Real) and not isinstance(value, bool)
        wanted = "a whole number" if whole else "a number"
    if not fits:
        raise UsageError(f"decoding.{name} is {value!r}; it must be {wanted}.")
