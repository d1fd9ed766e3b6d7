"""Answer the lines of a file into another file: in one process, or in shares of many."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from ..errors import UsageError, shell_command
from ..messages import message
from .answering import Answers, Asked, answer_block, report_drafts
from .console import Counting, talk
from .language import help_text
from .notes import some
from .outputs import refuse_output

if TYPE_CHECKING:
    from ..inference.parts import Parts
    from ..inference.shares import LineFile, Share

BLOCK = 2000  # lines that are sorted by length and answered together
PARTS = ".parts"  # ending of the folder beside the file that the answers become
JOIN, AUTO = "join", "auto"


@dataclass(frozen=True, kw_only=True)
class Filing:
    """Hold the flags that say where answers to a file are written, and by whom."""

    out: Annotated[
        Path | None,
        Parameter(
            help=help_text(
                "Answer the lines of the file that is named instead of a text, and write the "
                "answers to this file. The same command continues what was stopped."
            )
        ),
    ] = None
    shard: Annotated[
        str | None,
        Parameter(
            help=help_text(
                "With --out: answer share k of n (2/4; the numbers begin with 0 or 1), in parts "
                "beside the file; auto takes k and n from Slurm, an indexed Job or torchrun; join "
                "writes the file once all parts are there."
            )
        ),
    ] = None
    block_lines: Annotated[
        int | None,
        Parameter(
            help=help_text("With --out: lines that are answered together and kept as one part.")
        ),
    ] = None

    ray: Annotated[
        int | None,
        Parameter(
            help=help_text(
                "With --out: answer with so many actors of Ray Data, on the cluster that "
                'RAY_ADDRESS names or on this machine. Needs: pip install "triptych[ray]".'
            )
        ),
    ] = None

    def is_given(self) -> bool:
        """Tell whether answers go to a file."""
        self.refuse_idle()
        return self.out is not None

    def refuse_idle(self) -> None:
        """Raise UsageError for flags that need --out, or for impossible values."""
        given = {"--shard": self.shard, "--block-lines": self.block_lines, "--ray": self.ray}
        for name, value in given.items():
            if value is not None and self.out is None:
                raise UsageError(
                    "{name} is for answers that are written to a file. Name it with --out.",
                    name=name,
                )
        for name, value in (("--block-lines", self.block_lines), ("--ray", self.ray)):
            if value is not None and value < 1:
                raise UsageError(
                    "{option} is {value}; it must be 1 or more.", option=name, value=value
                )
        if self.ray is not None and self.shard is not None:
            raise UsageError(message("--ray divides the file itself. Leave --shard or --ray out."))

    def refuse_beside(self, option: str) -> None:
        """Raise UsageError where another option takes the texts from elsewhere."""
        if self.is_given():
            raise UsageError(
                "--out answers the lines of a file, and {option} reads something else. Leave one "
                "of them out.",
                option=option,
            )

    def answer(self, asked: Asked, text: Sequence[str]) -> int:
        """Answer the file that `text` names, or a share of its lines, or join the answers."""
        from ..inference.parts import Manifest, Parts, mark_of_run
        from ..inference.shares import LineFile

        assert self.out is not None, "answers go to a file"
        refuse_output(self.out, "--out")
        if self.out.exists() and not self.out.is_file():
            raise UsageError(
                "--out {path} is a pipe or a device, which would be replaced by a file. Name a "
                "file.",
                path=self.out,
            )
        if self.ray is not None:
            from .predict_ray import refuse_without_ray

            refuse_without_ray()
        share, given = self._share(), _named(text)
        if self.out.exists() and given.exists() and self.out.samefile(given):
            raise UsageError(
                "--out {path} is the file that is answered, and would be written over. Name "
                "another file.",
                path=self.out,
            )
        lines = LineFile.scan(given, self.block_lines or BLOCK)
        manifest = Manifest.of(
            lines, mark_of_run(asked.run), settings_of(asked), share.count if share else 1
        )
        folder = self.out.with_name(self.out.name + PARTS)
        if share is None:
            return self._join(Parts.there(folder, manifest), keep=True)
        parts = Parts.open(folder, manifest)
        with parts.alone(share):
            answer_share(asked, lines, parts, share, self.shard is None, self.ray)
        return 0 if self.shard is not None else self._join(parts)

    def _share(self) -> Share | None:
        """Return the share of this process; None where it joins the others'."""
        from ..inference.shares import Share, share_of

        if self.shard == JOIN:
            return None
        if self.shard != AUTO:
            return Share.read("0/1" if self.shard is None else self.shard)
        share, name = share_of(os.environ)
        talk(message("Shard {share}, by {name}.", share=share, name=name))
        return share

    def _join(self, parts: Parts, keep: bool = False) -> int:
        assert self.out is not None, "answers go to a file"
        failed = parts.join(self.out)
        if not keep:
            parts.remove()
        talk(
            message(
                "Written: {path}, answers to {lines:,} lines.",
                path=self.out,
                lines=parts.manifest.input["lines"],
            )
        )
        return int(failed > 0)


