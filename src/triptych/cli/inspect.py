"""Run `triptych inspect`: what a run attended to, and a picture of its answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from ..errors import UsageError
from ..messages import Message, message
from .console import talk
from .inputs import example_of, read_passage, refuse_words
from .inspect_hearing import hearing
from .inspect_inside import AS_IT_IS, Inside, show, shown_inside
from .inspect_shown import MOST_ROWS, MOST_WINDOWS, Options, Shown
from .language import translated
from .outputs import refuse_page
from .predict import decoding_changes, load_run

if TYPE_CHECKING:
    from ..inference.predictor import Predictor
    from ..inspection.trace import Trace
    from ..tasks.task import Prediction, View

Language = Literal["en", "zh-Hant"]
MOST = 3  # source words listed for a target word
MOST_TITLE = 100  # characters of a text in a page's heading
MOST_SENTENCES = 50  # sentences drawn on one page
ATTRIBUTED = {
    "label": message("log p({of})", of=""),
    "value": message("the number"),
    "answer": message("the likeliest span"),
    "tags": message("the tags"),
    "tree": message("the tree"),
    "entity_tags": message("the tags"),
    "filling": message("the filling ({of})", of=""),
}
CANDIDATES = message("candidate"), message("characters"), message("probability")


def inspect(
    run: str,
    text: str,
    /,
    *,
    html: Path | None = None,
    to: str | None = None,
    target: str | None = None,
    kinds: str = "cross",
    passage: str | None = None,
    words: bool = False,
    language: Language | None = None,
    inside: Annotated[Inside, Parameter(name="*")] = AS_IT_IS,
    overrides: Annotated[dict[str, str] | None, Parameter(parse=False)] = None,
) -> int:
    """Answer a text, and show what the model attended to.

    Of a translator: the source words that each word of the answer attends to. Of an encoder-only
    run: what each token attends to, and what the answer depends on. Of a decoder-only run: how
    unexpected each token is, and which tokens were expected. With --decoding.beams 5 also the
    search tree.

    Parameters
    ----------
    run
        Folder of a trained run.
    text
        The text to answer.
    html
        Write a page: attention of every layer and head, and a picture of the answer.
    to
        Target language; needed if the run has several.
    target
        Inspect this text as the answer, instead of searching for one: a decoder-only run's
        continuation, or a classifier's label.
    kinds
        For an encoder-decoder, which attention is shown: cross (from answer to source), encoder,
        decoder, or several separated by commas.
    passage
        For a run that answers questions: a file or a text in which the answer is found.
    words
        The text is already split into words by spaces.
    language
        Language in which the page opens, by default that of the command line; a button on the page
        changes it.
    """
    refuse_page(html)
    inside.refuse_wrong()
    predictor = load_run(run)
    if words:
        refuse_words(predictor)
    options = Options(
        to=to,
        target=target,
        kinds=tuple(kind.strip() for kind in kinds.split(",")),
        passage=read_passage(passage),
        words=words,
        decoding=decoding_changes(overrides),
    )
    shown = shown_inside(predictor, text, options, inside, view_of(predictor))
    return show(predictor, shown, inside, html, language)


def view_of(predictor: Predictor) -> Callable[[Predictor, str, Options], Shown]:
    """Return the function that shows an answer of the run's task."""
    return VIEWS[predictor.task.spec.view]


# One view per task: (predictor, text, options) -> Shown -------------------------------------------


def translation(predictor: Predictor, text: str | dict[str, object], options: Options) -> Shown:
    """Show the attention from the answer's words to the source's."""
    from .inspect_writing import beam_tree

    if options.passage is not None and isinstance(text, str):
        raise UsageError(
            "--passage has no effect here, because a run for {task} reads one text. Leave it out.",
            task=predictor.task.name,
        )
    trace = predictor.trace(
        text, to=options.to, target=options.target, kinds=options.kinds, **options.decoding
    )
    settings, example = (
        predictor.settings(**options.decoding),
        predictor.example(text, "The text", options.to),
    )
    if "source_cut" in trace.notes:
        unseen = predictor.task.encode(
            example, predictor.tokenizers, predictor.labels, "use", None
        )[0].unseen
        talk(
            message(
                "Truncated: the text ({count:,} tokens not read; see task.longest_source).",
                count=unseen,
            )
        )
    pictures = [] if options.target is not None else beam_tree(predictor, example, settings)
    if not trace.attention:
        note = message(
            "This model has no attention: one vector carries the whole sentence, so there is "
            "nothing to show."
        )
        return Shown(
            answer=trace.target_text, rows=[], note=note, traces=[trace], pictures=pictures
        )
    note = message(
        "Attention weight, mean over layers and heads; it does not prove a cause. All layers and "
        "heads: --html FILE."
    )
    rows = _strongest(trace) if "cross" in trace.attention else []
    return Shown(answer=trace.target_text, rows=rows, note=note, traces=[trace], pictures=pictures)


