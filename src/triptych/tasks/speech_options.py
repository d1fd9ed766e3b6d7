"""Define the options of tasks that read sound. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge

from ..checking import Count, Note, NotNegative, Positive, Probability, Share


@dataclass(frozen=True, kw_only=True)
class TranscriptionOptions:
    """Write down what is said in a sound."""

    label_smoothing: Probability = 0.1  # label smoothing (Szegedy et al. 2016, section 7); 0: off
    # weight of the CTC loss of the encoder; attention has the rest (Watanabe et al. 2017, section
    # 3.1: 0.2). 0: attention alone, which does not converge on little data
    ctc_weight: Probability = 0.3
    # what the model reads: log-mel energies normalised over the clip, of which "log-mel-80db" keeps
    # only 80 decibels below the highest, or "whisper" (Radford et al. 2022, section 2.2) of 80 or,
    # for large-v3, of 128 mel bands
    features: Literal["log-mel", "log-mel-80db", "whisper", "whisper-128"] = "log-mel"
    # whisper: the language of the sound, where nothing else says it; none: the model finds it
    language: str | None = None
    # whisper: the answer holds times, and a long sound is read on from the last of them
    timestamps: bool = False
    # whisper with timestamps: a window whose text repeats itself or is improbable is drawn again
    # with the next of these (Radford et al. 2022, section 4.5)
    temperatures: list[NotNegative] = field(default_factory=lambda: [0.0])
    # seconds of sound read at once; longer sound is cut at its quietest places and the texts joined
    window: Annotated[float, Ge(0.5)] = 30.0
    # training plays each clip at one of these speeds, drawn anew in every epoch (Ko et al. 2015:
    # 0.9, 1.0 and 1.1)
    speeds: list[Positive] = field(default_factory=lambda: [1.0])
    # SpecAugment in training (Park et al. 2019, section 2): stretches of mel bands that are hidden
    frequency_masks: Annotated[int, Ge(0), Note("0: none")] = 0
    frequency_width: Count = 15  # the most bands of one of them
    # stretches of time that are hidden
    time_masks: Annotated[int, Ge(0), Note("0: none")] = 0
    time_share: Share = 0.1  # the largest share of the clip that one of them hides

    @property
    def draws(self) -> bool:
        """Tell whether training changes the sound by chance."""
        return self.speeds != [1.0] or bool(self.frequency_masks or self.time_masks)

    def contradictions(self, table: str) -> Iterator[str]:
        """Yield a sentence for speeds that no recording has."""
        for one in self.speeds:
            if not 0.25 <= one <= 4:
                yield f"{table}.speeds has {one}; a speed must be from 0.25 to 4."
        if not self.speeds:
            yield f"{table}.speeds is empty; give [1.0] to leave the speed as it is."
