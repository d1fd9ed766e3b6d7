"""Copy the lines of metrics.jsonl to a TensorBoard log while a run is trained (extra `track`)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, cast

from ..errors import RunError, UsageError
from ..runs.files import metrics_lines
from ..runs.run import Run
from ..runs.storage import writing

FLUSH_SECONDS = 30
QUEUE = 1000  # values that wait to be written before training waits for the disk
LOGS = "events.out.tfevents.*"
NOT_CURVES = ("step", "best")  # of a line: its place, and a mark


class Writer(Protocol):
    """Type the part of torch's SummaryWriter that is used."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None: ...

    def add_text(self, tag: str, text_string: str, global_step: int) -> None: ...

    def flush(self) -> None: ...

    def close(self) -> None: ...


class Tracker:
    """Write each line that metrics.jsonl gets to a TensorBoard log.

    A resumed run continues its log: what was logged beyond the step that it goes on from no longer
    counts. If it had no log before, all its lines are written.

    Args:
        run: The run that is trained.
        folder: Where the log is written.
        recipe: The recipe in TOML, shown as a text.
    """

    def __init__(self, run: Run, folder: Path, recipe: str) -> None:
        self.run, self.folder, self.recipe = run, folder, recipe
        self.writer: Writer | None = None
        self.read = 0  # bytes of metrics.jsonl that are in the log

    def update(self) -> None:
        """Write the new lines; call it after each event of the training."""
        path = self.run.path / "metrics.jsonl"
        size = path.stat().st_size if path.exists() else 0
        if self.writer is None:  # only now is it certain from which step the run goes on
            self.writer = self._begin(size)
        if size <= self.read:
            return
        with path.open("rb") as file:
            file.seek(self.read)
            content = file.read(size - self.read)
        content = content[: content.rfind(b"\n") + 1]
        self.read += len(content)
        is_validated = False
        for line in metrics_lines(content, path):
            split = line.get("split")
            is_validated |= split == "validation"
            for key, value in line.items():
                if key not in NOT_CURVES and type(value) in (int, float):
                    self.writer.add_scalar(f"{split}/{key}", float(value), line.get("step", 0))
        if is_validated:
            self.writer.flush()

    def close(self) -> None:
        if self.writer is not None:
            self.update()
            self.writer.close()

    def _begin(self, size: int) -> Writer:
        purge = None
        if any(self.folder.glob(LOGS)):
            self.read = size
            steps = [line.get("step", 0) for line in self.run.read_metrics()]
            purge = max(steps, default=0) + 1
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            made = summary_writer()(
                self.folder, purge_step=purge, max_queue=QUEUE, flush_secs=FLUSH_SECONDS
            )
        writer = cast(Writer, made)
        if purge is None:
            text = self.recipe.replace("\n", "\n    ")
            writer.add_text("recipe", f"    {text}", 0)  # indented: Markdown shows it as it is
        return writer


def summary_writer() -> Callable[..., object]:
    """Return torch's SummaryWriter.

    Raises:
        UsageError: The package tensorboard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise UsageError(
            "--track writes a TensorBoard log and needs the package tensorboard: "
            'pip install "triptych[track]"'
        ) from None
    return SummaryWriter


def refuse_untracked(folder: Path, resume: bool) -> None:
    """Raise an error before time is spent on the data if no log can be written to `folder`."""
    summary_writer()
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder} is a file; --track needs a folder. Name another one.")
    if not resume and any(folder.glob(LOGS)):
        raise UsageError(
            f"{folder} already holds the TensorBoard log of another run. Name another folder with "
            "--track."
        )
