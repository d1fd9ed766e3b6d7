"""What another runtime offers, and the table of those that are known."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from ...errors import UsageError

if TYPE_CHECKING:
    from ...data.batches.encoded import Encoded
    from ...decoding.settings import DecodingSettings
    from ..loaded import LoadedModel

Format = Literal["ctranslate2", "onnx", "gguf"]


class Runtime(Protocol):
    """Answer batches of encoded inputs in another runtime.

    What it returns is the task's raw result, so that `Task.read` makes the same predictions of it.
    """

    def refusal(self, settings: DecodingSettings) -> str | None:
        """Return a sentence about a setting that the runtime does not have, or None."""
        ...

    def answer(self, encoded: list[Encoded], settings: DecodingSettings, start: int) -> list[Any]:
        """Return the task's raw result for each input of one batch.

        Several threads may call it at once. `start` is the number of the first Example.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class RuntimeKind:
    """Describe a runtime.

    Args:
        library: The name of its Python package.
        extra: The extra of this package that installs it.
        format: The format of `export` that it reads.
        open: (folder of a converted run, the run) -> its engine.
    """

    name: str
    library: str
    extra: str
    format: Format
    open: Callable[[Path, LoadedModel], Runtime]

    def refuse_without_library(self) -> None:
        """Raise UsageError where the runtime is not installed."""
        if importlib.util.find_spec(self.library) is None:
            raise UsageError(
                "--engine {name} needs the package {library}: pip install 'triptych[{extra}]'.",
                name=self.name, library=self.library, extra=self.extra,
            )  # fmt: skip


def _translators(folder: Path, loaded: LoadedModel) -> Runtime:
    from .translators import TranslatorRuntime

    return TranslatorRuntime(folder, loaded)


def _encoders(folder: Path, loaded: LoadedModel) -> Runtime:
    from .encoders import EncoderRuntime

    return EncoderRuntime(folder, loaded)


def _continuations(folder: Path, loaded: LoadedModel) -> Runtime:
    from .continuations import ContinuationRuntime

    return ContinuationRuntime(folder, loaded)


RUNTIMES: dict[str, RuntimeKind] = {
    one.name: one
    for one in (
        RuntimeKind(
            name="ctranslate2",
            library="ctranslate2",
            extra="ctranslate2",
            format="ctranslate2",
            open=_translators,
        ),
        RuntimeKind(
            name="onnxruntime",
            library="onnxruntime",
            extra="onnx",
            format="onnx",
            open=_encoders,
        ),
        RuntimeKind(
            name="llama.cpp",
            library="xllamacpp",
            extra="llama-cpp",
            format="gguf",
            open=_continuations,
        ),
    )
}
