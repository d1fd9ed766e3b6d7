"""Run `triptych serve`: runs over HTTP, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from ..errors import RunError, UsageError
from ..messages import message
from .answer_indexed import WITHOUT, IndexFlags, open_index, refuse_flags
from .console import talk
from .language import help_text
from .predict import Precision

if TYPE_CHECKING:
    from ..inference.engine.engine import Engine
    from ..inference.engine.limits import EngineLimits
    from ..serving.documents import Documents
    from ..serving.security import Security

KEY_VARIABLE = "TRIPTYCH_API_KEY"
MOST_WORKERS = 256
DRAIN_SECONDS = 20.0  # that answers in progress are given when the server ends


@dataclass(frozen=True, kw_only=True)
class Access:
    """Hold the flags that say who may ask."""

    api_key: Annotated[
        str | None,
        Parameter(
            help=help_text(
                "Key that clients must send (Authorization: Bearer KEY). Without it, "
                "TRIPTYCH_API_KEY of the environment."
            )
        ),
    ] = None
    api_key_file: Annotated[
        Path | None,
        Parameter(
            help=help_text(
                "File whose first line is the key: a secret of a container or of a service."
            )
        ),
    ] = None
    no_key: Annotated[
        bool,
        Parameter(help=help_text("Let other machines use the server without a key."), negative=()),
    ] = False
    metrics_key: Annotated[
        str | None, Parameter(help=help_text("Another key, for /metrics alone."))
    ] = None
    allow_host: Annotated[
        tuple[str, ...],
        Parameter(
            help=help_text(
                "Another name by which the server may be called. Can be given several times."
            ),
            negative=(),
        ),
    ] = ()
    allow_origin: Annotated[
        tuple[str, ...],
        Parameter(
            help=help_text(
                "Origin of a web page elsewhere that may use the server (https://example.org). "
                "Can be given several times."
            ),
            negative=(),
        ),
    ] = ()

    def security(self, host: str) -> Security:
        """Return who may ask a server on a host. Raises UsageError for a rule that cannot be."""
        from ..serving.security import Security

        return Security(
            host=host,
            api_key=self._key(),
            metrics_key=self.metrics_key,
            allow_hosts=self.allow_host,
            allow_origins=self.allow_origin,
            no_key=self.no_key,
        )

    def _key(self) -> str | None:
        """Return the key that is given, in a file or by the environment."""
        path = self.api_key_file
        if path is None:
            return (os.environ.get(KEY_VARIABLE) or None) if self.api_key is None else self.api_key
        if self.api_key is not None:
            raise UsageError(message("Give --api-key or --api-key-file, not both."))
        try:
            return path.read_text(encoding="utf-8").partition("\n")[0].strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(
                "--api-key-file {path} cannot be read: {reason}.",
                path=path,
                reason=getattr(error, "strerror", None) or "it is not text",
            ) from None


@dataclass(frozen=True, kw_only=True)
class Running:
    """Hold the flags that say how requests are treated and logged."""

    queue: Annotated[
        int,
        Parameter(
            help=help_text("Number of requests that may wait; one more is refused with status 429.")
        ),
    ] = 256
    deadline: Annotated[
        float, Parameter(help=help_text("Seconds after which a request is given up."))
    ] = 300.0
    workers: Annotated[
        int,
        Parameter(
            help=help_text(
                "Number of processes that answer on the processor; they share the weights."
            )
        ),
    ] = 1
    log_format: Annotated[
        Literal["text", "json"],
        Parameter(help=help_text("Format of the lines on stderr, one for each request.")),
    ] = "text"
    log_texts: Annotated[
        bool,
        Parameter(help=help_text("Log the beginning of what clients send, too."), negative=()),
    ] = False

    def limits(self) -> EngineLimits:
        """Return the limits of an engine. Raises UsageError for a number that is too small."""
        from ..inference.engine.limits import EngineLimits

        least = (
            ("--queue", self.queue, 1), ("--deadline", self.deadline, 0.1),
            ("--workers", self.workers, 1),
        )  # fmt: skip
        for name, value, smallest in least:
            if not value >= smallest:
                raise UsageError(
                    "{name} is {value}; it must be {least} or more.",
                    name=name,
                    value=value,
                    least=smallest,
                )
        if self.workers > MOST_WORKERS:
            raise UsageError(
                "--workers is {value}; the most is {most}.", value=self.workers, most=MOST_WORKERS
            )
        if self.workers > 1 and not hasattr(os, "fork"):
            raise UsageError(
                "--workers needs a system that forks processes, like Linux. Leave it out."
            )
        return EngineLimits(queue=self.queue, deadline=self.deadline)


def serve(
    run: str,
    /,
    *more: str,
    host: str = "127.0.0.1",
    port: int = 8000,
    access: Annotated[Access, Parameter(name="*")] = Access(),
    running: Annotated[Running, Parameter(name="*")] = Running(),
    indexed: Annotated[IndexFlags, Parameter(name="*")] = WITHOUT,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    precision: Precision = "float32",
) -> int:
    """Serve one or several runs to programs that use OpenAI's interface.

    A run is asked for by the name of its folder, or by NAME in NAME=FOLDER. Only this machine can
    reach the server unless --host says otherwise. With --index, the runs that answer questions
    (also those that chat) answer from the documents, and say where.

    Parameters
    ----------
    run
        Folder of a trained run, or NAME=FOLDER.
    more
        Other runs.
    host
        Address to listen on. Any other than 127.0.0.1 needs a key.
    port
        Port to listen on; 0 takes a free one.
    device
        Where to compute; auto takes an accelerator where there is one.
    precision
        Number format of the computation; auto uses bfloat16 where that is faster.
    """
    limits, folders = running.limits(), named((run, *more))
    refuse_flags(indexed)
    if not 0 <= port <= 65_535:
        raise UsageError("--port is {port}; it must be from 0 to 65535.", port=port)
    try:
        from ..serving.server import Listening
    except ImportError as error:
        raise UsageError(
            "`triptych serve` needs more packages ({name} is missing): pip install "
            "'triptych[serve]'",
            name=error.name or "fastapi",
        ) from None
    security = access.security(host)
    listening = Listening(host, port)  # before minutes are spent on loading
    with _unthreaded(running.workers > 1):
        engines = {
            name: _engine(folder, device, precision, limits) for name, folder in folders.items()
        }
        documents = _documents(indexed, engines, precision)
    _refuse_workers(running.workers, engines.values())
    talk(message("Listening on {address}. Ctrl-C ends.", address=listening.address))
    as_json = running.log_format == "json"
    listening.serve(
        engines, security, as_json, running.log_texts, DRAIN_SECONDS, running.workers, documents
    )
    return 0


def _refuse_workers(workers: int, engines: Iterable[Engine]) -> None:
    """Raise UsageError for several workers with a run on an accelerator."""
    if workers > 1 and any(one.predictor.device.type != "cpu" for one in engines):
        raise UsageError(
            "--workers is for runs on the processor, whose weights processes can share. On an "
            "accelerator one process answers all clients together. Leave it out, or give "
            "--device cpu."
        )


@contextmanager
def _unthreaded(wanted: bool) -> Iterator[None]:
    """Load without threads of torch: a process that has some must not be forked."""
    if not wanted:
        yield
        return
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def named(runs: tuple[str, ...]) -> dict[str, str]:
    """Return the folder of each run by its name. Raises UsageError for a name given twice."""
    found: dict[str, str] = {}
    for one in runs:
        name, given, folder = one.partition("=")
        if not given or Path(one).exists():
            name, folder = Path(one).resolve().name, one
        if not name or not folder:
            raise UsageError("{one} names no run; write a folder or NAME=FOLDER.", one=one)
        if name in found:
            raise UsageError(
                "Two runs are called '{name}'. Give one of them another name: NAME=FOLDER.",
                name=name,
            )
        found[name] = folder
    return found


def _engine(
    folder: str, device: Literal["auto", "cpu", "cuda"], precision: Precision, limits: EngineLimits
) -> Engine:
    """Load a run, and answer a short input with it. Raises RunError where that fails."""
    from ..inference.engine.engine import Engine
    from ..inference.engine.warming import warm
    from ..inference.loading import load
    from ..runs.allocator import keep_few_programs, keep_freed_pages

    keep_freed_pages()
    keep_few_programs()
    engine = Engine(load(folder, precision, device=device), limits)
    try:
        warm(engine)
    except (RuntimeError, ValueError) as error:
        raise RunError(
            "{folder} was loaded, but cannot compute: {error}", folder=folder, error=error
        ) from None
    return engine


def _documents(
    flags: IndexFlags, engines: Mapping[str, Engine], precision: Precision
) -> Documents | None:
    """Open the index, if one is given. Raises UsageError where no run can answer from it."""
    if flags.index is None:
        return None
    from ..inference.retrieval.answers import kind_of
    from ..serving.documents import Documents

    tasks = [engine.predictor.task for engine in engines.values()]
    if all(kind_of(one.spec, one.needs) is None for one in tasks):
        raise UsageError(
            "--index needs a run for question-answering, generative-answering or chat; there is "
            "one for {tasks}.",
            tasks=", ".join(dict.fromkeys(one.name for one in tasks)),
        )
    return Documents(open_index(flags, precision), flags.least)
