"""--track: the TensorBoard log holds what metrics.jsonl holds, and a resumed run continues it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from triptych.errors import RunError, UsageError
from triptych.runs.run import Run
from triptych.training.tracking import Tracker, refuse_untracked

pytest.importorskip("tensorboard")


def logged(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
    return found.Reload()


def scalars(folder: Path, tag: str) -> list[tuple[int, float]]:
    return [(one.step, round(one.value, 4)) for one in logged(folder).Scalars(tag)]


def line(step: int, split: str = "train", **values: object) -> dict[str, object]:
    return {"step": step, "split": split, **values}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path / "run")


def test_every_number_of_metrics_is_a_scalar(run: Run) -> None:
    folder = run.path / "tensorboard"
    tracker = Tracker(run, folder, "steps = 3\nname = 'x'\n")
    tracker.update()
    for step in (1, 2, 3):
        run.append_metrics(line(step, loss=1.0 / step, learning_rate=0.25, tokens=10 * step))
        tracker.update()
    run.append_metrics(line(3, "validation", loss=0.5, accuracy=75.0, best=True))
    tracker.close()  # it reads what came last
    assert scalars(folder, "train/loss") == [(1, 1.0), (2, 0.5), (3, 0.3333)]
    assert scalars(folder, "train/tokens") == [(1, 10), (2, 20), (3, 30)]
    assert scalars(folder, "validation/accuracy") == [(3, 75.0)]
    tags = logged(folder).Tags()
    assert set(tags["scalars"]) == {
        "train/loss",
        "train/learning_rate",
        "train/tokens",
        "validation/loss",
        "validation/accuracy",
    }
    (text,) = logged(folder).Tensors("recipe/text_summary")
    assert b"    steps = 3\n    name = 'x'" in text.tensor_proto.string_val[0]


def test_a_resumed_run_replaces_what_came_after_its_checkpoint(run: Run) -> None:
    folder = run.path / "tensorboard"
    tracker = Tracker(run, folder, "")
    tracker.update()
    for step, loss in ((1, 4.0), (2, 3.0), (3, 9.0)):
        run.append_metrics(line(step, loss=loss))
    tracker.close()
    first = run.path.joinpath("metrics.jsonl").read_text().splitlines()[:2]
    run.truncate_metrics(len("\n".join(first)) + 1)  # the checkpoint is of step 2
    tracker = Tracker(run, folder, "")
    tracker.update()
    for step, loss in ((3, 2.0), (4, 1.0)):
        run.append_metrics(line(step, loss=loss))
        tracker.update()
    tracker.close()
    assert scalars(folder, "train/loss") == [(1, 4.0), (2, 3.0), (3, 2.0), (4, 1.0)]


def test_a_run_tracked_only_after_it_was_resumed_has_its_whole_course(run: Run) -> None:
    for step in (1, 2):
        run.append_metrics(line(step, loss=float(step)))
    tracker = Tracker(run, run.path / "tensorboard", "")
    tracker.update()
    run.append_metrics(line(3, loss=3.0))
    tracker.close()
    assert scalars(run.path / "tensorboard", "train/loss") == [(1, 1.0), (2, 2.0), (3, 3.0)]


def test_half_a_line_waits_for_its_end(run: Run) -> None:
    path = run.path / "metrics.jsonl"
    tracker = Tracker(run, run.path / "tensorboard", "")
    tracker.update()
    whole = json.dumps(line(1, loss=2.0)) + "\n"
    path.write_text(whole[:10])
    tracker.update()
    path.write_text(whole + "damaged\n")
    tracker.close()
    assert scalars(run.path / "tensorboard", "train/loss") == [(1, 2.0)]


def test_without_the_package_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(UsageError, match=r'pip install "triptych\[track\]"'):
        refuse_untracked(tmp_path / "log", resume=False)


def test_folders_that_cannot_be_used_are_refused_before_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="is a file; --track needs a folder"):
        refuse_untracked(tmp_path / "file", resume=False)
    (tmp_path / "log").mkdir()
    refuse_untracked(tmp_path / "log", resume=False)
    (tmp_path / "log" / "events.out.tfevents.1.host").write_bytes(b"")
    with pytest.raises(UsageError, match="already holds the TensorBoard log of another run"):
        refuse_untracked(tmp_path / "log", resume=False)
    refuse_untracked(tmp_path / "log", resume=True)
