"""Test how folders of sentence-transformers come in and go out: pooling, normalisation, modules."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from published_folders import TEXTS, cases, write
from test_encoders import theirs
from toys_of_encoders import TOYS

from triptych.convert import export_run, import_folder
from triptych.errors import RunError
from triptych.inference.loading import load
from triptych.runs.run import Run

BASES = [name for name, toy in TOYS.items() if name == toy.model and name.endswith("Model")]


def modules(path: Path, pooling: dict[str, Any], *further: str) -> Path:
    """Write the files of sentence-transformers beside a model, in their newer form."""
    kinds = [("", "base.modules.transformer.Transformer"),
             ("1_Pooling", "sentence_transformer.modules.pooling.Pooling")]  # fmt: skip
    kinds += [(f"{place}_{kind}", f"models.{kind}") for place, kind in enumerate(further, 2)]
    (path / "modules.json").write_text(
        json.dumps(
            [
                {"idx": place, "name": str(place), "path": folder,
                 "type": f"sentence_transformers.{kind}"}
                for place, (folder, kind) in enumerate(kinds)
            ]
        )
    )  # fmt: skip
    (path / "1_Pooling").mkdir()
    (path / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    return path


# The lengths of these four names lead to every way of pooling.
@pytest.mark.parametrize(
    "name", cases(BASES, set(BASES) - {"BertModel", "RobertaModel", "AlbertModel", "MPNetModel"})
)
def test_vectors_are_of_its_states(tmp_path: Path, name: str) -> None:
    there = write(TOYS[name], tmp_path / "in")
    further = () if len(name) % 2 else ("Normalize",)
    mode = "cls" if len(name) % 3 else "mean"
    folder = modules(tmp_path / "in", {"embedding_dimension": 32, "pooling_mode": mode}, *further)
    import_folder(folder, tmp_path / "run")
    options = Run(tmp_path / "run").read_config().options
    backend = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    for text, found in zip(TEXTS, load(tmp_path / "run").predict(TEXTS), strict=True):
        states = theirs(there, backend.encode(text))  # (T, D)
        wanted = states[0] if mode == "cls" else states.mean(0)
        wanted = wanted / wanted.norm() if further else wanted
        near = 1e-5 * max(1.0, float(wanted.abs().max()))
        assert found.details["vector"] == pytest.approx(wanted.tolist(), abs=near)
    export_run(tmp_path / "run", tmp_path / "out")
    import_folder(tmp_path / "out", tmp_path / "again")
    assert Run(tmp_path / "again").read_config().options == options
    assert (tmp_path / "out" / "2_Normalize").exists() == bool(options["normalize"])


@pytest.mark.parametrize(
    ("pooling", "further", "said"),
    [
        ({"pooling_mode": "mean"}, ["Dense", "Normalize"], "has the module Dense, which"),
        ({"pooling_mode": ["mean", "max"]}, [], "not support: mean, max. Supported"),
        ({"pooling_mode_max_tokens": True}, [], "not support: max_tokens. Supported"),
        ({"pooling_mode_max_tokens": False}, [], "not support: none. Supported"),
    ],
)
def test_what_is_not_computed_is_refused(
    tmp_path: Path, pooling: dict[str, Any], further: list[str], said: str
) -> None:
    write(TOYS["BertModel"], tmp_path / "in")
    with pytest.raises(RunError, match=said):
        import_folder(modules(tmp_path / "in", pooling, *further), tmp_path / "run")


@pytest.mark.parametrize("given", ["{}", "[[]]", '[{"type": "a.b", "path": "../x"}]'])
def test_a_damaged_list_of_modules_is_refused(tmp_path: Path, given: str) -> None:
    write(TOYS["BertModel"], tmp_path / "in")
    (tmp_path / "in" / "modules.json").write_text(given)
    with pytest.raises(RunError, match=r"must list modules"):
        import_folder(tmp_path / "in", tmp_path / "run")
