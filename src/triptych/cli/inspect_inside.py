"""Take the options of `inspect` that intervene in the model, and show what they found."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ..errors import RunError, UsageError
from ..messages import message
from .answering import one_line
from .console import Counting, put, table, talk
from .inputs import example_of
from .inspect_shown import Options, Shown, left_out
from .inspect_tables import tables
from .language import help_text, page_language, translated
from .outputs import refuse_output, tell_written

if TYPE_CHECKING:
    from ..data.example import Example
    from ..inference.interventions import Interventions
    from ..inference.predictor import Predictor
    from ..inspection.html import Language
    from ..inspection.results import InterventionResults

SENTENCES = 50  # development sentences by default
NAMES = {
    "loss": message("loss"),
    "deletion": message("deletion curves"),
    "arcs": message("gold arcs"),
    "checkpoints": message("checkpoints"),
}


@dataclass(frozen=True, kw_only=True)
class Inside:
    """Hold the flags that change the pass, and measure."""

    without: Annotated[
        list[str] | None,
        Parameter(
            help=help_text(
                "Switch a part off: decoder.2.cross.3 is the third head of the second block's "
                "cross-attention, encoder.1.feed_forward a feed-forward. Can be given several "
                "times."
            )
        ),
    ] = None
    mean: Annotated[
        bool,
        Parameter(
            negative=(),
            help=help_text(
                "Replace what is switched off by its mean over development sentences, not by zero."
            ),
        ),
    ] = False
    lens: Annotated[
        bool,
        Parameter(
            negative=(),
            help=help_text("Show what would be answered after each attention and feed-forward."),
        ),
    ] = False
    ablate: Annotated[
        bool,
        Parameter(
            negative=(),
            help=help_text(
                "Switch each head and feed-forward off in turn: the change of the answer's "
                "log-probability, and of the loss on development sentences."
            ),
        ),
    ] = False
    metric: Annotated[
        bool,
        Parameter(
            negative=(),
            help=help_text(
                "With --ablate: also the change of the task's metric, like BLEU. It answers all "
                "development sentences once for each part."
            ),
        ),
    ] = False
    patch: Annotated[
        str | None,
        Parameter(
            help=help_text(
                "Another text with as many tokens: put each of its states, one at a time, into the "
                "pass over the text, and show how the chosen minus the rival logit changes."
            )
        ),
    ] = None
    contributions: Annotated[
        bool,
        Parameter(
            negative=(),
            help=help_text(
                "Split the chosen minus the rival logit into what each head and feed-forward added."
            ),
        ),
    ] = False
    attribution: Annotated[
        list[str] | None,
        Parameter(
            help=help_text(
                "How much each token matters, by attention, rollout, gradient_times_input, "
                "integrated_gradients, occlusion, or all; can be given several times. With "
                "deletion curves over development sentences."
            )
        ),
    ] = None
    token: Annotated[
        int | None,
        Parameter(
            help=help_text(
                "Which token of the answer is looked at, counted from 1; without it the whole "
                "answer, and the first token where two logits are compared."
            )
        ),
    ] = None
    rival: Annotated[
        str | None,
        Parameter(
            help=help_text(
                "What the chosen token or label is compared with; without it the likeliest other."
            )
        ),
    ] = None
    examples: Annotated[
        int,
        Parameter(
            help=help_text(
                "Development sentences for means, losses and deletion curves; 0 uses none."
            )
        ),
    ] = SENTENCES
    arcs: Annotated[
        Path | None,
        Parameter(
            help=help_text(
                "A CoNLL-U file: for each attention head and relation, the share of words whose "
                "most attended word is the gold head, beside always looking one word back or ahead."
            )
        ),
    ] = None
    checkpoints: Annotated[
        list[str] | None,
        Parameter(
            help=help_text(
                "Follow a head or part, such as decoder.2.cross.3, through the run's kept "
                "checkpoints: what it attends to, and what is lost without it. Can be given "
                "several times."
            )
        ),
    ] = None
    keep: Annotated[
        bool,
        Parameter(
            negative=(),
            help=help_text(
                "Keep what is measured over many sentences in the run folder, where the page of "
                "`serve` finds it; measuring the same again goes on from there."
            ),
        ),
    ] = False
    json_: Annotated[
        bool,
        Parameter(
            name="--json",
            negative=(),
            help=help_text("Print the trace, with all that was measured, as one JSON object."),
        ),
    ] = False
    csv: Annotated[
        Path | None,
        Parameter(help=help_text("Write every number that was measured to this file.")),
    ] = None

    def asked(self) -> Interventions:
        """Return what the library is asked for."""
        from ..inference.interventions import Interventions

        return Interventions(
            without=tuple(self.without or ()),
            mean=self.mean,
            lens=self.lens,
            ablate=self.ablate,
            metric=self.metric,
            patch=self.patch,
            contributions=self.contributions,
            attributions=tuple(self.attribution or ()),
            token=self.token,
            rival=self.rival,
            arcs=self.arcs,
            checkpoints=tuple(self.checkpoints or ()),
            keep=self.keep,
        )

    def refuse_wrong(self) -> None:
        """Raise UsageError for flags that do nothing, before a run is loaded."""
        refuse_output(self.csv, "--csv")
        measures = self.lens or self.ablate or self.contributions or bool(self.attribution)
        measures = measures or self.patch is not None or self.arcs is not None
        measures = measures or bool(self.checkpoints)
        if self.mean and not (self.without or self.ablate):
            raise UsageError(
                message("--mean says how parts are switched off. Give --without or --ablate.")
            )
        if self.metric and not self.ablate:
            raise UsageError(message("--metric is for --ablate. Give both."))
        if not measures and (self.token is not None or self.rival is not None or self.csv):
            raise UsageError(
                message(
                    "--token, --rival and --csv are for what is measured. Give --lens, --ablate, "
                    "--patch, --contributions, --attribution, --arcs or --checkpoints with them."
                )
            )
        if self.keep and not (self.ablate or self.attribution or self.arcs is not None):
            raise UsageError(
                message(
                    "--keep is for what is measured over many sentences. Give --ablate, "
                    "--attribution or --arcs with it."
                )
            )
        if self.examples < 0:
            raise UsageError("--examples is {count}; it must be 0 or more.", count=self.examples)


AS_IT_IS = Inside()


def needs_development(inside: Inside) -> bool:
    """Tell whether anything asked for is computed over development sentences."""
    return bool(inside.mean or inside.ablate or inside.attribution or inside.checkpoints)


def shown_inside(
    predictor: Predictor,
    text: str,
    options: Options,
    inside: Inside,
    view: Callable[[Predictor, str, Options], Shown],
) -> Shown:
    """Return what a view shows, without the parts that are off, and with what was measured."""
    if inside == AS_IT_IS or (not inside.without and not inside.asked().looks):
        return view(predictor, text, options)
    from ..inference.interventions import intervene, switched_off
    from ..inspection.views.interventions import pictures
    from ..setup.development import development_examples

    if predictor.task.input == "audio":
        raise UsageError(
            message(
                "Interventions read tokens, and this run reads sound. Leave out all but --html and "
                "--json."
            )
        )
    asked, development = inside.asked(), list["Example"]()
    if needs_development(inside):
        development = development_examples(predictor, inside.examples, options.to)
        if not development and inside.examples:
            talk(message("The run's development data is not here, so nothing is measured on it."))
    with switched_off(predictor, asked, development):
        shown = view(predictor, text, options)
        if not asked.looks:
            return shown
        settings = predictor.settings(**options.decoding)
        results = intervene(
            predictor, _example(predictor, text, options), asked, settings,
            target=options.target, development=development, begin=_begin,
        )  # fmt: skip
    shown.traces[0] = replace(shown.traces[0], interventions=results)
    shown.pictures = [*pictures(results), *shown.pictures]
    return shown


def _begin(name: str, count: int) -> Callable[[float], object]:
    """Count on stderr how much of a longer computation is done."""
    counting = Counting(count, message("parts"))
    return counting.begin(translated(NAMES[name]) if name in NAMES else name)


def _example(predictor: Predictor, text: str, options: Options) -> Example:
    if options.passage is not None:
        return predictor.example(
            {predictor.task.input: text, "passage": options.passage}, "The text"
        )
    return example_of(text, predictor, "The text", options.to, {}, options.words)


def show(
    predictor: Predictor, shown: Shown, inside: Inside, html: Path | None, language: Language | None
) -> int:
    """Print what is shown, write its page, and return the exit code."""
    if not inside.json_:
        put(one_line(predictor, shown.answer))
    put_results(shown, inside)
    if html is not None:
        return _write_page(html, shown, language or page_language())
    if inside.json_:
        return 0
    if shown.rows:
        put(table(shown.rows, right=False))
    talk(shown.note)
    return 0


def _write_page(html: Path, shown: Shown, language: Language) -> int:
    """Write what is shown as a page, say so, and return the exit code."""
    from ..inspection.html import write

    write(html, shown.traces, shown.pictures, title=shown.title, language=language)
    if shown.traces and len(shown.traces) < shown.traces[0].window[1]:
        talk(left_out(shown.traces))
    tell_written(html)
    return 0


def put_results(shown: Shown, inside: Inside) -> None:
    """Print what was measured as tables, and write it to the files that are asked for."""
    results = shown.traces[0].interventions if shown.traces else None
    if inside.csv is not None and results is not None:
        _write_csv(inside.csv, results)
    if inside.json_:
        found = shown.values or json.loads(shown.traces[0].to_json())
        put(json.dumps(found, ensure_ascii=False))
        return
    if results is not None:
        for title, rows in tables(results):
            put("")
            put(translated(title))
            put(table(rows, right=False))


def _write_csv(path: Path, results: InterventionResults) -> None:
    from ..inspection.results import COLUMNS

    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows(results.rows())
    except OSError as error:
        raise RunError(
            "Cannot write {path}: {reason}. Choose another place.",
            path=path,
            reason=error.strerror or str(error),
        ) from error
