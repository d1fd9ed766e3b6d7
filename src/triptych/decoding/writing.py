"""Writing on from a prompt: continuations of a whole batch, or one as a stream of text. For models
that only write.

A prompt too long for the context loses its beginning, and what is written past the context is
written after rereading its last half, so an answer may be of any length.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from torch import Tensor

from .generate import decoding_of, search
from .hypothesis import Hypothesis, SearchStep
from .settings import DecodingSettings
from .stopping import dedent_at, without_open_lines

NEW_TOKENS = 200  # written where nothing else is asked for
# added for each token to what identifies a prompt, so that what is written after rereading is
# another draw
REPREFILL_SEED_STRIDE = 7919
# tokens' worth of that: added for each answer of a prompt, so that no two of them are written on by
# the same draws
NEXT = 1 << 20


class TokenDecoder(Protocol):
    """What writing needs of a tokenizer. end_ids: all tokens that end an answer."""

    begin_id: int

    @property
    def end_ids(self) -> Sequence[int]: ...
    def decode(self, ids: Sequence[int], /) -> str: ...


@dataclass(slots=True)
class FromTheBeginning:
    """How ids read where nothing stands before them but begin: a tokenizer may put a space before
    the first word of a text.
    """

    tokenizer: TokenDecoder
    begin_id: int
    end_ids: Sequence[int]

    def decode(self, ids: Sequence[int]) -> str:
        return self.tokenizer.decode([self.begin_id, *ids])


@dataclass(frozen=True, slots=True)
class Written:
    """One continuation: its text, its tokens without the prompt's, nats. unread: tokens of the
    prompt that were dropped.

    finished: it ended by itself or at a stop string, not at the maximum length.
    """

    text: str
    tokens: list[int]
    log_probability: float
    score: float
    token_log_probabilities: list[float]
    finished: bool
    unread: int = 0


def write(
    model: Any,
    prompts: Sequence[Sequence[int]],
    settings: DecodingSettings,
    tokenizer: TokenDecoder,
    *,
    context: int,
    indices: Sequence[int] | None = None,
    on_event: Callable[[SearchStep], None] | None = None,
) -> list[list[Written]]:
    """The n best continuations of each prompt, best first. prompts: ids, at least one: begin first,
    or the first of a text before which its tokenizer puts none. indices: what identifies each for a
    draw.

    on_event: is told every step of the first search, not of what is written past the context; nor
    are those draws written on that were not among the n best when the context was full.
    """
    names = list(range(len(prompts))) if indices is None else list(indices)
    found = _within(model, prompts, settings, tokenizer, context, names, on_event)
    return [
        sorted(
            (
                _longer(
                    model,
                    one,
                    prompt,
                    settings,
                    tokenizer,
                    context,
                    name + REPREFILL_SEED_STRIDE * NEXT * rank,
                )
                for rank, one in enumerate(several)
            ),
            key=lambda one: (not one.finished, -one.score),
        )
        for prompt, several, name in zip(prompts, found, names, strict=True)
    ]


def _within(
    model: Any,
    prompts: Sequence[Sequence[int]],
    settings: DecodingSettings,
    tokenizer: TokenDecoder,
    context: int,
    names: Sequence[int],
    on_event: Callable[[SearchStep], None] | None = None,
    before: Sequence[int] = (),
    head: str | None = None,
) -> list[list[Written]]:
    """As `write`, up to where the context is full. before: what was written before that, and is
    reread; head: what it is told a dedent from, where that is no longer the prompt's.
    """
    new = settings.max_length or NEW_TOKENS
    shown = [fitting(prompt, new, context) for prompt in prompts]
    found: list[list[Written]] = [[] for _ in prompts]
    bare = [_is_bare(tokenizer, prompt) for prompt in prompts]
    for kind in sorted({*bare}):
        members = [place for place, own in enumerate(bare) if own == kind]
        reads = reader(tokenizer, prompts[members[0]])
        prefixes = [list(shown[place][1:]) for place in members]
        room = [min(len(prefix) + new, context) for prefix in prefixes]
        plain = replace(settings, max_length=None, max_length_ratio=0.0, max_length_extra=context)
        heads = [
            _head(settings, shown[place], reads) if head is None else head for place in members
        ]
        answers = search(
            model,
            {},
            plain,
            begin=tokenizer.begin_id,
            end=tokenizer.end_ids,
            max_lengths=room,
            prefixes=prefixes,
            begins=[shown[place][0] for place in members],
            stop=stopper(settings.stop, prefixes, reads, before, heads),
            indices=[names[place] for place in members],
            on_event=on_event,
            counted=False,
            before=before,
        )
        for place, prefix, several in zip(members, prefixes, answers, strict=True):
            dropped = len(prompts[place]) - len(shown[place])
            found[place] = [
                _written(one, shown[place][0], len(prefix), settings, reads, dropped)
                for one in several
            ]
    return found


def stream(
    model: Any,
    prompt: Sequence[int],
    settings: DecodingSettings,
    tokenizer: TokenDecoder,
    *,
    context: int,
) -> Generator[str, None, bool]:
    """One continuation, piece by piece as it is written: whole characters only, and nothing of a
    stop string. Of beams, what all that can still win have in common. Returns whether it ended by
    itself.
    """
    tokenizer = reader(tokenizer, prompt)
    new, sent, tokens, shown = (
        settings.max_length or NEW_TOKENS,
        "",
        [],
        fitting(prompt, settings.max_length or NEW_TOKENS, context),
    )
    head = _head(settings, shown, tokenizer)
    while True:
        prefix = list(shown[1:])
        most = min(len(prefix) + new - len(tokens), context)
        plain = replace(
            _left(settings, new, len(tokens)),
            max_length=None,
            max_length_ratio=0.0,
            max_length_extra=context,
            n_best=1,
            samples=1 if tokens else settings.samples,
        )
        stop = stopper(settings.stop, [prefix], tokenizer, tokens, [head])
        steps = _steps(
            model,
            {},
            plain,
            begin=shown[0],
            end=tokenizer.end_ids,
            max_lengths=[most],
            prefixes=[prefix],
            stop=stop,
            indices=[REPREFILL_SEED_STRIDE * len(tokens)],
            counted=False,
            before=tokens,
        )
        answer = None
        for answer in steps:
            if isinstance(answer, Hypothesis):
                break
            text = tokenizer.decode(tokens + answer[len(prefix) :])
            yield from _delta(text, sent, settings.stop, head, final=False)
            sent = _stable(text, sent, settings.stop, head)
        assert isinstance(answer, Hypothesis), "the last of the steps"
        tokens = tokens + answer.tokens[len(prefix) :]
        if answer.finished or len(tokens) >= new:
            break
        shown = ([*shown, *answer.tokens[len(prefix) :]])[-(context // 2) :]
    text = tokenizer.decode(tokens)
    # beams are not asked in the last step
    finished = answer.finished or cut_at(text, settings.stop, head) != text
    yield from _delta(trimmed(text, finished), sent, settings.stop, head, final=True)
    return finished


def stream_answer(
    model: Any,
    inputs: dict[str, Tensor],
    settings: DecodingSettings,
    tokenizer: TokenDecoder,
    *,
    begin: int,
    index: int = 0,
) -> Generator[str, None, bool]:
    """The answer to one source of an encoder-decoder model, in the manner of `stream`."""
    sent, answer = "", None
    for answer in _steps(
        model,
        inputs,
        replace(settings, n_best=1),
        begin=begin,
        end=tokenizer.end_ids,
        indices=[index],
    ):
        if isinstance(answer, Hypothesis):
            text = trimmed(tokenizer.decode(answer.tokens), answer.finished)
        else:
            text = tokenizer.decode(answer)
        yield from _delta(text, sent, None, None, final=isinstance(answer, Hypothesis))
        sent = _stable(text, sent, None, None)
    assert isinstance(answer, Hypothesis), "the last of the steps"
    return answer.finished


def _steps(
    model: Any,
    inputs: dict[str, Tensor],
    settings: DecodingSettings,
    *,
    begin: int,
    end: Sequence[int],
    **given: Any,
) -> Iterator[list[int] | Hypothesis]:
    """What is settled of one source's answer, step after step; last, the answer. Of several draws
    only the best is known, at the end.
    """
    decoding = decoding_of(model, begin=begin, end=end)
    (number,) = decoding.admit(inputs, settings, **given)
    while decoding.live:
        if settings.samples == 1:
            yield decoding.groups[0].settled(0)
        decoding.step()
    yield decoding.answers.pop(number)[0]


def from_first_word(pieces: Generator[str, None, bool]) -> Generator[str, None, bool]:
    """The pieces of a turn without the white space before it."""
    begun = False
    while True:
        try:
            piece = next(pieces)
        except StopIteration as end:
            return bool(end.value)
        piece = piece if begun else piece.lstrip()
        begun = begun or bool(piece)
        if piece:
            yield piece


def reader(tokenizer: TokenDecoder, prompt: Sequence[int]) -> TokenDecoder:
    """What decodes the ids written after `prompt`."""
    return (
        FromTheBeginning(tokenizer, prompt[0], tokenizer.end_ids)
        if _is_bare(tokenizer, prompt)
        else tokenizer
    )


def _is_bare(tokenizer: TokenDecoder, prompt: Sequence[int]) -> bool:
    """Whether a prompt holds nothing but begin."""
    return len(prompt) == 1 and prompt[0] == tokenizer.begin_id


def fitting(prompt: Sequence[int], new: int, context: int) -> list[int]:
    """The prompt, or so much of its end that `new` tokens, or at least half a context of them, have
    room after it.
    """
    room = max(1, context - min(new, context // 2))
    return list(prompt[-room:]) if len(prompt) > room else list(prompt)


def stopper(
    stops: Sequence[str] | None,
    prefixes: Sequence[Sequence[int]],
    tokenizer: TokenDecoder,
    before: Sequence[int] = (),
    heads: Sequence[str | None] = (),
) -> Callable[[int, list[int]], bool] | None:
    """Whether what was written holds a stop string, wherever the borders of tokens fall. before:
    tokens written before what is searched for now, of which one may have begun a character; heads:
    of each prompt its `_head`.
    """
    if not stops and all(head is None for head in heads):
        return None

    def stop(source: int, tokens: list[int]) -> bool:
        text = tokenizer.decode([*before, *tokens[len(prefixes[source]) :]])
        head = heads[source] if heads else None
        return any(one in text for one in stops or ()) or (
            head is not None and dedent_at(head, text) is not None
        )

    return stop


def _head(settings: DecodingSettings, prompt: list[int], tokenizer: TokenDecoder) -> str | None:
    """The last line of a prompt, where a dedent is to be told from it. Its first token may be
    begin, which is no text.
    """
    return (
        tokenizer.decode(prompt[prompt[:1] == [tokenizer.begin_id] :]).rpartition("\n")[2]
        if settings.stop_at_dedent
        else None
    )


def trimmed(text: str, finished: bool) -> str:
    """The text of an answer: one that was cut may have been cut inside a character, of whose up to
    three bytes nothing is shown.
    """
    whole = text.rstrip("\ufffd")
    return text if finished else text[: max(len(whole), len(text) - 3)]


def cut_at(text: str, stops: Sequence[str] | None, head: str | None = None) -> str:
    """The text before the first stop string, or before a dedent after a prompt whose last line is
    `head`.
    """
    places = [place for one in stops or () if (place := text.find(one)) >= 0]
    if head is not None and (dedent := dedent_at(head, text)) is not None:
        places.append(dedent)
    return text[: min(places)] if places else text


def _written(
    one: Hypothesis,
    first: int,
    given: int,
    settings: DecodingSettings,
    tokenizer: TokenDecoder,
    unread: int,
) -> Written:
    tokens, each = one.tokens[given:], one.token_log_probabilities[given:]
    total = sum(each)
    text = tokenizer.decode(tokens)
    head = _head(settings, [first, *one.tokens[:given]], tokenizer)
    stopped = cut_at(text, settings.stop, head)
    score = total / max(1, len(each)) ** settings.length_penalty
    finished = one.finished or stopped != text
    return Written(trimmed(stopped, finished), tokens, total, score, each, finished, unread)


def _longer(
    model: Any,
    one: Written,
    prompt: Sequence[int],
    settings: DecodingSettings,
    tokenizer: TokenDecoder,
    context: int,
    name: int,
) -> Written:
    """Write on past the context, rereading its last half each time."""
    new = settings.max_length or NEW_TOKENS
    shown, tokenizer = fitting(prompt, new, context), reader(tokenizer, prompt)
    head = _head(settings, shown, tokenizer)
    while not one.finished and len(one.tokens) < new:
        again = ([*shown, *one.tokens])[-(context // 2) :]
        left = _left(
            replace(settings, n_best=1, samples=1, stop_at_dedent=False), new, len(one.tokens)
        )
        names = [name + REPREFILL_SEED_STRIDE * len(one.tokens)]
        (more,) = _within(
            model, [again], left, tokenizer, context, names, before=one.tokens, head=head
        )
        tokens, each = (
            one.tokens + more[0].tokens,
            one.token_log_probabilities + more[0].token_log_probabilities,
        )
        whole = tokenizer.decode(tokens)
        text = cut_at(whole, settings.stop, head)
        score = sum(each) / max(1, len(each)) ** settings.length_penalty
        finished = more[0].finished or text != whole
        one = Written(trimmed(text, finished), tokens, sum(each), score, each, finished, one.unread)
    return one


def _left(settings: DecodingSettings, new: int, written: int) -> DecodingSettings:
    """What is still asked for when so many of `new` tokens are written."""
    return replace(
        settings, max_length=new - written, min_length=max(0, settings.min_length - written)
    )


def _stable(text: str, sent: str, stops: Sequence[str] | None, head: str | None) -> str:
    """What can be told of `text`: no half character, nothing that may turn out to be a stop string
    or to stand before a dedent.
    """
    text = cut_at(text, stops, head).rstrip("\ufffd")
    text = text if head is None else without_open_lines(text)
    for stop in stops or ():
        for size in range(min(len(stop) - 1, len(text)), 0, -1):
            if text.endswith(stop[:size]):
                text = text[:-size]
                break
    return text if len(text) > len(sent) else sent


def _delta(
    text: str, sent: str, stops: Sequence[str] | None, head: str | None, final: bool
) -> Iterator[str]:
    whole = cut_at(text, stops, head) if final else _stable(text, sent, stops, head)
    if len(whole) > len(sent):
        yield whole[len(sent) :]
