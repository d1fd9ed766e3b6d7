"""The loop: it learns, resumes in the same bits, sums micro-batches rightly, and says what went
wrong.
"""

from __future__ import annotations

import errno
import itertools
import json
import math
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from toy_training import loss, make_job

from triptych.errors import RunError, TrainingError, UsageError
from triptych.runs.run import Run, read_tensors
from triptych.runs.storage import fingerprint
from triptych.training import guards, trainer
from triptych.training.job import Job, Progress
from triptych.training.trainer import train

CLOCKS = ("seconds", "tokens_per_second")


def finish(job: Job) -> list[Progress]:
    return list(train(job))


def failing_after(job: Job, step: int) -> Job:
    """The job, failing as if killed in the step after `step`: nothing is saved there."""
    following, steps = job.batches.next_batches, iter(range(step))

    def next_batches(count: int) -> Any:
        if next(steps, None) is None:
            raise RuntimeError("killed")
        return following(count)

    job.batches.next_batches = next_batches  # type: ignore[method-assign]
    return job


def metrics(path: Path) -> list[dict[str, Any]]:
    """metrics.jsonl without clock fields."""
    return [
        {key: value for key, value in line.items() if key not in CLOCKS}
        for line in Run(path).read_metrics()
    ]


def assert_same_run(left: Path, right: Path) -> None:
    assert (left / "model.safetensors").read_bytes() == (right / "model.safetensors").read_bytes()
    assert metrics(left) == metrics(right)


def weights(path: Path) -> dict[str, torch.Tensor]:
    return read_tensors(path / "model.safetensors")


def test_a_run_of_epochs_ends_with_the_last_pass_and_resumes_to_the_bit(tmp_path: Path) -> None:
    whole = list(
        train(
            make_job(
                tmp_path / "whole", steps=None, epochs=2.0, warmup_share=0.1, schedule="linear"
            )
        )
    )
    steps = [progress for progress in whole if progress.event == "step"]
    assert (
        steps[-1].epoch >= 2 > steps[-2].epoch
        and steps[0].learning_rate
        and steps[0].learning_rate > 0
    )
    for progress in train(
        make_job(tmp_path / "parts", steps=None, epochs=2.0, warmup_share=0.1, schedule="linear")
    ):
        if progress.event == "checkpoint":
            break
    resumed = make_job(
        tmp_path / "parts", resume=True, steps=None, epochs=2.0, warmup_share=0.1, schedule="linear"
    )
    assert list(train(resumed))[-1].step == steps[-1].step
    ours, theirs = (
        read_tensors(tmp_path / name / "model.safetensors") for name in ("parts", "whole")
    )
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_learns_and_reports(tmp_path: Path) -> None:
    told = finish(make_job(tmp_path / "run", steps=100))
    steps = [progress for progress in told if progress.event == "step"]
    assert [progress.step for progress in steps] == list(range(1, 101))
    assert (
        steps[-1].loss is not None
        and steps[0].loss is not None
        and steps[-1].loss < 0.85 * steps[0].loss
    )
    assert (
        told[-1].event == "finished"
        and str(tmp_path / "run" / "model.safetensors") in told[-1].message
    )
    lines = metrics(tmp_path / "run")
    train_lines = [line for line in lines if line["split"] == "train"]
    assert {
        "step",
        "split",
        "loss",
        "nll",
        "learning_rate",
        "gradient_norm",
        "tokens",
        "epoch",
    } == set(train_lines[0])
    assert [line["step"] for line in lines if line["split"] == "validation"] == list(
        range(10, 101, 10)
    )
    assert not list((tmp_path / "run").glob(".*"))


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_resumed_is_uninterrupted(tmp_path: Path, optimizer: str) -> None:
    settings: dict[str, Any] = {"optimizer": optimizer, "steps": 26}
    settings["validation"] = {"every_steps": 4}
    finish(make_job(tmp_path / "whole", **settings))
    for stop in (3, 7, 22):  # before a checkpoint, after one, after a validation
        path = tmp_path / f"stopped-{stop}"
        with pytest.raises(RuntimeError, match="killed"):
            finish(failing_after(make_job(path, **settings), stop))
        told = finish(make_job(path, resume=True, **settings))
        first = next(progress.step for progress in told if progress.event == "step")
        assert first == {3: 1, 7: 7, 22: 21}[stop]
        assert_same_run(tmp_path / "whole", path)


