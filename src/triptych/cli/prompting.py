"""Define the flags that build a language model's prompt: suffix, worked examples, labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ..errors import UsageError
from .console import talk
from .inputs import read_passage
from .language import help_text

if TYPE_CHECKING:
    from ..data.example import Example
    from ..decoding.settings import DecodingSettings
    from ..inference.few_shot import FewShot
    from ..inference.predictor import Predictor


@dataclass(frozen=True, kw_only=True)
class Prompting:
    """Hold the flags that go with the texts to be continued."""

    suffix: Annotated[
        str | None,
        Parameter(
            help=help_text(
                "For a run trained to fill in the middle: a file or a text that follows; what "
                "belongs between is generated."
            )
        ),
    ] = None
    examples: Annotated[
        str | None,
        Parameter(
            help=help_text(
                "For a run that continues texts: a file of worked examples (TSV or JSONL: text and "
                "label, or input and answer) that is put before every text."
            )
        ),
    ] = None
    template: Annotated[
        str | None,
        Parameter(
            help=help_text(
                r'With --examples: how each is written, by default "{text}\nLabel: {label}\n\n".'
            )
        ),
    ] = None

    def fixed(self, predictor: Predictor) -> dict[str, object]:
        """Return the inputs that are the same for all texts."""
        if self.suffix is None:
            return {}
        if not predictor.task.spec.continues:
            raise UsageError(
                f"--suffix is for a run that generates text; this one is for {predictor.task.name}."
            )
        from ..tasks.fill_in import sentinels

        sentinels(predictor.tokenizers.target)
        return {"suffix": read_passage(self.suffix)}

    def shots(self, predictor: Predictor) -> FewShot | None:
        """Return the worked examples in their template, if there are any."""
        if self.examples is None and self.template is None:
            return None
        if self.suffix is not None:
            raise UsageError(
                "--suffix and --examples do not go together: a filled-in middle has no place for "
                "examples."
            )
        from ..inference.few_shot import TEMPLATE, FewShot, read_examples

        if not predictor.task.spec.continues:
            raise UsageError(
                "Examples in a prompt are for a run that generates text; this one is for "
                f"{predictor.task.name}."
            )
        return FewShot(
            predictor,
            read_examples(self.examples) if self.examples else [],
            unescaped(self.template) or TEMPLATE,
        )


NOTHING = Prompting()


def unescaped(given: str | None) -> str | None:
    r"""Replace \n and \t in a template, as a shell passes them, by what they mean."""
    return None if given is None else given.replace("\\n", "\n").replace("\\t", "\t")


def shots_ready(
    shots: FewShot, examples: Sequence[Example], settings: DecodingSettings
) -> tuple[list[Example], DecodingSettings]:
    """Return the Examples as prompts, and settings that end an answer as the template does."""
    from dataclasses import replace

    new = settings.max_length or 2 * shots.longest_answer + 8
    settings = replace(settings, max_length=new, stop=settings.stop or shots.stop)
    found = [
        shots.asked(one, min(new, shots.context // 2)) if one.text is not None else (one, 0)
        for one in examples
    ]
    notice([dropped for _, dropped in found], len(shots.examples), shots.context)
    return [example for example, _ in found], settings


def notice(dropped: Sequence[int], count: int, context: int) -> None:
    """Report how many prompts lack worked examples, and how many they lack."""
    short = [one for one in dropped if one]
    if not short:
        return
    talk(
        f"{len(short):,} of {len(dropped):,} prompts do not fit the context of {context:,} tokens "
        f"with all {count:,} examples. Whole examples were left out, the first ones first, up to "
        f"{min(count, max(short)):,} of them."
    )
    if max(short) > count:
        talk(f"{sum(one > count for one in short):,} texts also lost their beginning.")
