"""Cut the text of an answer, and find its certain part while it grows. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from .requests import TokenDecoder
from .settings import DecodingSettings
from .stopping import dedent_at, without_open_lines


@dataclass(frozen=True, slots=True)
class FromTheBeginning:
    """Decode ids as the start of a text, where a tokenizer may add a space before a word."""

    tokenizer: TokenDecoder
    begin_id: int
    end_ids: Sequence[int]

    def decode(self, ids: Sequence[int]) -> str:
        return self.tokenizer.decode([self.begin_id, *ids])


def reader(tokenizer: TokenDecoder, prompt: Sequence[int]) -> TokenDecoder:
    """Return what decodes the ids written after `prompt`."""
    return (
        FromTheBeginning(tokenizer, prompt[0], tokenizer.end_ids)
        if is_bare(tokenizer, prompt)
        else tokenizer
    )


def answer_reader(tokenizer: TokenDecoder, prompt: Sequence[int]) -> TokenDecoder:
    """Return what decodes an answer to a source, after the ids `prompt` that it begins with.

    They are special tokens, of a language for example, or words that were given.
    """
    if tokenizer.decode(prompt):
        return tokenizer
    return FromTheBeginning(tokenizer, tokenizer.begin_id, tokenizer.end_ids)


def is_bare(tokenizer: TokenDecoder, prompt: Sequence[int]) -> bool:
    """Tell whether a prompt holds only begin."""
    return len(prompt) == 1 and prompt[0] == tokenizer.begin_id


def stopper(
    stops: Sequence[str] | None,
    prefixes: Sequence[Sequence[int]],
    tokenizer: TokenDecoder,
    before: Sequence[int] = (),
    heads: Sequence[str | None] = (),
) -> Callable[[int, list[int]], bool] | None:
    """Return a function that tells whether an answer holds a stop string.

    Args:
        stops: Texts that end an answer.
        prefixes: The ids given with each source, which do not belong to its answer.
        tokenizer: Reads the ids that are written.
        before: Tokens written earlier, which may have begun a character.
        heads: The `last_line` of each prompt.
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


def last_line(settings: DecodingSettings, prompt: list[int], tokenizer: TokenDecoder) -> str | None:
    """Return the last line of a prompt if a dedent after it ends the answer, else None."""
    return (
        # the first token may be begin, which is not text
        tokenizer.decode(prompt[prompt[:1] == [tokenizer.begin_id] :]).rpartition("\n")[2]
        if settings.stop_at_dedent
        else None
    )


def trimmed(text: str, finished: bool) -> str:
    """Return the text of an answer without the bytes of a character that its cut left open."""
    whole = text.rstrip("\ufffd")
    return text if finished else text[: max(len(whole), len(text) - 3)]


def cut_at(text: str, stops: Sequence[str] | None, head: str | None = None) -> str:
    """Return the text before the first stop string or dedent; `head` is the prompt's last line."""
    places = [place for one in stops or () if (place := text.find(one)) >= 0]
    if head is not None and (dedent := dedent_at(head, text)) is not None:
        places.append(dedent)
    return text[: min(places)] if places else text


def stable(text: str, sent: str, stops: Sequence[str] | None, head: str | None) -> str:
    """Return the certain part of a growing text, at least `sent`, which was yielded before.

    It leaves out an incomplete character, and what may become a stop string or precede a dedent.
    """
    text = cut_at(text, stops, head).rstrip("\ufffd")
    text = text if head is None else without_open_lines(text)
    for stop in stops or ():
        for size in range(min(len(stop) - 1, len(text)), 0, -1):
            if text.endswith(stop[:size]):
                text = text[:-size]
                break
    return text if len(text) > len(sent) else sent


def delta(
    text: str, sent: str, stops: Sequence[str] | None, head: str | None, final: bool
) -> Iterator[str]:
    """Yield what `text` adds to `sent`, as far as it is certain, or all if the text is final."""
    whole = cut_at(text, stops, head) if final else stable(text, sent, stops, head)
    if len(whole) > len(sent):
        yield whole[len(sent) :]