def generative_answering(predictor: Predictor, text: str, options: Options) -> Shown:
    """Show a translation's view, whose source is a question with its passage."""
    if options.passage is None:
        raise UsageError(
            message("A question needs a passage. Give one with --passage FILE or --passage TEXT.")
        )
    return translation(predictor, {"question": text, "passage": options.passage}, options)


def span_corruption(predictor: Predictor, text: str, options: Options) -> Shown:
    """Show a translation's view; the answer is the text with its marks filled."""
    shown = translation(predictor, text, options)
    shown.answer = predictor.predict([text], **options.decoding)[0].text
    return shown


def encoder(predictor: Predictor, text: str, options: Options) -> Shown:
    """Show the self-attention of a run with an encoder alone."""
    return _encoder(predictor, text, options)[0]


def classification(predictor: Predictor, text: str, options: Options) -> Shown:
    """Show the encoder's view, and label probabilities as bars or the number on its scale."""
    from ..inspection.views.classification import picture

    shown, prediction = _encoder(predictor, text, options)
    thresholds = None
    if predictor.task.options.get("learn") == "labels":
        thresholds = dict(
            zip(predictor.head.names, predictor.head.thresholds.float().tolist(), strict=True)
        )
    found = picture(prediction.details, thresholds, predictor.labels.get("value"))
    shown.pictures += [] if found is None else [found]
    return shown


def fillings(predictor: Predictor, text: str, options: Options) -> Shown:
    """Show the encoder's view, and what could fill each masked place as bars."""
    from ..inspection.views.fillings import picture
    from ..inspection.views.labels import middle_cut

    shown, prediction = _encoder(predictor, text, options)
    shown.pictures.append(picture(text, prediction.details["masks"]))
    shown.title = middle_cut(text, MOST_TITLE)  # The trace has no text for a mask.
    return shown


def parsing(predictor: Predictor, text: str, options: Options) -> Shown:
    """Show the encoder's view, and the arcs of each sentence."""
    from ..inspection.html import Picture
    from ..inspection.views.parsing import sentences_of, svg

    shown, prediction = _encoder(predictor, text, options, is_drawn=True)
    titles = {"en": "Dependency tree", "zh-Hant": "依存樹"}
    shown.pictures += [
        Picture(dict(titles), svg(words))  # type: ignore[arg-type]
        for words in sentences_of(prediction.details)[:MOST_SENTENCES]
    ]
    return shown


def question_answering(predictor: Predictor, text: str, options: Options) -> Shown:
    """Show self-attention, and the answer in its passage.

    With it come the other candidates, and how likely each token begins and ends the answer.
    """
    from ..inspection.views.question_answering import pictures, view

    if options.passage is None:
        raise UsageError(
            "A question needs a passage. Give one with --passage FILE or --passage TEXT."
        )
    _refuse_language(predictor, options)
    example = predictor.example({"question": text, "passage": options.passage}, "The text")
    settings = predictor.settings(**options.decoding)
    found = view(
        predictor.model,
        predictor.head,
        predictor.task,
        predictor.tokenizers,
        predictor.labels,
        example,
        settings,
    )
    windows = [
        found.window,
        *(number for number in range(1, MOST_WINDOWS + 1) if number != found.window),
    ][:MOST_WINDOWS]
    traces = predictor.traces(
        example, options.target, answer=found.prediction.text, windows=windows
    )
    if traces[0].window[1] > 1:
        traces[0].notes.append("answer_here")
    rows = [
        [
            " ".join(one["text"].split()),
            f"{one['start']}-{one['end']}",
            f"{100 * one['probability']:.1f} %",
        ]
        for one in found.prediction.details["candidates"]
    ]
    return Shown(
        answer=found.prediction.text,
        rows=[[*map(translated, CANDIDATES)], *rows],
        note=message(
            "The answer in its passage, self-attention of every layer and head, gradient x input: "
            "--html FILE."
        ),
        traces=traces,
        pictures=pictures(found),
        title=text,
    )


