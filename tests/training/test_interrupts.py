"""Ctrl-C and SIGTERM: a whole update is saved, the caller is told, a resumed run ends in the same
bits.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from test_distributed import free_port, start
from test_trainer import assert_same_run, finish
from toy_training import make_job, signalled
from waits import killed_after

from triptych.runs.run import Run
from triptych.training.guards import STOPPING, Interrupt, exit_on_sigterm, stoppable
from triptych.training.job import Job, Progress
from triptych.training.optimizer import Optimizers
from triptych.training.trainer import train

SOURCE = Path(__file__).parents[2] / "src"
STEPS, STOP = 20, 12  # after step 12 a line of metrics, a validation and a checkpoint are due
DIALS: dict[str, Any] = {"steps": STEPS, "validation": {"every_steps": 4}}


@pytest.fixture(autouse=True)
def heard() -> Iterator[None]:
    """Handle SIGINT as on a terminal; what a script starts in the background ignores it."""
    before = [
        signal.signal(signal.SIGINT, signal.default_int_handler),
        signal.getsignal(signal.SIGTERM),
    ]
    yield
    for number, handler in zip(STOPPING, before, strict=True):
        signal.signal(number, handler)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that nobody interrupted."""
    path = tmp_path_factory.mktemp("interrupts") / "whole"
    finish(make_job(path, **DIALS))
    return path


def interrupted(job: Job, error: type[BaseException] = KeyboardInterrupt) -> list[Progress]:
    """Return what a training tells that ends with `error`; the caller's handlers never change."""
    told, handlers = [], [signal.getsignal(number) for number in STOPPING]
    with pytest.raises(error):
        for progress in train(job):
            told.append(progress)
            assert [signal.getsignal(number) for number in STOPPING] == handlers
    assert [signal.getsignal(number) for number in STOPPING] == handlers
    return told


def saved_step(path: Path) -> int | None:
    checkpoint = Run(path).latest_checkpoint()
    return None if checkpoint is None else checkpoint.step


