"""Settings of the search for answers. Imports no torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, MinLen

from ..checking import Count, Note, NotNegative, Positive, Share, check_instance

TIMES = {"first", "without", "latest_first"}  # keys of `timestamps`


@dataclass(frozen=True, kw_only=True)
class DecodingSettings:
    """Hold the settings of `search`: a recipe's table `decoding`."""

    beams: Count = 1  # 1: greedy
    # score = log-probability / length ** penalty; the length counts the end token
    length_penalty: float = 1.0
    # beams: stop at as many answers as beams; false: go on while one could still rank before them
    early_stopping: bool = True
    n_best: Count = 1  # answers returned for a source, best first
    temperature: NotNegative = 0.0  # 0: the most probable token; above 0: sampling
    # sampling: only the k most probable tokens; 0: all
    top_k: Annotated[int, Ge(0), Note("0: all tokens")] = 0
    # only the most probable tokens that together reach p (Holtzman et al. 2020)
    top_p: Annotated[float, Gt(0), Le(1)] = 1.0
    min_p: Share = 0.0  # only tokens at least min_p as probable as the best (Nguyen et al. 2024)
    # sampling: how many to draw, of which the n_best most probable are kept (sample-and-rank,
    # Adiwardana et al. 2020)
    samples: Count = 1
    # above 1: tokens written before become less probable (Keskar et al. 2019, section 4.1)
    repetition_penalty: Positive = 1.0
    # no n-gram of this size is written twice in an answer (Paulus et al. 2018, section 2.5); 0: off
    no_repeat_ngram_size: Annotated[Literal[0], Note("off")] | Annotated[int, Ge(2)] = 0
    # numbers of tokens that are never written (the padding of a published Marian)
    suppress_tokens: list[Annotated[int, Ge(0)]] | None = None
    # numbers of tokens of which one is written first, then one of the next list, and so on
    # (Whisper: the languages, the task)
    first_tokens: list[Annotated[list[Annotated[int, Ge(0)]], MinLen(1)]] | None = None
    # numbers of tokens that are not written after these (Whisper: a space, the end)
    begin_suppress_tokens: list[Annotated[int, Ge(0)]] | None = None
    # tokens that are times, in steps of 20 ms, around each piece of text (Radford et al. 2023,
    # section 2.3): {"first": 50364, "without": 50363, "latest_first": 50}, the first of them, the
    # token that says there are none, and how many steps after 0 an answer may begin
    timestamps: dict[str, Annotated[int, Ge(0)]] | None = None
    # the answer ends before the first of these texts
    stop: list[Annotated[str, MinLen(1)]] | None = None
    # code: the answer ends before a line with less indentation than its first
    stop_at_dedent: bool = False
    seed: int = 1  # seed of sampling
    # the most tokens, end included; None: source length * max_length_ratio + max_length_extra
    max_length: Count | None = None
    max_length_ratio: NotNegative = 2.0  # see max_length
    max_length_extra: Count = 10  # see max_length
    min_length: Annotated[int, Ge(0)] = 0  # the fewest tokens before the end
    batch_tokens: Count = 4096  # source tokens decoded together
    # of runs that hear: weight of the CTC prefix beside attention (Hori et al. 2017: 0.3)
    ctc_weight: Share = 0.0
    # with a draft: how many tokens are proposed and checked at once (Leviathan et al. 2023)
    draft_tokens: Count = 4
    # run each step as one program, built once (about a minute, needs a C++ compiler) and cached
    compile: bool = False
    # False: greedy answers have no log-probabilities (0 instead), which is a little faster
    scores: bool = True

    def check(self) -> None:
        """Raise UsageError for values that cannot decode."""
        check_instance(self, "decoding")

    def contradictions(self, table: str) -> Iterator[str]:
        """Yield a sentence for each two settings that contradict each other."""
        if self.max_length is not None and self.min_length > self.max_length:
            yield (
                f"{table}.min_length is {self.min_length}, above {table}.max_length "
                f"{self.max_length}."
            )
        if self.temperature == 0 and self.n_best > self.beams:
            yield (
                f"{table}.n_best is {self.n_best}, but {self.beams} beams find at most "
                f"{self.beams}. Raise {table}.beams."
            )
        if self.samples > 1 and self.temperature == 0:
            yield (
                f"{table}.samples is {self.samples}, but {table}.temperature is 0, so nothing is "
                "drawn. Set it above 0."
            )
        if self.samples > 1 and not self.scores:
            yield (
                f"{table}.samples is {self.samples}, but {table}.scores = false leaves no "
                "probabilities to rank them. Leave one of them out."
            )
        if self.repetition_penalty != 1 and self.beams > 1:
            yield (
                f"{table}.repetition_penalty is for greedy search and sampling: leave out "
                f"{table}.beams."
            )
        if self.temperature > 0 and self.beams > 1:
            yield (
                "Beam search and sampling exclude each other: give "
                f"{table}.beams or {table}.temperature."
            )

        given = set(self.timestamps or ())
        if given and ("first" not in given or given - TIMES):
            yield (
                f"{table}.timestamps has {sorted(given)}; it must have first and may have without "
                "and latest_first."
            )

    def longest(self, source_length: int) -> int:
        """Return the most tokens of an answer to a source of this length, end included."""
        return self.max_length or int(source_length * self.max_length_ratio) + self.max_length_extra


SET_ONLY = (
    "early_stopping",
    "suppress_tokens",
    "ctc_weight",
    "first_tokens",
    "begin_suppress_tokens",
    "timestamps",
)  # written only if they are not the default


def written_settings(settings: DecodingSettings) -> dict[str, Any]:
    """Return the settings as config.json holds them."""
    usual = DecodingSettings()
    return {
        key: value
        for key, value in dataclasses.asdict(settings).items()
        if key not in SET_ONLY or value != getattr(usual, key)
    }
