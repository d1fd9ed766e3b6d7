"""Take a task or an attention from a user's own Python file, given with this call.

The file is named on every call (`--code FILE.py`, or `code=FILE` in Python) and never by a recipe,
a run or an imported folder: nobody's files are executed because a folder mentions them. A run that
was trained with a file stores its name and SHA-256, and is used only with that very file.

The file gives TASKS (a list of `TaskSpec`), ATTENTION (a subclass of `PaddedAttention`), or both.
Only the file itself is hashed, so it may import installed packages but no files beside it.
"""

from __future__ import annotations

import dataclasses
import shlex
import sys
import types
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, redirect_stdout
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import RunError, UsageError
from .messages import Message, message

GIVES = "TASKS = [...] or ATTENTION = ..."
MODULE = "triptych_own_code_"  # how the modules of such files are named
# by SHA-256 and `aside`, so that a file runs once in a process
_loaded: dict[tuple[str, bool], OwnCode] = {}


@dataclass(slots=True)
class OwnCode:
    """Hold what a user's file gives.

    tasks: name -> `TaskSpec`. attention: the class that computes attention, or None. used: True
    once a task or a model was made with it.
    """

    path: Path
    sha256: str
    tasks: Mapping[str, Any]
    attention: type | None
    used: bool = False

    def record(self) -> dict[str, str]:
        """Return what a run stores of the file."""
        return {"file": self.path.name, "sha256": self.sha256}


_given: ContextVar[OwnCode | None] = ContextVar("_given", default=None)


def current() -> OwnCode | None:
    """Return the file that was given with this call, if any."""
    return _given.get()


def attention() -> type | None:
    """Return the attention to build models with; None: the usual one."""
    code = current()
    if code is None or code.attention is None:
        return None
    code.used = True
    return code.attention


def record() -> dict[str, str] | None:
    """Return what a run that is trained now stores of the file; None where it is not used."""
    code = current()
    return code.record() if code is not None and code.used else None


@contextmanager
def given(code: str | Path | OwnCode | None, aside: bool = False) -> Iterator[OwnCode | None]:
    """Use a file for the length of a call; None keeps what a surrounding call was given.

    Args:
        code: The file.
        aside: What the file prints goes to stderr, because stdout carries results.

    Raises:
        UsageError: The file cannot be used.
    """
    if code is None:
        yield current()
        return
    # a copy, which is not used yet
    found = code if isinstance(code, OwnCode) else dataclasses.replace(read(code, aside))
    mark = _given.set(found)
    try:
        yield current()
    finally:
        _given.reset(mark)


@contextmanager
def as_recorded(recorded: Mapping[str, object] | None, where: Path) -> Iterator[None]:
    """Build a run's model as it was trained: with the file it names, or without any.

    Args:
        recorded: What config.json holds under "code".
        where: The path of config.json, for errors.

    Raises:
        RunError: The run needs a file that was not given, or another one.
    """
    mark = _given.set(None if recorded is None else _matching(recorded, where))
    try:
        yield
    finally:
        _given.reset(mark)


def refuse_other(recorded: Mapping[str, object] | None, where: Path) -> None:
    """Raise RunError or UsageError if a run cannot be continued with what was given."""
    if recorded is not None:
        _matching(recorded, where)
    elif (code := current()) is not None and code.attention is not None:
        raise UsageError(
            "{parent} was trained without code of your own, so it cannot be "
            "continued with the attention of {path}. Leave out --code, or train "
            "into a new folder.",
            parent=where.parent,
            path=code.path,
        )


def _matching(recorded: Mapping[str, object], where: Path) -> OwnCode:
    """Return the given file if it is the one that a run names."""
    code, name, wanted = current(), recorded.get("file"), recorded.get("sha256")
    trained = f"{where.parent} was trained with the code of {name} (SHA-256 {_short(wanted)})"
    if code is None:
        raise RunError(
            "{trained}. Code is not stored with a run; give the file on this call: --code {name} "
            "(in Python: code={quoted})",
            trained=trained,
            name=shlex.quote(str(name)),
            quoted=repr(str(name)),
        )
    if code.sha256 != wanted:
        raise RunError(
            "{trained}, but {path} has the SHA-256 {short}. Give the file as it "
            "was, or train again with the new one.",
            trained=trained,
            path=code.path,
            short=_short(code.sha256),
        )
    code.used = True
    return code


def _short(digest: object) -> str:
    return f"{str(digest)[:12]}..."


