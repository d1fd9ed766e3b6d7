"""Draw a classifier's answer.

The picture shows the probability of each label and those that were chosen, or a number's place on
its scale.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..html import Language, Picture, in_words
from .bars import bars, scale

LABELS: dict[Language, str] = {"en": "Probability of each label", "zh-Hant": "各標籤的機率"}
NUMBER: dict[Language, str] = {
    "en": "The number on the scale of the training texts",
    "zh-Hant": "數值在訓練資料範圍中的位置",
}
THRESHOLD: dict[Language, str] = {
    "en": "the label's threshold; a label in bold with ✓ reaches it and is therefore chosen",
    "zh-Hant": "該標籤的門檻；打 ✓ 的粗體標籤達到門檻，因而選出",
}
ENDS: dict[Language, str] = {
    "en": (
        "the mean of the training texts. The ends are their smallest and their largest value; no "
        "answer goes beyond them."
    ),
    "zh-Hant": "訓練資料的平均值。兩端是訓練資料的最小值與最大值，答案不會超出這個範圍。",
}


def picture(details: Mapping[str, Any], thresholds: Mapping[str, float] | None = None,
            known: Mapping[str, float] | None = None) -> Picture | None:  # fmt: skip
    """Draw a Prediction's `details`; None where they have neither labels nor a number.

    Args:
        details: Label probabilities or a number.
        thresholds: Threshold of each label, where several labels may hold at once.
        known: "low", "high" and "mean" of the numbers in training.
    """
    if "value" in details and known is not None:
        return Picture(
            NUMBER,
            scale(details["value"], known["low"], known["high"], known["mean"]) + _legend(ENDS),
        )
    if not details.get("probabilities"):
        return None
    if thresholds is None:
        return Picture(LABELS, bars(details["probabilities"]))
    return Picture(
        LABELS,
        bars(details["probabilities"], chosen=details["labels"], thresholds=thresholds)
        + _legend(THRESHOLD),
    )


def _legend(texts: Mapping[Language, str]) -> str:
    """Explain the line in the picture."""
    return f'<p class="legend"><span class="key end"></span>{in_words(texts)}</p>'