def signal_in(
    place: str, job: Job, monkeypatch: pytest.MonkeyPatch, number: int = signal.SIGINT
) -> None:
    """Let the signal come in step 12: its forward pass, update, validation or checkpoint."""
    if place == "forward":
        call = 2 * STOP - 1 + 2  # two micro-batches a step, and two validations before
        monkeypatch.setattr(job.model, "forward", signalled(job.model.forward, call, number))
    elif place == "optimizer":
        monkeypatch.setattr(Optimizers, "step", signalled(Optimizers.step, STOP, number))
    elif place == "validation":
        assert job.validate is not None
        job.validate = signalled(job.validate, STOP // 4, number)
    else:
        writing = signalled(job.run.write_checkpoint, 4, number)
        monkeypatch.setattr(job.run, "write_checkpoint", writing)


@pytest.mark.parametrize("place", ["forward", "optimizer", "validation", "checkpoint"])
def test_an_interrupt_waits_for_the_whole_update(
    place: str, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run"
    with monkeypatch.context() as patched:
        job = make_job(path, **DIALS)
        signal_in(place, job, patched)
        told = interrupted(job)
    assert told[-1].event == "interrupted" and told[-1].step == saved_step(path) == STOP
    assert (
        told[-1].message
        == "Stopped after step 12, and saved. Go on with: triptych train toy --resume"
    )
    validated = [progress.step for progress in told if progress.event == "validation"]
    assert validated == ([4, 8, 12] if place == "checkpoint" else [4, 8])
    again = finish(make_job(path, resume=True, **DIALS))
    assert [progress.step for progress in again if progress.event == "validation"] == [
        4,
        8,
        12,
        16,
        20,
    ][len(validated) :]
    assert_same_run(whole, path)


@pytest.mark.parametrize("end", ["interrupt", "close", "error"])
def test_what_ends_it_in_the_callers_body_saves_too(end: str, whole: Path, tmp_path: Path) -> None:
    path = tmp_path / "run"
    course = train(make_job(path, **DIALS))
    try:
        for progress in course:
            if progress.event == "step" and progress.step == STOP:
                if end == "interrupt":
                    os.kill(os.getpid(), signal.SIGINT)
                    time.sleep(1)
                elif end == "error":
                    raise ZeroDivisionError
                break
        assert end == "close"
    except (KeyboardInterrupt, ZeroDivisionError) as error:
        assert isinstance(error, KeyboardInterrupt) == (end == "interrupt")
    course.close()
    assert saved_step(path) == STOP
    finish(make_job(path, resume=True, **DIALS))
    assert_same_run(whole, path)


def test_a_loop_over_seeds_ends_with_the_interrupt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = []
    with pytest.raises(KeyboardInterrupt):
        for seed in (1, 2, 3):
            job = make_job(tmp_path / f"{seed}", steps=3, seed=seed)
            begun.append(seed)
            if seed == 2:
                monkeypatch.setattr(job.model, "forward", signalled(job.model.forward, 3))
            for _ in train(job):
                pass
    assert begun == [1, 2]


def test_sigterm_saves_and_exits_with_143(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run"
    with monkeypatch.context() as patched:
        job = make_job(path, **DIALS)
        signal_in("optimizer", job, patched, signal.SIGTERM)
        with pytest.raises(SystemExit) as caught:
            told = list(train(job))
    assert caught.value.code == 143 and saved_step(path) == STOP
    told = finish(make_job(path, resume=True, **DIALS))
    assert told[0].message == f"Resumed from step {STOP}."
    assert_same_run(whole, path)


def test_the_second_interrupt_stops_at_once(tmp_path: Path) -> None:
    job = make_job(tmp_path / "run", **DIALS)
    following = job.batches.next_batches

    def twice(count: int) -> Any:
        if job.batches.state()["number"] == 16:  # step 9
            os.kill(os.getpid(), signal.SIGINT)  # two that wait together would be one
            while signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
                time.sleep(0.001)
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)
            raise AssertionError("the second interrupt waited")
        return following(count)

    job.batches.next_batches = twice  # type: ignore[method-assign]
    told = interrupted(job)
    # of the best validation
    assert told[-1].event != "interrupted" and saved_step(tmp_path / "run") == 8


def test_a_handler_of_the_program_is_called_after_the_update(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    steps: list[int] = []
    job = make_job(tmp_path / "run", steps=4)
    job.model.forward = signalled(job.model.forward, 3)  # type: ignore[method-assign]
    handler = signal.signal(signal.SIGINT, lambda number, frame: seen.append((number, len(steps))))
    assert handler is signal.default_int_handler
    for progress in train(job):
        steps += [progress.step] if progress.event == "step" else []
    assert steps == [1, 2, 3, 4] and seen == [(signal.SIGINT, 1)]  # once, before step 2 is told


def test_a_handler_that_was_set_meanwhile_stays(tmp_path: Path) -> None:
    def other(number: int, frame: object) -> None: ...

    for place in ("body", "step"):
        signal.signal(signal.SIGINT, signal.default_int_handler)
        job, change = (
            make_job(tmp_path / place, steps=4),
            lambda: signal.signal(signal.SIGINT, other),
        )
        if place == "step":

            def validate(model: Any, change: Callable[[], Any] = change) -> dict[str, float]:
                change()
                return {"loss": 1.0}

            job.validate = validate
        for progress in train(job):
            if place == "body" and progress.event == "step" and progress.step == 2:
                change()
        assert signal.getsignal(signal.SIGINT) is other


def test_ignored_signals_stay_ignored(tmp_path: Path) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    job = make_job(tmp_path / "run", steps=4)
    job.model.forward = signalled(job.model.forward, 3)  # type: ignore[method-assign]
    assert finish(job)[-1].event == "finished"


def test_an_interrupt_while_the_weights_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run"
    job = make_job(path, steps=4)
    monkeypatch.setattr(job.run, "write_model", signalled(job.run.write_model, 1))
    assert "finished" not in {progress.event for progress in interrupted(job)}
    assert [progress.event for progress in finish(make_job(path, steps=4, resume=True))][
        -1
    ] == "finished"


def test_training_in_a_thread_leaves_signals_alone(tmp_path: Path) -> None:
    told: list[Progress] = []
    thread = threading.Thread(
        target=lambda: told.extend(train(make_job(tmp_path / "run", steps=4)))
    )
    thread.start()
    thread.join(60)
    assert told[-1].event == "finished"


def test_the_command_line_closes_a_training_on_sigterm() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with stoppable():
        assert [signal.getsignal(number) for number in STOPPING] == [
            signal.default_int_handler,
            exit_on_sigterm,
        ]
        with pytest.raises(SystemExit):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(1)
    assert [signal.getsignal(number) for number in STOPPING] == [signal.SIG_IGN, signal.SIG_DFL]


def test_a_program_that_leaves_its_iterator_behind(tmp_path: Path) -> None:
    """The traceback of an uncaught interrupt holds the iterator to the very end of the program."""
    program = (
        "import os, signal, sys\nfrom pathlib import Path\n"
        "from toy_training import make_job, train\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "course = train(make_job(Path(sys.argv[1]), checkpoint_every_steps=100, validates=False))\n"
        "for progress in course:\n    if progress.step == 3: os.kill(os.getpid(), signal.SIGINT)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "run")]
    folders = f"{SOURCE}{os.pathsep}{Path(__file__).parent}"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": folders}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert "KeyboardInterrupt" in done.stderr and "ignored" not in done.stderr, done.stderr
    assert saved_step(tmp_path / "run") == 3


def test_all_processes_stop_after_the_same_step(tmp_path: Path) -> None:
    port = free_port()
    given = {
        "steps": 8,
        "interrupted": "[1,5]",
        "checkpoint_every_steps": 100,
        "validates": "false",
    }
    processes = [start(tmp_path / "run", rank, port, **given) for rank in (0, 1)]
    with killed_after(*processes):
        told = [process.communicate(timeout=120)[0] for process in processes]
    for one in told:
        assert "interrupted 5 Stopped after step 5" in one and "KeyboardInterrupt" in one, one
    assert saved_step(tmp_path / "run") == 5


def test_nothing_is_held_while_nothing_runs() -> None:
    interrupt = Interrupt()
    with pytest.raises(KeyboardInterrupt):
        with interrupt:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)
            assert interrupt.asked == signal.SIGINT
        interrupt.deliver()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
