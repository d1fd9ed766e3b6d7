"""triptych import, info and export by hand, and what goes wrong as a sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

from toy_folder import write

Call = Callable[..., SimpleNamespace]


def test_import_info_predict_export(triptych: Call, tmp_path: Path) -> None:
    source = write(tmp_path / "toy-bert")
    done = triptych("import", source, tmp_path / "run")
    assert done.code == 0 and done.out.strip() == str(tmp_path / "run")
    assert "39 tensors of" in done.err and "SHA-256" in done.err and "--model.start" in done.err
    told = triptych("info", tmp_path / "run")
    assert str(source) in told.out and "embedding" in told.out and "epochs" not in told.out
    values = json.loads(triptych("info", tmp_path / "run", "--json").out)
    assert values["tensors"] == 39 and values["imported_from"] == str(source)
    vector = json.loads(triptych("predict", tmp_path / "run", "the cat", "--jsonl").out)["vector"]
    assert len(vector) == 8
    done = triptych("export", tmp_path / "run", tmp_path / "out", "--format", "huggingface")
    assert done.code == 0 and done.out.strip() == str(tmp_path / "out") and "BertModel" in done.err
    assert {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"} <= {
        path.name for path in (tmp_path / "out").iterdir()
    }


def test_refusals_are_sentences(triptych: Call, tmp_path: Path) -> None:
    source = write(tmp_path / "toy-bert")
    (source / "model.safetensors").rename(source / "pytorch_model.bin")
    done = triptych("import", source, tmp_path / "run")
    assert done.code == 1 and "pickle" in done.err and "safetensors" in done.err
    assert triptych("import", source, tmp_path / "run", "--task", "parsing").code == 2
    assert triptych("export", tmp_path / "none", tmp_path / "out").code == 1
    assert triptych("export", tmp_path / "none", tmp_path / "out", "--format", "pdf").code == 2
