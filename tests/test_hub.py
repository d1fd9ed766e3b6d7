"""Models of the hub: a server in its form on this machine, no network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from toy_folder import write
from toy_hub import COMMIT, SECRET, Hub, served
from triptych.convert import import_model
from triptych.errors import RunError, UsageError
from triptych.runs.run import Run

NAME = "team/toy-bert"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with served(write(tmp_path / "served"), NAME, "model", monkeypatch) as one:
        yield one


def fetched(hub: Hub) -> list[str]:
    return sorted(
        {path.rpartition("/")[2] for kind, path, *_ in hub.asked if kind == "GET" and NAME in path}
    )


def test_a_model_comes_from_the_hub_with_its_commit(hub: Hub, tmp_path: Path) -> None:
    for name in ("pytorch_model.bin", "modeling_toy.py", "onnx/model.onnx", "tf_model.h5"):
        (hub.folder / name).parent.mkdir(exist_ok=True)
        (hub.folder / name).write_bytes(b"never read")
    (hub.folder / "README.md").write_text("---\nlicense: mit\n---\n")
    said: list[str] = []
    import_model(f"hf:{NAME}@v1", tmp_path / "run", report=said.append)
    run = Run.open(tmp_path / "run")
    kept = run.read_import()
    assert kept["source"] == f"hf:{NAME}@{COMMIT}"
    assert kept["hub"] == {"name": NAME, "revision": COMMIT}
    assert run.read_config().name == "toy-bert" and "license: mit" in run.read_card()
    wanted = ["README.md", "config.json", "model.safetensors", "tokenizer.json"]
    assert fetched(hub) == [*wanted, "tokenizer_config.json", "v1"]
    assert COMMIT in said[0] and "5 files" in said[0] and "model.safetensors 0.0" in said[0]
    asked = {authorization for _, path, _, authorization in hub.asked if NAME in path}
    assert asked == {f"Bearer {SECRET}"}
    assert SECRET not in "".join(
        one.read_text() for one in run.path.rglob("*") if one.suffix in (".json", ".md", ".toml")
    )
    # what was fetched is read offline, by either way to say so
    hub.shutdown()
    import_model(f"hf:{NAME}@{COMMIT}", tmp_path / "again", offline=True)
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == (
        run.path / "model.safetensors"
    ).read_bytes()


def test_offline_asks_nobody(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(RunError, match="is not in the cache of the hub"):
        import_model(f"hf:{NAME}", tmp_path / "run")
    assert not hub.asked and not (tmp_path / "run").exists()


def test_a_broken_transfer_goes_on(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1024)
    hub.cut = 1024 * 5
    import_model(f"hf:{NAME}", tmp_path / "run")
    ranges = [asked for kind, _, asked, _ in hub.asked if kind == "GET" and asked]
    assert ranges == ["bytes=5120-"] and Run.open(tmp_path / "run").has_model()


def test_what_has_come_is_not_fetched_again(hub: Hub, tmp_path: Path) -> None:
    hub.broken = True
    with pytest.raises(RunError, match=r"model\.safetensors, cannot be fetched .*: try again"):
        import_model(f"hf:{NAME}", tmp_path / "run")
    assert not (tmp_path / "run").exists()
    hub.broken = False
    hub.asked.clear()
    import_model(f"hf:{NAME}", tmp_path / "run")
    assert fetched(hub) == ["main", "model.safetensors"]


def test_what_cannot_be_fetched_is_said(hub: Hub, tmp_path: Path) -> None:
    def refused(source: str, kind: type[Exception] = RunError) -> str:
        with pytest.raises(kind) as caught:
            import_model(source, tmp_path / "run")
        assert not (tmp_path / "run").exists() and SECRET not in str(caught.value)
        return str(caught.value)

    assert "Write hf:org/name" in refused("hf:toy-bert", UsageError)
    assert "Write hf:org/name" in refused("hf:../../etc", UsageError)
    assert "no model team/other on the hub" in refused("hf:team/other")
    assert f"{NAME} has no revision v9" in refused(f"hf:{NAME}@v9")
    hub.more = {"model-q4.gguf": 9}
    (hub.folder / "model.safetensors").rename(hub.folder / "pytorch_model.bin")
    assert "GGUF files: model-q4.gguf" in refused(f"hf:{NAME}")
    assert "no file x.gguf. It has model-q4.gguf" in refused(f"hf:{NAME}:x.gguf")
    hub.more = {}
    assert "pickle" in refused(f"hf:{NAME}")
    for climbing in ("../../evil.json", "/etc/evil.json", "a\\..\\evil.json", "c:evil.json"):
        hub.more = {climbing: 3}
        assert "outside its folder" in refused(f"hf:{NAME}")
    hub.more = {"model.safetensors": 1 << 60}
    assert "MB left" in refused(f"hf:{NAME}")
    hub.sha = "../../x"
    assert "is not one" in refused(f"hf:{NAME}")
    assert not list((tmp_path / "cache").rglob("*evil*"))


def test_without_the_package_it_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(UsageError, match=r"pip install 'triptych\[hub\]'"):
        import_model(f"hf:{NAME}", tmp_path / "run")


def test_a_branch_is_found_offline_once_it_was_fetched(hub: Hub, tmp_path: Path) -> None:
    import_model(f"hf:{NAME}", tmp_path / "run")
    asked = len(hub.asked)
    import_model(f"hf:{NAME}", tmp_path / "again", offline=True)
    assert Run.open(tmp_path / "again").read_import()["hub"]["revision"] == COMMIT
    import_model(f"hf:{NAME}@{COMMIT}", tmp_path / "third")  # a commit is asked for once
    assert not [path for _, path, *_ in hub.asked[asked:] if path.startswith("/api/")]
