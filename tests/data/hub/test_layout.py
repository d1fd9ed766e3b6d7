"""Which files make the configs and splits of a data set."""

from __future__ import annotations

from pathlib import Path

import pytest

from triptych.data.hub.layout import configs_of
from triptych.errors import DataError

pytest.importorskip(
    "huggingface_hub", reason="huggingface_hub is not installed: pip install -e '.[dev]'"
)
NAMED = """---
license: mit
configs:
- config_name: small
  data_files:
  - split: train
    path: "small/train-*"
  - split: test
    path: ["small/a.csv", "small/deep/**"]
- config_name: big
  default: true
  data_files: "big/*.csv"
- config_name: folder
  data_dir: big
---
# Toys
"""


def splits(names: list[str], card: Path | None = None) -> dict[str, dict[str, list[str]]]:
    return {
        one.name: {split: [*files] for split, files in one.splits.items()}
        for one in configs_of(names, card, "team/toys")
    }


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (
            ["data/train-00001-of-00002-ab.parquet", "data/train-00000-of-00002-cd.parquet"],
            {"train": ["data/train-00000-of-00002-cd.parquet", "data/train-00001-of-00002-ab.parquet"]},  # noqa: E501
        ),
        (["x_dev.csv", "my_train.csv"], {"train": ["my_train.csv"], "validation": ["x_dev.csv"]}),
        (
            ["test/a.jsonl", "train/a.jsonl", "valid/a.jsonl"],
            {"train": ["train/a.jsonl"], "validation": ["valid/a.jsonl"], "test": ["test/a.jsonl"]},
        ),
        (["a.jsonl", "b.jsonl", "notes.txt"], {"train": ["a.jsonl", "b.jsonl"]}),
        (["constraint.json.gz", "dataset_infos.json"], {"train": ["constraint.json.gz"]}),
        ([".hidden/train.csv", "contest.csv"], {"train": ["contest.csv"]}),
    ],
)  # fmt: skip
def test_names_say_it(names: list[str], expected: dict[str, list[str]]) -> None:
    assert splits([*names, "README.md", "p.png"]) == {"default": expected}


def test_the_readme_says_it(tmp_path: Path) -> None:
    card = tmp_path / "README.md"
    card.write_text(NAMED)
    names = ["small/train-0.csv", "small/a.csv", "small/deep/x/b.csv", "big/test.csv", "big/t.csv"]
    assert splits(names, card) == {
        "small": {"train": ["small/train-0.csv"], "test": ["small/a.csv", "small/deep/x/b.csv"]},
        "big": {"train": ["big/t.csv", "big/test.csv"]},
        "folder": {"test": ["big/test.csv"]},
    }
    with pytest.raises(DataError, match=r"names small/train-\* for its config small, and no file"):
        splits(["big/t.csv"], card)
    card.write_text("---\n: : [\n---\n")
    assert splits(["a.csv"], card) == {"default": {"train": ["a.csv"]}}
    card.write_text('---\nconfigs:\n- data_files: "' + "a*" * 30 + '"\n---\n')
    with pytest.raises(DataError, match="more than 8 wildcards"):
        splits(["a.csv"], card)


def test_a_converted_copy_and_a_script() -> None:
    names = ["en-de/train/0000.parquet", "en-de/train/0001.parquet", "fr/partial-test/0000.parquet"]
    assert splits(names) == {
        "en-de": {"train": ["en-de/train/0000.parquet", "en-de/train/0001.parquet"]},
        "fr": {"test": ["fr/partial-test/0000.parquet"]},
    }
    assert splits(["toys.py", "raw.csv"]) == {}
