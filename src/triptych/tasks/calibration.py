"""Fit a temperature and thresholds on development data, so that scores can be trusted.

Plain numpy.
"""

from __future__ import annotations

import math

import numpy as np

LOWEST, HIGHEST = math.log(0.05), math.log(20.0)  # bounds of the temperature
# Texts; with fewer nothing is fitted. Where a temperature was needed, one fitted on 20 texts made
# the likelihood of others worse in 17 % of draws, on 50 texts in 7 % (docs/decisions/022).
FEWEST = 50


def softmax(logits: np.ndarray) -> np.ndarray:
    """Normalise logits over the last axis."""
    raised = np.exp(logits - logits.max(-1, keepdims=True))
    return raised / raised.sum(-1, keepdims=True)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(logits, -60, 60)))


def fit_temperature(logits: np.ndarray, targets: np.ndarray) -> float:
    """Return the temperature of the least negative log-likelihood (Guo et al. 2017, section 4.2).

    Logits (B, C) are divided by it. targets: (B,) numbers of the right labels, or (B, C) of 0 and 1
    where each label is decided by itself. Where all answers are right, no temperature is too low
    and every score would end at 1; then B texts support a probability of at most 1 - 1 / (B + 2)
    (Platt 1999, section 2.2).
    """
    several = targets.ndim == 2
    wanted = targets.astype(float) if several else np.eye(logits.shape[1])[targets]
    right = (logits > 0) == (targets > 0) if several else logits.argmax(1) == targets
    if right.all():
        doubt = 1 / (len(logits) + 2)
        wanted = np.where(wanted > 0, 1 - doubt, doubt / (1 if several else logits.shape[1] - 1))

    def nll(log_temperature: float) -> float:
        scaled = logits / math.exp(log_temperature)
        if several:
            return float((np.logaddexp(0, scaled) - wanted * scaled).mean())
        top = scaled.max(1)
        return float(
            (top + np.log(np.exp(scaled - top[:, None]).sum(1)) - (wanted * scaled).sum(1)).mean()
        )

    low, high, golden = LOWEST, HIGHEST, (math.sqrt(5) - 1) / 2
    for _ in range(40):  # golden-section search: the likelihood has one minimum
        first, second = high - golden * (high - low), low + golden * (high - low)
        low, high = (low, second) if nll(first) < nll(second) else (first, high)
    return math.exp((low + high) / 2)


def fit_thresholds(probabilities: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return for each label (C,) the probability from which it is given, for its best F1.

    probabilities and targets are (B, C). A label that never occurs gets 0.5.
    """
    found = np.full(targets.shape[1], 0.5)
    for label in range(targets.shape[1]):
        order = np.argsort(-probabilities[:, label], kind="stable")
        sorted_probabilities, hits = probabilities[order, label], np.cumsum(targets[order, label])
        if not hits[-1]:
            continue
        scores = 2 * hits / (np.arange(1, len(hits) + 1) + hits[-1])
        # Labels with equal probabilities are given together or not at all.
        ends = np.append(sorted_probabilities[:-1] != sorted_probabilities[1:], True)
        best = int(np.argmax(np.where(ends, scores, -1)))
        following = sorted_probabilities[best + 1] if best + 1 < len(order) else 0.0
        found[label] = (sorted_probabilities[best] + following) / 2
    return found


def fit_offset(logits: np.ndarray, place: int, kept: float) -> float:
    """Return what is added to output `place` so that it wins for the share 1 - kept of the texts.

    logits (B, C) are those of texts whose right output is another one. It is the threshold on how
    far the best of the others is ahead (Larson et al. 2019, section 3, choose one on its
    probability).
    """
    ahead = np.sort(np.delete(logits, place, 1).max(1) - logits[:, place])
    count = int((1 - kept) * len(ahead) + 1e-9)
    if count == 0:
        return float(ahead[0]) - 1.0
    return float(ahead[count - 1] + ahead[min(count, len(ahead) - 1)]) / 2
