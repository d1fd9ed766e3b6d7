"""What the benchmarks compute beside what they time."""

from __future__ import annotations

import dataclasses
import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from triptych.data.example import Example
from triptych.presets.gpt import PRESETS

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def gpt2_speed(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("gpt2_speed")


def test_operations_of_a_token_of_gpt2(gpt2_speed: Any) -> None:
    config = dataclasses.replace(PRESETS["gpt2"], vocabulary_size=50_257)
    # weights and biases of twelve blocks; tied embeddings
    blocks, table = 12 * (12 * 768**2 + 13 * 768), 50_257 * 768
    by_hand = 6 * (blocks + table + 2 * 768) + 12 * 12 * 768 * 1024
    assert (
        gpt2_speed.operations_of(config, 1024)
        == pytest.approx(by_hand)
        == pytest.approx(8.55e8, rel=1e-3)
    )


def test_a_peak_is_given_or_known(gpt2_speed: Any) -> None:
    assert (
        gpt2_speed.peak_of(torch.device("cpu"), None) is None
        and gpt2_speed.peak_of(torch.device("cpu"), 2.5) == 2.5
    )


def test_it_trains_and_writes(
    gpt2_speed: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(gpt2_speed, "VOCABULARY", 300)
    dials = (
        "--preset decoder-tiny --context 16 --batch 2 --seconds 0.2 --warm-up 1 --streams 2 --new "
        "3 --device cpu --peak 1 --json"
    )
    monkeypatch.setattr("sys.argv", ["gpt2_speed.py", *dials.split(), str(tmp_path / "found.json")])
    gpt2_speed.main()
    found = json.loads((tmp_path / "found.json").read_text())
    speed = found["training"]
    assert speed["tflops"] == pytest.approx(speed["tokens_per_second"] * gpt2_speed.operations_of(
        dataclasses.replace(PRESETS["decoder-tiny"], vocabulary_size=300), 16) / 1e12)  # fmt: skip
    assert (
        speed["utilisation"] == pytest.approx(100 * speed["tflops"]) and found["writing"]["2"] > 0
    )
    assert json.loads(capsys.readouterr().out.split("\n")[0])["preset"] == "decoder-tiny"


def test_decoding_speed_goes_on_past_what_failed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    speed = importlib.import_module("decoding_speed")
    line = json.dumps(
        {"who": "triptych float32", "beams": 1, "forced": 0, "sentences_per_second": 30.0}
    )
    commands = {
        "aborts": [sys.executable, "-c", "import os; os.abort()"],
        "is not there": ["/no/such/python"],
        "does it": [sys.executable, "-c", f"print({line!r})"],
    }
    rates, failed = speed.measured(commands, windows=2)
    assert rates == {("triptych float32", 1, 0): [30.0, 30.0]}
    assert list(failed) == ["aborts", "is not there"] and failed["aborts"].startswith(
        "ended by signal 6"
    )
    speed.print_table(rates, ["triptych float32"])
    printed = capsys.readouterr()
    assert (
        "| triptych float32 | 30 | failed | failed | failed |" in printed.out
        and printed.err.count("aborts failed") == 1
    )


def test_peer_for_words_sees_new_batches_every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("seqeval")
    monkeypatch.syspath_prepend(str(BENCHMARKS / "peers"))
    peer = importlib.import_module("tagging_transformers")
    monkeypatch.setattr(peer, "POOL", 64)
    pieces = [([1] * (1 + place * 7 % 40), [0] * (1 + place * 7 % 40)) for place in range(200)]

    def epochs(seed: int) -> list[list[tuple[int, ...]]]:
        generator = torch.Generator().manual_seed(seed)
        return [[tuple(places) for places, *_ in peer.batches(pieces, generator)] for _ in range(2)]

    first, second = epochs(1)
    assert sorted(sum(first, ())) == sorted(sum(second, ())) == list(range(200))
    assert not set(map(frozenset, first)) & set(map(frozenset, second))
    assert epochs(1) == [first, second] and epochs(2) != [first, second]
    assert [places for places, *_ in peer.batches(pieces)] == [
        places for places, *_ in peer.batches(pieces)
    ]


def test_threads_are_measured_by_load_and_way(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    threads = importlib.import_module("threads")
    monkeypatch.setitem(
        threads.SHAPES,
        "tiny",
        {"model.preset": "transformer-tiny", "model.layers": 1, "batches.batch_tokens": 100},
    )
    monkeypatch.setattr(threads, "PAIRS", 200)
    monkeypatch.setattr(threads, "TEXTS", 4)
    monkeypatch.setattr(threads, "WARM_STEPS", 1)
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")  # of this process; no way keeps it
    seen = []

    def here(command: list[str], env: dict[str, str], **_: Any) -> Any:
        seen.append(
            (env.get("OMP_NUM_THREADS"), env.get("OMP_WAIT_POLICY"), env.get("GOMP_SPINCOUNT"))
        )
        folder, shape, work, way = command[3:7]
        found = threads.measure(Path(folder), shape, work, way, 0.2)
        return subprocess.CompletedProcess(command, 0, f"a notice\n{json.dumps(found)}\n", "")

    monkeypatch.setattr(threads.subprocess, "run", here)
    dials = "--quick --ways one passive --loads quiet --json"
    monkeypatch.setattr("sys.argv", ["threads.py", *dials.split(), str(tmp_path / "found.json")])
    threads.main()
    found = json.loads((tmp_path / "found.json").read_text())
    assert seen == [("1", None, None), (None, "PASSIVE", None)] * 2
    assert [(one["load"], one["work"], one["way"]) for one in found[:3]] == [
        ("quiet", "training", "one"),
        ("quiet", "training", "passive"),
        ("quiet", "prediction", "one"),
    ]
    assert all(one["rate"] > 0 for one in found)
    rows = capsys.readouterr().out.split("\n")
    assert (
        rows[0].startswith("training of tiny, tokens a second")
        and rows[1].split()[0] == "one"
        and "quiet" in rows[1]
    )


def test_a_line_has_its_labels_and_is_read_where_it_is_nearest_the_middle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    task = importlib.import_module("line_labels")
    tokenizer = SimpleNamespace(begin_id=1, end_id=2, encode=lambda text: [9] * len(text))
    lines = ["a" * 200, "b" * 150, "c" * 100, "", "d" * 300]
    ends = [sum(map(len, lines[: number + 1])) for number in range(5)]
    document = Example(
        text="".join(lines),
        words=[(end - len(line), end) for line, end in zip(lines, ends, strict=True)],
        tags=["O", "a2|j3", "O", "j3", "O"],
    )
    labels = task.prepare([document])
    assert labels == {"names": ["a2", "j3"]}
    options = task.LineOptions(window=402, stride=200)
    given = document, SimpleNamespace(source=tokenizer), labels
    found = task.encode(*given, "train", options=options)
    assert [(one.metadata.first, one.metadata.last) for one in found] == [(0, 2), (2, 5)]
    # an empty line is one token; of a long one 256 are read
    assert [len(one.inputs["source"]) for one in found] == [352, 359]
    assert found[1].inputs["word_starts"].nonzero()[0].tolist() == [1, 101, 102]
    assert [one.targets["tags"].tolist() for one in found] == [
        [[0, 0], [1, 1]],
        [[0, 0], [0, 1], [0, 0]],
    ]
    use = task.encode(*given, "use", options=options)
    assert [(one.metadata.first, one.metadata.last) for one in use] == [(0, 2), (1, 4), (3, 5)]
    scores = [np.full((one.metadata.last - one.metadata.first, 2), 0.2) for one in use]
    scores[0][1], scores[1][0], scores[1][1:] = (0.9, 0.7), 0.1, 0.8
    raw = [
        task.Raw(one, part.metadata, labels["names"]) for one, part in zip(scores, use, strict=True)
    ]
    answer = task.read(raw, document, None)
    assert answer.text == "O\na2|j3\na2|j3\na2|j3\nO"
    assert task.score([answer], [document], {}).values == {"f1_micro": pytest.approx(200 * 3 / 9)}
    alone = task.encode(*given, "use", options=dataclasses.replace(options, alone=True))
    assert [len(one.inputs["source"]) for one in alone] == [202, 152, 102, 3, 258]


def test_seconds_of_a_resumed_comparison(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Steps that both have count once, and not the first ones after a start."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    switch = importlib.import_module("switch")
    monkeypatch.setattr(switch, "WARM_UP", 1)
    steps = [*(("dense", n) for n in (1, 2, 3)), *(("switch", n) for n in (1, 2))]
    steps += [*(("dense", n) for n in (3, 4)), *(("switch", n) for n in (2, 3, 4))]
    log = tmp_path / "steps.jsonl"
    log.write_text("".join(json.dumps([*one, 2.0 + place]) + "\n" for place, one in
                           enumerate(steps)))  # fmt: skip
    found = switch.seconds_of(log)
    assert found == {"dense": [8.0], "switch": [11.0]}
