"""Show a decoder-only run for `inspect`, and the beam tree of any run that generates text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from ..messages import listed, message, sentences
from .inspect_shown import MOST_ROWS, MOST_WINDOWS, Options, Shown
from .language import translated

if TYPE_CHECKING:
    from ..data.example import Example
    from ..decoding.settings import DecodingSettings
    from ..inference.predictor import Predictor
    from ..inspection.html import Picture
    from ..inspection.trace import Trace

HEADS = message("token"), message("nats"), message("expected there")
MOST_NAMED = 3  # next tokens listed in a terminal


def look(predictor: Predictor, text: str, options: Options) -> Shown:
    """Continue `text`, or with --target read both, and show what was expected at each token."""
    from ..inference.traces import trace_writing, traced_settings

    if options.to is not None or options.passage is not None or options.words:
        raise UsageError(
            f"--to, --passage and --words have no effect for {predictor.task.name}, which reads a "
            "text alone. Leave them out."
        )
    if options.kinds not in (("cross",), ("decoder",)):  # "cross" is the default of all runs.
        raise UsageError(
            f"--kinds is for an encoder-decoder; a run for {predictor.task.name} has only its "
            "decoder's attention. Leave it out."
        )
    settings = traced_settings(predictor.settings(**options.decoding))
    forced = options.target is not None
    talks = predictor.task.input == "messages"
    example = predictor.example(text if talks else text + (options.target or ""), "The text")
    traces, unread = trace_writing(
        predictor, example, settings, target=options.target, windows=MOST_WINDOWS
    )
    pictures = [] if forced else beam_tree(predictor, example, settings)
    return Shown(
        answer=traces[0].target_text,
        rows=_rows(traces),
        note=_note(traces[0], unread, bool(pictures)),
        traces=traces,
        pictures=pictures,
    )


def beam_tree(predictor: Predictor, example: Example, settings: DecodingSettings) -> list[Picture]:
    """Return the tree of the search for the answer, or nothing without a beam search."""
    from ..inference.traces import search_tree
    from ..inspection.html import Picture
    from ..inspection.views.beam_lines import markup

    if settings.beams < 2:
        return []
    tree = search_tree(predictor, example, settings)
    score = f"{tree.score:.3f}".replace("-", "−")
    titles = {
        "en": f"Beam search: {tree.beams} beams; score of the answer {score}",
        "zh-Hant": f"束搜尋：{tree.beams} 條；答案的分數 {score}",
    }
    return [Picture(titles, markup(tree, predictor.tokenizers.target.decode))]  # type: ignore[arg-type]


def _rows(traces: list[Trace]) -> list[list[str]]:
    """Return one row per token: its nats and the tokens expected there.

    Of a long text only the most surprising tokens.
    """
    found: list[tuple[float, list[str]]] = []
    for trace in traces:
        expected = trace.expected
        assert expected is not None, "a trace of a decoder-only model has them"
        before: list[Any] = []
        for place, (cell, nats, choices) in enumerate(
            zip(trace.source, expected.nats, expected.choices, strict=True)
        ):
            named = "  ".join(f"{one.label} {100 * one.probability:.0f} %" for one in before)
            if nats is not None:
                found.append(
                    (
                        nats,
                        [
                            cell.label,
                            f"{nats:.2f}",
                            named,
                            translated(message("written")) if place >= expected.written else "",
                        ],
                    )
                )
            before = sorted(choices, key=lambda one: -one.probability)[:MOST_NAMED]
    kept = sorted(sorted(range(len(found)), key=lambda place: -found[place][0])[:MOST_ROWS])
    return [[*map(translated, HEADS), ""], *(found[place][1] for place in kept)] if found else []


def _note(trace: Trace, unread: int, has_tree: bool) -> str:
    assert trace.expected is not None, "a trace of a decoder-only model has them"
    parts = []
    for name, total in (
        (message("The text"), trace.expected.given),
        (message("Generated"), trace.expected.own),
    ):
        if total.tokens:
            figures = [
                message("{tokens:,} tokens, {nats:.2f} nats", tokens=total.tokens, nats=total.nats)
            ]
            if total.bits_per_byte is not None:
                figures.append(message("{bits:.3f} bits per byte", bits=total.bits_per_byte))
            if total.perplexity is not None:
                figures.append(message("perplexity {value:.2f}", value=total.perplexity))
            parts.append(message("{name}: {figures}.", name=name, figures=listed(figures)))
    if trace.window[1] > 1:
        parts.append(
            message(
                "The text is read in {count} windows, each without the text before it.",
                count=trace.window[1],
            )
        )
    if "not_shown" in trace.notes:
        parts.append(
            message(
                "The generated text does not fit the context together with the text and is not "
                "shown."
            )
        )
    if unread:
        parts.append(
            message(
                "Truncated: before generating, the model read only the end of the text "
                "({count:,} tokens not read).",
                count=unread,
            )
        )
    last = (
        message("Attention, next tokens and the beam tree: --html FILE.")
        if has_tree
        else message("Attention, next tokens: --html FILE.")
    )
    return sentences([*parts, last])