def test_resume_after_the_end_changes_nothing(tmp_path: Path) -> None:
    finish(make_job(tmp_path / "run"))
    before = (tmp_path / "run" / "model.safetensors").read_bytes(), metrics(tmp_path / "run")
    # killed between the last checkpoint and the weights
    (tmp_path / "run" / "model.safetensors").unlink()
    told = finish(make_job(tmp_path / "run", resume=True))
    assert "step" not in {progress.event for progress in told}
    assert before == (
        (tmp_path / "run" / "model.safetensors").read_bytes(),
        metrics(tmp_path / "run"),
    )


def test_torn_checkpoints_are_passed_over(tmp_path: Path) -> None:
    finish(make_job(tmp_path / "whole"))
    path = tmp_path / "run"
    with pytest.raises(RuntimeError, match="killed"):
        finish(failing_after(make_job(path), 31))
    torn = sorted(path.glob("checkpoints/step-*"), key=lambda folder: int(folder.name[5:]))
    assert len(torn) >= 3
    (torn[-1] / "COMPLETE").unlink()
    content = (torn[-2] / "optimizer.safetensors").read_bytes()
    (torn[-2] / "optimizer.safetensors").write_bytes(content[: len(content) // 2])
    told = finish(make_job(path, resume=True))
    notices = [progress.message for progress in told if progress.event == "notice"]
    assert any("COMPLETE is missing" in notice for notice in notices)
    assert any("bytes instead of" in notice for notice in notices)
    assert_same_run(tmp_path / "whole", path)


def test_flipped_bit_is_found(tmp_path: Path) -> None:
    finish(make_job(tmp_path / "run", steps=12))
    newest = Run(tmp_path / "run").latest_checkpoint()
    assert newest is not None and newest.step == 12
    content = bytearray((newest.path / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (newest.path / "model.safetensors").write_bytes(content)
    passed_over: list[str] = []
    older = Run(tmp_path / "run").latest_checkpoint(passed_over)
    assert older is not None and older.step < 12 and "SHA-256" in passed_over[0]


def test_micro_batches_are_one_batch(tmp_path: Path) -> None:
    """Several micro-batches give the gradient of one batch with the same examples, whatever their
    sizes.
    """
    whole, split = (
        make_job(tmp_path / "a", steps=1, batch_tokens=10_000, accumulate=1),
        make_job(tmp_path / "b", steps=1),
    )
    pieces = whole.batches.next_batches(1)
    members = pieces[0][1]
    cut = [(0, members[:3]), (1, members[3:30]), (2, members[30:])]
    gradients = []
    for job, given in ((whole, pieces), (split, cut)):
        job.batches.next_batches = lambda count, given=given: given  # type: ignore[method-assign]
        job.model.rng.keep = lambda x, probability: torch.ones_like(x)  # type: ignore[union-attr, assignment]
        told = finish(job)
        gradients.append(next(progress for progress in told if progress.event == "step"))
    assert math.isclose(gradients[0].loss, gradients[1].loss, rel_tol=1e-6)
    assert math.isclose(gradients[0].gradient_norm, gradients[1].gradient_norm, rel_tol=1e-5)


def test_lack_of_memory_halves_and_goes_on(tmp_path: Path) -> None:
    job = make_job(tmp_path / "run", accumulate=1, steps=6, batch_tokens=128)
    forward, largest = job.model.forward, []

    def scarce(**inputs: torch.Tensor) -> torch.Tensor:
        rows = len(inputs["source"])
        if rows > 40:
            raise RuntimeError(
                "[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory: "
                "you tried ..."
            )
        largest.append(rows)
        return forward(**inputs)

    job.model.forward = scarce  # type: ignore[method-assign]
    job.validate = None
    told = finish(job)
    assert told[-1].event == "finished" and max(largest) <= 40
    notices = [progress.message for progress in told if progress.event == "notice"]
    assert 1 <= len(notices) <= 2 and "halved" in notices[0]
    checkpoint = Run(tmp_path / "run").latest_checkpoint()
    assert checkpoint is not None and checkpoint.state()["loop"]["token_limit"] <= 80


def test_lack_of_memory_changes_no_result(tmp_path: Path) -> None:
    """Without dropout the halves add up to the whole.

    The large epsilon is for Adam, which blows up what is zero but for rounding.
    """
    runs = []
    for name in ("plain", "scarce"):
        job = make_job(tmp_path / name, steps=5, batch_tokens=128, validates=False, epsilon=1e-4)
        job.model.rng.keep = lambda x, probability: torch.ones_like(x)  # type: ignore[union-attr, assignment]
        if name == "scarce":
            forward = job.model.forward

            def limited(forward: Any = forward, **inputs: torch.Tensor) -> torch.Tensor:
                if len(inputs["source"]) > 40:
                    raise MemoryError
                return forward(**inputs)

            job.model.forward = limited  # type: ignore[method-assign]
        finish(job)
        runs.append(weights(tmp_path / name))
    for name, tensor in runs[0].items():
        torch.testing.assert_close(tensor, runs[1][name], rtol=0, atol=2e-5)


def test_single_example_too_large(tmp_path: Path) -> None:
    job = make_job(tmp_path / "run", validates=False)

    def never(**inputs: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    job.model.forward = never  # type: ignore[method-assign]
    with pytest.raises(TrainingError, match=r"single example of \d+ tokens \(toy\.txt:\d+\)"):
        finish(job)


def test_other_errors_are_not_swallowed(tmp_path: Path) -> None:
    job = make_job(tmp_path / "run", validates=False)

    def broken(**inputs: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("shapes do not fit")

    job.model.forward = broken  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        finish(job)
    assert not guards.is_out_of_memory(ValueError("out of memory"))


def test_not_a_number_names_step_layer_and_batch(tmp_path: Path) -> None:
    job = make_job(tmp_path / "run", validates=False)
    feed = job.model.decoder.blocks[0].feed_forward  # type: ignore[union-attr, index]
    forward, calls = feed.forward, [0]

    def poisoned(*given: Any, **named: Any) -> torch.Tensor:
        calls[0] += 1
        return forward(*given, **named) * (float("nan") if calls[0] > 14 else 1.0)

    feed.forward = poisoned  # type: ignore[union-attr, method-assign]
    with pytest.raises(TrainingError) as caught:
        finish(job)
    text = str(caught.value)
    assert text.startswith(
        "Step 8: the loss is nan; first in the output of layer 'decoder.blocks.0.feed_forward"
    )
    assert "micro-batch 14 (" in text and "toy.txt:" in text and "checkpoints/step-6" in text


def test_two_do_not_train_in_one_folder(tmp_path: Path) -> None:
    job = make_job(tmp_path / "run", validates=False)
    progress = train(job)
    next(progress)
    lock = tmp_path / "run" / "training.lock"
    assert lock.read_text() == str(os.getpid())
    with pytest.raises(UsageError, match=rf"is being trained now, by process {os.getpid()}\."):
        next(train(make_job(tmp_path / "run", validates=False, resume=True)))
    progress.close()  # type: ignore[attr-defined]
    assert not lock.exists()
    finish(make_job(tmp_path / "run", validates=False, steps=2, resume=True))
    assert not lock.exists()


def test_not_a_number_in_the_backward(tmp_path: Path) -> None:
    job = make_job(tmp_path / "run", validates=False, steps=3)

    def bad_loss(output: Any, batch: Any) -> dict[str, tuple[torch.Tensor, int, float]]:
        value = loss(output, batch)["loss"][0]
        return {
            "loss": (
                value + (output.states[0, 0] * 0).sqrt() - (output.states[0, 0] * 0).sqrt(),
                batch.counts["tokens"],
                1.0,
            )
        }

    job.task.loss = bad_loss  # type: ignore[misc]
    with pytest.raises(
        TrainingError, match=r"Step 1: the norm of the gradient is nan; first in the gradient of '"
    ):
        finish(job)


def test_full_disk_keeps_the_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from triptych.runs import run as run_module

    save = run_module.save_tensors

    def full(path: Path, tensors: dict[str, torch.Tensor]) -> None:
        if ".step-12" in str(path) and path.name == "optimizer.safetensors":
            path.write_bytes(b"half of it")
            raise OSError(errno.ENOSPC, "No space left on device")
        save(path, tensors)

    monkeypatch.setattr(run_module, "save_tensors", full)
    with pytest.raises(
        TrainingError,
        match=r"disk is full.*step-8; go on from it with: triptych train toy --resume",
    ):
        finish(make_job(tmp_path / "run"))
    assert not list((tmp_path / "run" / "checkpoints").glob(".*"))
    monkeypatch.undo()
    finish(make_job(tmp_path / "whole"))
    finish(make_job(tmp_path / "run", resume=True))
    assert_same_run(tmp_path / "whole", tmp_path / "run")


def test_best_weights_are_kept_and_patience_ends(tmp_path: Path) -> None:
    job = make_job(
        tmp_path / "run", steps=100, validation={"every_steps": 5, "metric": "bleu", "patience": 3}
    )
    scores = iter([1.0, 7.0, 6.0, 7.0, 5.0, 9.0])
    job.validate = lambda model: {"loss": 1.0, "bleu": next(scores)}
    told = finish(job)
    assert (
        told[-1].step == 25
        and "stopped early" in told[-1].message
        and "Weights of step 10" in told[-1].message
    )
    kept = {checkpoint.step for checkpoint in Run(tmp_path / "run").checkpoints()}
    assert 10 in kept and len(kept) == 4  # the last three and the best
    best = read_tensors(tmp_path / "run" / "checkpoints" / "step-10" / "averages.safetensors")
    assert all(
        torch.equal(tensor, best[name]) for name, tensor in weights(tmp_path / "run").items()
    )
    state = json.loads((tmp_path / "run" / "checkpoints" / "step-25" / "state.json").read_text())[
        "loop"
    ]
    assert (
        state["best_score"] == 7.0
        and state["best_step"] == 10
        and state["stale"] == 3
        and state["seconds"] > 0
    )


def test_of_equal_scores_the_lower_loss_is_best(tmp_path: Path) -> None:
    """While BLEU is 0 every validation would tie with the first, whose weights learnt least."""
    job = make_job(
        tmp_path / "run", steps=40, validation={"every_steps": 5, "metric": "bleu", "patience": 2}
    )
    losses = iter([6.97, 6.57, 6.60, 6.50, float("nan"), 6.55])
    job.validate = lambda model: {"loss": next(losses), "bleu": 0.0}
    told = finish(job)
    assert [progress.step for progress in told if progress.best] == [5, 10, 20]
    # the third was progress: patience counts from 20
    assert told[-1].step == 30 and "stopped early" in told[-1].message
    assert "Weights of step 20" in told[-1].message
    best = read_tensors(tmp_path / "run" / "checkpoints" / "step-20" / "averages.safetensors")
    assert all(
        torch.equal(tensor, best[name]) for name, tensor in weights(tmp_path / "run").items()
    )


def test_ties_after_a_resumption(tmp_path: Path) -> None:
    """The best loss is remembered; a checkpoint of before it was has none, and then a tie decides
    nothing.
    """
    for forgets in (False, True):
        path, losses = tmp_path / f"run-{forgets}", iter([6.5, 6.6, 6.4])
        for steps in (10, 30):
            job = make_job(
                path,
                steps=steps,
                resume=steps > 10,
                validation={"every_steps": 10, "metric": "bleu"},
            )
            job.validate = lambda model, losses=losses: {"loss": next(losses), "bleu": 0.0}
            told = finish(job)
            state = path / "checkpoints" / "step-10" / "state.json"
            if forgets and steps == 10:
                values = json.loads(state.read_text())
                del values["loop"]["best_loss"], values["data"]
                state.write_text(json.dumps(values))
                marks = json.loads((state.parent / "COMPLETE").read_text())
                marks["state.json"] = fingerprint(state)
                (state.parent / "COMPLETE").write_text(json.dumps(marks))
        assert [progress.step for progress in told if progress.best] == ([] if forgets else [30])


def test_another_metric_after_a_resumption_begins_anew(tmp_path: Path) -> None:
    """A BLEU of 0 is no perplexity below 900."""
    for steps, metric in ((10, "bleu"), (20, "perplexity")):
        job = make_job(
            tmp_path / "run",
            steps=steps,
            resume=steps > 10,
            validation={"every_steps": 10, "metric": metric},
        )
        job.validate = lambda model: {"bleu": 0.0, "perplexity": 900.0}
        told = finish(job)
    assert "best perplexity 900.00 at step 20" in told[-1].message


def test_unknown_metric(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"validation\.metric 'bleu' is not among the scores of this task: loss"
    ):
        finish(make_job(tmp_path / "run", validation={"metric": "bleu"}))


def test_minutes_end_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.count()
    clock = SimpleNamespace(monotonic=lambda: 0.01 * next(ticks))  # a busy machine changes nothing
    monkeypatch.setattr(trainer, "time", clock)
    told = finish(make_job(tmp_path / "run", steps=None, minutes=0.02, schedule="linear"))
    assert told[-1].event == "finished" and 1.2 <= told[-1].seconds < 2
    rates = [
        progress.learning_rate
        for progress in told
        if progress.event == "step" and progress.learning_rate
    ]
    assert rates[-1] < 0.3 * max(rates)


def test_no_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"training\.steps"):
        finish(make_job(tmp_path / "run", steps=None))


def test_a_run_is_not_overwritten(tmp_path: Path) -> None:
    finish(make_job(tmp_path / "run", steps=2))
    with pytest.raises(UsageError, match="already holds a run"):
        make_job(tmp_path / "run")


def test_resume_with_another_optimizer_is_refused(tmp_path: Path) -> None:
    finish(make_job(tmp_path / "run", steps=2))
    with pytest.raises(RunError, match=r"training\.optimizer 'adamw', not 'muon'"):
        finish(make_job(tmp_path / "run", resume=True, optimizer="muon"))


def test_longer_than_planned(tmp_path: Path) -> None:
    finish(make_job(tmp_path / "run", steps=10))
    told = finish(make_job(tmp_path / "run", steps=14, resume=True))
    assert [progress.step for progress in told if progress.event == "step"] == [11, 12, 13, 14]


def test_longer_than_planned_is_validated_by_the_new_tenths(tmp_path: Path) -> None:
    job = make_job(tmp_path / "run", steps=10, validation={})
    job.validate = lambda model: {"loss": 1.0}
    finish(job)
    job = make_job(tmp_path / "run", steps=20, resume=True, validation={})
    job.validate = lambda model: {"loss": 1.0}
    assert [progress.step for progress in finish(job) if progress.event == "validation"] == [
        12,
        14,
        16,
        18,
        20,
    ]


def test_more_patience_goes_on_after_an_early_stop(tmp_path: Path) -> None:
    for patience, resume, ends in ((1, False, 4), (1, True, 4), (3, True, 8)):
        job = make_job(
            tmp_path / "run",
            steps=20,
            resume=resume,
            validation={"every_steps": 2, "patience": patience},
        )
        job.validate = lambda model: {"loss": 1.0}
        told = finish(job)
        assert told[-1].step == ends and "stopped early" in told[-1].message