def read(path: str | Path, aside: bool = False) -> OwnCode:
    """Run a user's file and return what it gives. Raises UsageError if it cannot be used."""
    import hashlib

    path = Path(path)
    if path.suffix != ".py":
        raise UsageError("--code {path}: the file must be Python code and end in .py.", path=path)
    try:
        raw = path.read_bytes()
    except OSError as problem:
        reason = problem.strerror or problem
        raise UsageError(
            "--code {path}: the file cannot be read: {reason}.", path=path, reason=reason
        ) from None
    digest = hashlib.sha256(raw).hexdigest()
    if (digest, aside) not in _loaded:
        _loaded[digest, aside] = _taken(path, digest, _run(path, raw, digest, aside))
    return _loaded[digest, aside]


def _print_aside(*values: object, **options: Any) -> None:
    """Print as `print` does, on stderr unless another file is given."""
    print(*values, **{"file": sys.stderr, **options})


def _run(path: Path, raw: bytes, digest: str, aside: bool) -> types.ModuleType:
    """Execute a file as a module of its own."""
    module = types.ModuleType(f"{MODULE}{digest[:12]}")
    module.__file__ = str(path)
    if aside:
        module.__dict__["print"] = _print_aside
    sys.modules[module.__name__] = module  # dataclasses look their annotations up there
    try:
        with redirect_stdout(sys.stderr) if aside else nullcontext():
            exec(compile(raw, str(path), "exec"), module.__dict__)  # the user named this file
    except (Exception, SystemExit) as problem:
        del sys.modules[module.__name__]
        line = getattr(problem, "lineno", None) if isinstance(problem, SyntaxError) else None
        line = line or line_within(problem, str(path)) or 1
        raise UsageError(
            "--code {path}:{line}: the file cannot be run: {what}",
            path=path,
            line=line,
            what=_what_failed(problem, path),
        ) from problem
    return module


def line_within(problem: BaseException, file: str) -> int | None:
    """Return the last line of a file that an error came through."""
    import traceback

    frames = [one for one in traceback.extract_tb(problem.__traceback__) if one.filename == file]
    return frames[-1].lineno if frames else None


def failed_within(problem: BaseException) -> str | None:
    """Return "mine.py:12" where an error came out of a user's own file."""
    step, place = problem.__traceback__, None
    while step is not None:
        if step.tb_frame.f_globals.get("__name__", "").startswith(MODULE):
            place = f"{step.tb_frame.f_code.co_filename}:{step.tb_lineno}"
        step = step.tb_next
    return place


def _what_failed(problem: BaseException, path: Path) -> Message:
    """Return in words why a file could not be executed."""
    if isinstance(problem, SystemExit):
        return message(
            "it ends the program (sys.exit). Put what it does when it is run by itself under "
            'if __name__ == "__main__".'
        )
    what = message("{kind}: {problem}", kind=type(problem).__name__, problem=problem)
    name = (getattr(problem, "name", None) or "").partition(".")[0]
    is_beside = any((path.parent / one).exists() for one in (f"{name}.py", name))
    if isinstance(problem, ImportError) and name and is_beside:
        return message(
            "{what}. {name} is beside the file, but a run keeps the mark of one file only. Move "
            "what is needed into {file}, or install {name} as a package.",
            what=what,
            name=name,
            file=path.name,
        )
    return what


def _taken(path: Path, digest: str, module: types.ModuleType) -> OwnCode:
    """Return the tasks and the attention of a module. Raises UsageError for anything else."""
    tasks, own = getattr(module, "TASKS", []), getattr(module, "ATTENTION", None)
    if not tasks and own is None:
        raise UsageError(
            "--code {path}: the file gives neither {gives}; see docs/own-code.md.",
            path=path,
            gives=GIVES,
        )
    if not isinstance(tasks, list) or not all(
        type(one).__name__ == "TaskSpec" and isinstance(getattr(one, "name", None), str)
        for one in tasks
    ):
        raise UsageError(
            "--code {path}: TASKS must be a list of TaskSpec, got {tasks!r:.100}.",
            path=path,
            tasks=tasks,
        )
    if own is not None and not (
        isinstance(own, type) and any(one.__name__ == "PaddedAttention" for one in own.__mro__)
    ):
        raise UsageError(
            "--code {path}: ATTENTION must be a subclass of PaddedAttention, got {own!r:.100}.",
            path=path,
            own=own,
        )
    return OwnCode(path, digest, {one.name: one for one in tasks}, own)