def tagging(predictor: Predictor, text: str, options: Options) -> Shown:
    """Show the encoder's view, and entities or tags in the text."""
    from ..inspection.views.tagging import picture

    shown, prediction = _encoder(predictor, text, options, is_drawn=True)
    shown.pictures.append(picture(text, prediction.details))
    return shown


def writing(predictor: Predictor, text: str, options: Options) -> Shown:
    """Show each token's surprise, the next tokens expected after it, and masked self-attention.

    With a beam search also its tree.
    """
    from .inspect_writing import look

    return look(predictor, text, options)


VIEWS: dict[View, Callable[[Predictor, str, Options], Shown]] = {
    "encoder": encoder,
    "labels": classification,
    "fillings": fillings,
    "tags": tagging,
    "arcs": parsing,
    "spans": question_answering,
    "passage": generative_answering,
    "cross-attention": translation,
    "hidden-runs": span_corruption,
    "next-tokens": writing,
    "hearing": hearing,
}


def _encoder(
    predictor: Predictor, text: str, options: Options, is_drawn: bool = False
) -> tuple[Shown, Prediction]:
    """Return what every run with an encoder shows, and its Prediction for a further picture.

    Args:
        predictor: The run.
        text: The text to answer.
        options: The options of the command.
        is_drawn: A picture shows the whole answer, so the page does not write it as well.
    """
    _refuse_language(predictor, options)
    fixed: dict[str, object] = {} if options.passage is None else {"passage": options.passage}
    example = example_of(text, predictor, "The text", None, fixed, options.words)
    prediction = next(iter(predictor.answer([example], predictor.settings(**options.decoding))))
    answer = "" if is_drawn else prediction.text
    traces = predictor.traces(
        example, options.target, answer=answer, windows=range(1, MOST_WINDOWS + 1)
    )
    found = traces[0].attribution
    if found is None:
        note = message(
            "Attention that a token receives, last layer, mean over heads. It does not prove a "
            "cause. All layers and heads: --html FILE."
        )
    else:
        note = message(
            "Attention that a token receives, last layer, mean over heads; gradient x input of "
            "{what}. Neither proves a cause. All layers and heads: --html FILE.",
            what=Message(ATTRIBUTED[found.kind].template, of=found.of),
        )
    return Shown(
        answer=prediction.text, rows=_received(traces[0]), note=note, traces=traces
    ), prediction


def _refuse_language(predictor: Predictor, options: Options) -> None:
    if options.to is not None:
        raise UsageError(
            "--to names a target language; a run for {task} has none.", task=predictor.task.name
        )


def _strongest(trace: Trace) -> list[list[str]]:
    """Return one row per target word: log-probability and the source words with most weight."""
    mean = trace.attention["cross"].mean((0, 1))  # (T, S)
    rows = []
    for cell, weights, chance in zip(trace.target, mean, trace.log_probabilities, strict=True):
        best = sorted(range(len(weights)), key=lambda place: -weights[place])[:MOST]
        named = "  ".join(
            f"{trace.source[place].label} {100 * weights[place]:.0f} %" for place in best
        )
        rows.append([cell.label, f"{chance:.2f}", named])
    return rows


def _received(trace: Trace) -> list[list[str]]:
    """Return one row per token: attention received in the last layer, and gradient x input.

    Of a long text only the strongest tokens.
    """
    received = trace.attention["encoder"][-1].mean((0, 1))  # (S,)
    products = None if trace.attribution is None else trace.attribution.gradient_times_input
    weight = received if products is None else abs(products)
    kept = sorted(sorted(range(len(received)), key=lambda place: -weight[place])[:MOST_ROWS])
    return [
        [
            trace.source[place].label,
            f"{received[place]:.4f}",
            *([] if products is None else [f"{products[place]:+.4f}"]),
        ]
        for place in kept
    ]