UNFILED = Filing()  # answers go to stdout


def _named(text: Sequence[str]) -> Path:
    """Return the one file that is named where texts are otherwise."""
    if len(text) != 1:
        raise UsageError(
            "--out answers the lines of one file, but {count:,} are named. For example: {command}",
            count=len(text),
            command=shell_command("triptych", "predict", "RUN", "my.txt", "--out", "answers.txt"),
        )
    return Path(text[0])


def settings_of(asked: Asked) -> dict[str, Any]:
    """Return what answers depend on beside the run and the input, as JSON has it."""
    from .. import __version__
    from ..inference.parts import mark_of_run
    from .inputs import read_passage

    values = {"triptych": __version__, **asdict(asked)}
    del values["run"]
    prompting, draft = values.pop("prompting"), asked.draft
    for name in ("examples", "suffix"):  # the content counts, not the name of a file
        prompting[name] = read_passage(prompting[name])
    values["passage"] = read_passage(asked.passage)
    if draft is not None and draft != "ngram":
        values["draft"] = mark_of_run(draft)
    values |= prompting
    return {name: value for name, value in values.items() if value not in (None, False, {})}


def answer_share(
    asked: Asked,
    lines: LineFile,
    parts: Parts,
    share: Share,
    is_alone: bool,
    actors: int | None = None,
) -> None:
    """Answer those blocks of a share whose parts are not there whole, or let actors do it."""
    mine = share.blocks(lines.blocks)
    pending = [block for block, part in parts.checked(mine) if part is None]
    if damaged := [parts.path(block).name for block in pending if parts.path(block).exists()]:
        talk(message("Damaged, and answered again: {names}.", names=some(damaged)))
    if before := len(mine) - len(pending):
        talk(
            message(
                "Continued: {before:,} of {count:,} parts are there.",
                before=before,
                count=len(mine),
            )
        )
    elif lines.blocks and not mine and not is_alone:
        talk(
            message(
                "Nothing to answer: the input has {blocks:,} blocks of {length:,} lines for "
                "{count:,} shards. Give a smaller --block-lines to all of them.",
                blocks=lines.blocks,
                length=lines.block_lines,
                count=share.count,
            )
        )
    if pending:
        answers = Answers(asked)  # also where actors load the run: what it refuses is said here
        if answers.text:
            raise UsageError(
                message(
                    "The lines of the file are the passages that this run reads. Leave --passage "
                    "out."
                )
            )
    if pending and actors is not None:
        from .predict_ray import answer_by_ray

        del answers
        answer_by_ray(asked, lines, parts, pending, actors)
    elif pending:
        counting = Counting(sum(map(lines.length, pending)), message("texts"))
        for block in pending:
            answer_block(answers, lines, parts, block, counting)
        report_drafts(answers.predictor)
    if not is_alone:
        talk(
            message(
                "Shard {share} is complete: {count:,} parts. When all are, join them with --shard "
                "join.",
                share=share,
                count=len(mine),
            )
        )
