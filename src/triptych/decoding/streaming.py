"""Follow one request from its first search to its last piece of text.

A `Writing` says what is to be searched, turns tokens into pieces of text, and goes on where the
context is full. `stream` drives one of them alone; a live engine drives many in one batch.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace

from ..model.interface import AnyModel
from .drafts import Drafted
from .generate import decoding_of
from .hypothesis import Hypothesis
from .requests import DecodedText, DecodingRequest, TokenDecoder, remaining
from .settings import DecodingSettings
from .steps import AdmitOptions
from .text import answer_reader, cut_at, delta, last_line, reader, stable
from .writing import REPREFILL_SEED_STRIDE, Continuing, answered, begun, ended, source_inputs


def stream(
    model: AnyModel | Drafted, request: DecodingRequest, tokenizer: TokenDecoder
) -> Generator[str, None, bool]:
    """Yield one answer in pieces: whole characters only, and nothing of a stop string.

    With beams, a piece is what all beams that can still win have in common. The pieces together are
    the best answer that `decode` gives.

    Returns:
        True if the answer ended by itself.
    """
    writing = Writing(replace(request, settings=replace(request.settings, n_best=1)), tokenizer)
    inputs = {} if request.source is None else source_inputs(model, [request])
    while not writing.is_over:
        decoding = decoding_of(model, begin=tokenizer.begin_id, end=tokenizer.end_ids)
        settings, options = writing.search()
        (number,) = decoding.admit(inputs, settings, **options)
        while decoding.live:
            # With several draws the best is known only at the end.
            if settings.samples == 1:
                yield from writing.grown(decoding.groups[0].settled(0))
            decoding.step()
        yield from writing.ended(decoding.answers.pop(number))
    return writing.answers[0].finished


class Writing:
    """Write the answers to one request, search by search.

    Until `is_over`, the caller runs the search that `search` describes, hands what is settled to
    `grown` where the pieces are wanted, and its hypotheses to `ended`. `answers` then holds what
    `decode` gives for the request; of several answers, those that fill the context are cut there.
    """

    def __init__(self, request: DecodingRequest, tokenizer: TokenDecoder) -> None:
        self.request = request
        self.answers: list[DecodedText] = []
        self.tokens: list[int] = []  # those of searches that have ended
        self.sent = ""
        self.begun = not request.strip
        self.stops: list[str] | None = None
        self.head: str | None = None
        if request.source is None:
            self.reads, self.shown = reader(tokenizer, request.prompt), request.shown
            self.stops = request.settings.stop
            self.head = last_line(request.settings, self.shown, self.reads)
        else:
            self.shown = list(request.prompt)
            self.reads = answer_reader(tokenizer, request.prompt)
        self._each: list[float] = []  # the log-probabilities of `tokens`

    @property
    def is_over(self) -> bool:
        """Tell whether there is nothing more to search."""
        return bool(self.answers)

    @property
    def given(self) -> int:
        """Return how many tokens a search begins with that are not part of its answer."""
        return max(0, len(self.shown) - 1)

    def search(self) -> tuple[DecodingSettings, AdmitOptions]:
        """Return the settings and the options of the next search."""
        request = self.request
        if request.source is not None:
            return request.settings, {"indices": [request.index], **begun([request])}
        left = remaining(request.settings, request.new_tokens, len(self.tokens))
        arguments = Continuing(
            shown=[self.shown],
            settings=replace(left, samples=1) if self.tokens else left,
            tokenizer=self.reads,
            context=request.context,
            indices=[request.index + REPREFILL_SEED_STRIDE * len(self.tokens)],
            heads=[self.head],
            before=self.tokens,
        ).arguments()
        options: AdmitOptions = {
            "max_lengths": arguments.get("max_lengths"),
            "prefixes": arguments.get("prefixes"),
            "begins": arguments.get("begins"),
            "stop": arguments.get("stop"),
            "indices": arguments.get("indices"),
            "counted": False,
            "before": self.tokens,
        }
        return arguments["settings"], options

    def grown(self, settled: list[int]) -> Iterator[str]:
        """Yield what `settled`, the certain tokens of the search, add to the text."""
        text = self.reads.decode(self.tokens + settled[self.given :])
        yield from self._pieces(text, final=False)

    def ended(self, found: list[Hypothesis]) -> Iterator[str]:
        """Take the results of a search, and yield the rest of the text if it was the last one."""
        request, first = self.request, self.given
        if request.source is not None:
            self.answers = [answered(one, first, request, self.reads) for one in found]
        elif len(found) > 1:
            self.answers = [
                self._answer(one.tokens[first:], one.token_log_probabilities[first:], one.finished)
                for one in found
            ]
        else:
            (best,) = found
            written = best.tokens[first:]
            self.tokens = self.tokens + written
            self._each = self._each + best.token_log_probabilities[first:]
            if not best.finished and len(self.tokens) < request.new_tokens:
                self.shown = [*self.shown, *written][-(request.context // 2) :]
                return
            self.answers = [self._answer(self.tokens, self._each, best.finished)]
        yield from self._pieces(self.answers[0].text, final=True)

    def _answer(self, tokens: list[int], each: list[float], finished: bool) -> DecodedText:
        """Return tokens of a continuation as an answer."""
        request = self.request
        return ended(
            tokens, each, finished, request.settings, self.reads, self.head, request.truncated
        )

    def _pieces(self, text: str, final: bool) -> Iterator[str]:
        """Yield what is certain of `text` and was not yet sent."""
        for piece in delta(text, self.sent, self.stops, self.head, final):
            piece = piece if self.begun else piece.lstrip()
            self.begun = self.begun or bool(piece)
            if piece:
                yield piece
        whole = cut_at(text, self.stops, self.head)
        self.sent = whole if final else stable(text, self.sent, self.stops, self.head)
