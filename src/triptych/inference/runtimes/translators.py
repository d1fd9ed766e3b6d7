"""Translate with CTranslate2: greedily or with beams, as the search here does."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ...decoding.requests import DecodedText, DecodingRequest
from ...decoding.settings import DecodingSettings
from ...decoding.text import trimmed
from ...decoding.writing import decode
from ...messages import message

if TYPE_CHECKING:
    from ...data.batches.encoded import Encoded
    from ..loaded import LoadedModel

VOCABULARIES = ("shared_vocabulary.json", "source_vocabulary.json", "target_vocabulary.json")

# settings that change the distribution which CTranslate2 scores
CHANGING = ("min_length", "repetition_penalty", "no_repeat_ngram_size", "suppress_tokens")


class TranslatorRuntime:
    """Answer requests with a source; see `runtime.Runtime`."""

    def __init__(self, folder: Path, loaded: LoadedModel) -> None:
        import ctranslate2

        self.loaded = loaded
        self.translator: Any = ctranslate2.Translator(
            str(folder),
            device=loaded.device.type,
            inter_threads=torch.get_num_threads(),
            intra_threads=1,
        )
        found = [
            json.loads((folder / name).read_text(encoding="utf-8"))
            for name in VOCABULARIES
            if (folder / name).is_file()
        ]
        self.source: list[str] = found[0]
        self.target: list[str] = found[-1]
        self.ids = {token: number for number, token in enumerate(self.target)}

    def refusal(self, settings: DecodingSettings) -> str | None:
        """Return a sentence about a setting that CTranslate2 does not have, or None."""
        if settings.temperature > 0:
            return message("CTranslate2 does not draw as decoding.seed says")
        if not settings.early_stopping and settings.beams > 1:
            return message("CTranslate2 has no decoding.early_stopping = false")
        return None

    def answer(self, encoded: list[Encoded], settings: DecodingSettings, start: int) -> list[Any]:
        """Return the n best answers to each source of a batch."""
        requests = [
            dataclasses.replace(self.loaded.request(one, settings), index=start + one.index)
            for one in encoded
        ]
        found: list[list[DecodedText] | None] = [None] * len(requests)
        for places in _groups(requests):
            group = [requests[place] for place in places]
            if group[0].prompt and group[0].prompt[0] != self.loaded.tokenizers.target.begin_id:
                continue  # its answer begins with another token than the model's
            for place, one in zip(places, self._translated(group), strict=True):
                found[place] = one
        missed = [place for place, one in enumerate(found) if one is None]
        if missed:
            own = decode(
                self.loaded.model,
                [requests[place] for place in missed],
                self.loaded.tokenizers.target,
            )
            for place, one in zip(missed, own, strict=True):
                found[place] = one
        return found

    def _translated(self, group: Sequence[DecodingRequest]) -> list[list[DecodedText] | None]:
        """Return the answers to requests with the same limit, or None where it fails."""
        settings, target = group[0].settings, self.loaded.tokenizers.target
        prefixes = [[self.target[number] for number in one.prompt[1:]] for one in group]
        try:
            results = self.translator.translate_batch(
                [self._source(one) for one in group],
                target_prefix=prefixes if any(prefixes) else None,
                beam_size=settings.beams,
                num_hypotheses=settings.n_best,
                length_penalty=settings.length_penalty,
                repetition_penalty=settings.repetition_penalty,
                no_repeat_ngram_size=settings.no_repeat_ngram_size,
                suppress_sequences=[[self.target[one]] for one in settings.suppress_tokens or ()],
                max_decoding_length=_longest(group[0]) + len(prefixes[0]),
                min_decoding_length=settings.min_length + len(prefixes[0]),
                end_token=list(target.end_ids),
                return_end_token=True,
                return_scores=True,
            )
        except RuntimeError:  # more positions than were written
            return [None] * len(group)
        return [
            [
                self._decoded(tokens[len(prefix) :], score, request)
                for tokens, score in zip(
                    one.hypotheses, self._scores(one, request, prefix), strict=True
                )
            ]
            for one, request, prefix in zip(results, group, prefixes, strict=True)
        ]

    def _scores(self, result: Any, request: DecodingRequest, prefix: list[str]) -> list[float]:
        """Return the log-probability of each answer by the model's own distribution, in nats.

        Where settings keep tokens away, CTranslate2 gives those of what is left.
        """
        settings, usual = request.settings, DecodingSettings()
        if not settings.scores:
            return [0.0] * len(result.hypotheses)
        lengths = [max(1, len(tokens) - len(prefix)) for tokens in result.hypotheses]
        if all(getattr(settings, name) == getattr(usual, name) for name in CHANGING):
            penalty = settings.length_penalty
            return [
                score * length**penalty
                for score, length in zip(result.scores, lengths, strict=True)
            ]
        ends = {self.target[number] for number in self.loaded.tokenizers.target.end_ids}
        targets = [
            tokens[:-1] if tokens and tokens[-1] in ends else tokens for tokens in result.hypotheses
        ]
        found = self.translator.score_batch([self._source(request)] * len(targets), targets)
        return [
            sum(one.log_probs[len(prefix) : len(prefix) + length])
            for one, length in zip(found, lengths, strict=True)
        ]

    def _source(self, request: DecodingRequest) -> list[str]:
        assert request.source is not None, "a translator reads a source"
        return [self.source[number] for number in request.source]

    def _decoded(self, tokens: list[str], nats: float, request: DecodingRequest) -> DecodedText:
        """Return an answer as the search here would, without the probability of each token."""
        target = self.loaded.tokenizers.target
        ids = [self.ids[one] for one in tokens]
        finished, length = bool(ids) and ids[-1] in target.end_ids, max(1, len(ids))
        ids = ids[:-1] if finished else ids
        return DecodedText(
            text=trimmed(target.decode(ids), finished),
            tokens=ids,
            log_probability=nats,
            score=nats / length**request.settings.length_penalty,
            token_log_probabilities=[],
            finished=finished,
            unread=request.unread,
        )


def _longest(request: DecodingRequest) -> int:
    settings, source = request.settings, request.source
    return max(settings.min_length, settings.longest(0 if source is None else len(source)))


def _groups(requests: Sequence[DecodingRequest]) -> list[list[int]]:
    """Group the places of requests with the same limit and as long a prefix."""
    groups: dict[tuple[int, int, int], list[int]] = {}
    for place, one in enumerate(requests):
        first = one.prompt[0] if one.prompt else -1
        groups.setdefault((_longest(one), len(one.prompt), first), []).append(place)
    return list(groups.values())
