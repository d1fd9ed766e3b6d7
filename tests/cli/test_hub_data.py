"""Data sets and models of the hub by name, from init to evaluate: a local server in its form."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import toy_folder
from toy_hub import COMMIT, Hub, served
from triptych.convert.adapters import _origin
from triptych.inference.loading import load
from triptych.recipe.schema import Recipe
from triptych.runs.run import Run

Command = Callable[..., SimpleNamespace]
NAME, LATER = "team/toys", "f" * 40
SHORT = ["--training.epochs", "1", "--training.precision", "float32", "--training.device", "cpu"]
SIZES = {"width": 16, "heads": 2, "inner_width": 16, "layers": 1}
TINY = [one for key, size in SIZES.items() for one in (f"--model.{key}", str(size))]
FEATURES = {"label": {"names": ["cats", "dogs"], "_type": "ClassLabel"}}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triptych.setup.draft.measured.MEASURED_SECONDS", 0.05)
    monkeypatch.setattr("triptych.setup.draft.small.MOST_TEXTS", 0)  # no baseline


def parquet(path: Path, columns: dict[str, list[Any]], features: object = None) -> Path:
    pyarrow = pytest.importorskip(
        "pyarrow", reason="pyarrow, which reads Parquet, is not installed: pip install -e '.[dev]'"
    )
    table = pyarrow.table(columns)
    if features is not None:
        note = json.dumps({"info": {"features": features}})
        table = table.replace_schema_metadata({"huggingface": note})
    path.parent.mkdir(parents=True, exist_ok=True)
    __import__("pyarrow.parquet").parquet.write_table(table, path)
    return path


def texts(begin: int, end: int) -> dict[str, list[Any]]:
    rows = range(begin, end)
    return {"text": [f"the cat sat {one}" for one in rows], "label": [one % 2 for one in rows]}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    folder = tmp_path / "served"
    parquet(folder / "data/train-00000-of-00002.parquet", texts(0, 40), FEATURES)
    parquet(folder / "data/train-00001-of-00002.parquet", texts(40, 80), FEATURES)
    parquet(folder / "data/test-00000-of-00001.parquet", texts(80, 100), FEATURES)
    parquet(folder / "data/validation-00000-of-00001.parquet", texts(100, 120), FEATURES)
    with served(folder, NAME, "dataset", monkeypatch) as one:
        yield one


def asked(hub: Hub, start: int = 0) -> list[str]:
    return [path for kind, path, *_ in hub.asked[start:] if kind == "GET" and NAME in path]


def test_from_init_to_evaluate(triptych: Command, hub: Hub, tmp_path: Path) -> None:
    recipe, run, here = tmp_path / "mine.toml", tmp_path / "run", f"hf:{NAME}@{COMMIT}"
    done = triptych(
        *("init", "classification", "--train", f"hf:{NAME}", "--out", recipe),
        *("--validation", f"hf:{NAME}", "--test", f"hf:{NAME}"),
    )
    assert done.code == 0, done.err
    assert "#validation, #test" in done.err and "2 files" in done.err
    made = Recipe.load(recipe).data
    assert made.train == f"{here}:default#train"
    assert made.validation == [f"{here}:default#validation"]
    assert made.test == [f"{here}:default#test"]
    # a later commit changes nothing, and what was fetched is read without the server
    hub.revisions, hub.sha = {"main": LATER, LATER: LATER}, LATER
    before = len(hub.asked)
    trained = triptych("train", recipe, "--out", run, *TINY, "--training.steps", "4")
    assert trained.code == 0, trained.err
    assert not asked(hub, before)
    assert Recipe.load(run).data.train == made.train
    assert made.train in json.loads((run / "data.json").read_text())["train"]
    labels = json.loads((run / "labels.json").read_text())
    assert (
        labels["labels"] == ["cats", "dogs"]
        and "Data sets of the hub" in (run / "MODEL_CARD.md").read_text()
    )
    hub.shutdown()
    scored = triptych("evaluate", run, "--json")
    assert scored.code == 0 and json.loads(scored.out.splitlines()[-1])["examples"] == 20
    other = triptych("evaluate", run, "--json", "--data", f"{here}#validation")
    assert json.loads(other.out.splitlines()[-1])["examples"] == 20, other.err


def test_a_run_keeps_the_commit_of_its_beginning(
    triptych: Command, hub: Hub, tmp_path: Path
) -> None:
    recipe, run = tmp_path / "mine.toml", tmp_path / "run"
    recipe.write_text(
        f'[task]\nname = "classification"\n[data]\ntrain = "hf:{NAME}"\n'
        '[model]\npreset = "encoder-tiny"\nwidth = 16\nheads = 2\ninner_width = 16\nlayers = 1\n'
        "[tokenizer]\nvocabulary_size = 300\n[training]\nepochs = 1\n"
    )
    assert triptych("train", recipe, "--out", run, *SHORT).code == 0
    pinned = f"hf:{NAME}@{COMMIT}:default#train"
    assert Recipe.load(run).data.train == pinned
    hub.revisions, hub.sha = {"main": LATER, LATER: LATER}, LATER
    resumed = triptych(
        "train", recipe, "--out", run, "--resume", *SHORT[2:], "--training.epochs", "2"
    )
    assert resumed.code == 0, resumed.err
    assert Recipe.load(run).data.train == pinned


def test_check_stats_and_convert(triptych: Command, hub: Hub, tmp_path: Path) -> None:
    checked = triptych("data", "check", f"hf:{NAME}")
    assert "train 80 texts; 0 errors" in checked.err, checked.err
    counted = triptych("data", "stats", f"hf:{NAME}#test", "--json")
    assert json.loads(counted.out)["labels"] == {"cats": 10, "dogs": 10}, counted.out
    out = tmp_path / "mine.tsv"
    written = triptych("data", "convert", f"hf:{NAME}#test", "--to", "tsv", "--out", out)
    assert written.code == 0 and "the cat sat 80\tcats" in out.read_text()
    unnamed = triptych("data", "convert", f"hf:{NAME}#test")
    assert unnamed.code == 2 and "--out FILE" in unnamed.err
    before = len(hub.asked)
    assert triptych("data", "check", f"hf:{NAME}", "--offline").code == checked.code
    assert len(hub.asked) == before
    missing = triptych("data", "check", "hf:team/other", "--offline")
    assert missing.code == 1 and "not in the cache of the hub" in missing.err
    assert "no data set team/other" in triptych("data", "check", "hf:team/other").err


def test_what_is_wrong_with_a_name(triptych: Command, hub: Hub) -> None:
    def refused(name: str) -> str:
        done = triptych("data", "check", name)
        assert done.code in (1, 2) and not done.out
        return re.sub(r"\s+", " ", done.err)

    assert "is not a data set of the hub. Write hf:org/name" in refused("hf:toys")
    assert "is not a data set of the hub" in refused("hf:../etc")
    assert "has no revision v9" in refused(f"hf:{NAME}@v9")
    assert f"It has train, validation, test; name one, like hf:{NAME}:default#train" in refused(
        f"hf:{NAME}#dev"
    )
    assert f"{NAME} has no config big. It has default" in refused(f"hf:{NAME}:big")
    assert "has no file data/x.csv. It has data/test-00000" in refused(f"hf:{NAME}:data/x.csv")
    shutil.rmtree(hub.folder / "data")
    (hub.folder / "toys.py").write_text("raise SystemExit('never run')")
    (hub.folder / "raw.csv").write_text("a,b\n1,2\n")
    assert f"a script, which is code and is never run. Try the copy that the hub converts: hf:{NAME}@refs/convert/parquet" in refused(f"hf:{NAME}")  # fmt: skip  # noqa: E501
    (hub.folder / "toys.py").unlink()
    (hub.folder / "raw.csv").rename(hub.folder / "picture.png")
    assert "holds no Parquet, JSON, CSV, TSV or text file. It has picture.png" in refused(
        f"hf:{NAME}"
    )
    hub.more = {"../../evil.csv": 3}
    assert "outside its folder" in refused(f"hf:{NAME}")
    hub.more = {"train.csv": 1 << 60}
    assert "MB left" in refused(f"hf:{NAME}")
    assert not [one for one in asked(hub) if one.endswith(".py")]


def test_damaged_parquet(triptych: Command, hub: Hub) -> None:
    path = hub.folder / "data/train-00001-of-00002.parquet"
    path.write_bytes(path.read_bytes()[:-40] + b"0" * 36 + b"PAR1")
    done = triptych("data", "check", f"hf:{NAME}")
    assert done.code == 1 and "is not a whole Parquet file" in done.err
    assert not list((hub.folder.parent / "own").rglob("*.jsonl*"))


def test_a_model_to_start_from(
    triptych: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = toy_folder.tensors(pooler=False, masked=True)
    config = {**toy_folder.CONFIG, "architectures": ["BertForMaskedLM"]}
    folder = toy_folder.write(tmp_path / "served", held, config)
    recipe, run, table = tmp_path / "mine.toml", tmp_path / "run", tmp_path / "mine.tsv"
    rows = texts(0, 60)
    lines = [f"{a}\t{b}" for a, b in zip(rows["text"], rows["label"], strict=True)]
    table.write_text("\n".join(["text\tlabel", *lines]))
    here = f"hf:{NAME}@{COMMIT}"
    with served(folder, NAME, "model", monkeypatch) as hub:
        done = triptych(
            *("init", "classification", "--train", table, "--validation", table),
            *("--start", f"hf:{NAME}", "--out", recipe),
        )
        assert done.code == 0 and f"the model in {here}" in done.err, done.err
        assert Recipe.load(recipe).model.start == here
        hub.revisions, hub.sha = {"main": LATER}, LATER
        trained = triptych(
            "train", recipe, "--out", run, "--offline", *SHORT, "--model.lora_rank", "2"
        )
        assert trained.code == 0 and "Taken from" in trained.err, trained.err
        assert Recipe.load(run).model.start == here
        certificate = Run.open(run).read_start()
        assert certificate["source"] == here and certificate["mapped"] > 10
        assert certificate["hub"] == {"name": NAME, "revision": COMMIT}
        assert load(run).predict(["the cat"])[0].text in ("0", "1")
        wrong = triptych("train", recipe, "--out", tmp_path / "x", "--model.start", "hf:team/no")
        assert wrong.code == 1 and "no model team/no on the hub" in wrong.err
        assert not (tmp_path / "x").exists()
        assert _origin(here, Run.open(run)) == (NAME, COMMIT, "bert")


def test_without_the_packages_it_says_how_to_get_them(
    triptych: Command, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    done = triptych("data", "check", f"hf:{NAME}")
    assert done.code == 2 and "pip install 'triptych[data]'" in done.err
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    done = triptych("data", "check", f"hf:{NAME}")
    assert done.code == 2 and "pip install 'triptych[data]'" in done.err
