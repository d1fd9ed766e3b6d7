"""Test files of tensors that are read and written piece by piece."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from triptych.errors import RunError
from triptych.inference.prepack import prepack
from triptych.model.build import build, without_draws
from triptych.model.layout import PackedLayout
from triptych.presets import configure
from triptych.runs import mapped
from triptych.runs.checkpoint import load_weights, weights_of
from triptych.runs.mapped import map_tensors, pieces, write_mapped
from triptych.runs.storage import write_tensors


def tensors() -> dict[str, Tensor]:
    torch.manual_seed(1)
    return {
        "matrix": torch.randn(7, 5),
        "tall": torch.randn(300, 3),
        "turned": torch.randn(4, 6).T,
        "part": torch.randn(9, 4)[2:5],
        "half": torch.randn(3, 5).half(),
        "brain": torch.randn(2, 3).bfloat16(),
        "wide": torch.randn(3, dtype=torch.float64),
        "one": torch.tensor(0.5),
        "none": torch.empty(0, 4),
        "flag": torch.tensor([True, False, True]),
        "count": torch.tensor([3, -1]),
    }


def alike(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(
        one[name].dtype == other[name].dtype and torch.equal(one[name], other[name]) for name in one
    )


def test_mapped_is_what_was_written(tmp_path: Path) -> None:
    write_tensors(tmp_path / "one", tensors())
    found = map_tensors(tmp_path / "one")
    assert found.pages is not None and alike(found.tensors, tensors())
    found.drop()
    assert alike(found.tensors, tensors())
    found.tensors["matrix"].zero_()  # a change is this process's own
    assert alike(load_file(tmp_path / "one"), tensors())


def test_a_part_is_dropped_and_read_again(tmp_path: Path) -> None:
    given = {name: torch.randn(50_000) for name in ("one", "two", "three")}
    write_tensors(tmp_path / "one", given)
    found = map_tensors(tmp_path / "one")
    found.tensors["three"].add_(1)
    for tensor in (*found.tensors.values(), torch.ones(9), torch.empty(0)):
        found.drop_part(tensor)
    assert torch.equal(found.tensors.pop("three"), given.pop("three") + 1), "a change is kept"
    assert alike(found.tensors, given)
    with torch.inference_mode():
        found.drop_part(torch.ones(9))


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="only Linux tells")
def test_a_dropped_part_takes_no_memory(tmp_path: Path) -> None:
    def held() -> int:
        parts = Path("/proc/self/smaps").read_text().split(str(tmp_path / "one"))[1:]
        return sum(
            int(part[part.index("Rss:") + 4 :].split(maxsplit=1)[0]) * 1024 for part in parts
        )

    write_tensors(tmp_path / "one", {"one": torch.randn(500_000), "two": torch.randn(500_000)})
    found = map_tensors(tmp_path / "one")
    for tensor in found.tensors.values():
        tensor.sum()
    assert held() >= 4_000_000
    found.drop_part(found.tensors["one"])
    assert held() < 2_200_000


def test_a_type_without_a_number_is_read_by_the_library(tmp_path: Path) -> None:
    write_tensors(tmp_path / "one", {"small": torch.ones(4).to(torch.float8_e4m3fn)})
    found = map_tensors(tmp_path / "one")
    assert found.pages is None and found.tensors["small"].dtype == torch.float8_e4m3fn
    found.drop()


@pytest.mark.parametrize("most", [1 << 22, 7])
def test_written_in_pieces_is_written_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(mapped, "PIECE", most)
    called: list[int] = []
    write_mapped(tmp_path / "one", tensors(), lambda: called.append(1))
    assert len(called) == len(tensors())
    wide = {
        name: one.float() if one.is_floating_point() else one for name, one in tensors().items()
    }
    write_tensors(tmp_path / "two", wide)
    one, two = ((tmp_path / name).read_bytes() for name in ("one", "two"))
    sizes = [int.from_bytes(whole[:8], "little") for whole in (one, two)]
    assert one[8 : 8 + sizes[0]].rstrip() == two[8 : 8 + sizes[1]].rstrip()
    assert one[8 + sizes[0] :] == two[8 + sizes[1] :] and (8 + sizes[0]) % 64 == 0


def test_pieces_are_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapped, "PIECE", 10)
    for one in tensors().values():
        found = list(pieces(one))
        assert torch.equal(torch.cat(found) if one.dim() else found[0], one)
        assert all(piece.numel() <= 10 or piece.shape[0] == 1 for piece in found)


@pytest.mark.parametrize("left", [0, 5, 60, -3])
def test_a_damaged_file_is_named(tmp_path: Path, left: int) -> None:
    write_tensors(tmp_path / "one", tensors())
    whole = (tmp_path / "one").read_bytes()
    (tmp_path / "one").write_bytes(whole[:left])
    with pytest.raises(RunError, match=f"{tmp_path / 'one'}"):
        map_tensors(tmp_path / "one")
    with pytest.raises(RunError, match="is missing"):
        map_tensors(tmp_path / "two")


def test_undrawn_and_mapped_is_drawn_and_copied(tmp_path: Path) -> None:
    """A model whose parameters are views of a file computes as one that was copied from it."""
    config = dataclasses.replace(
        configure("llama-small", {"layers": 2, "width": 32, "heads": 4, "key_heads": 2}),
        vocabulary_size=70,
    )
    torch.manual_seed(2)
    before = build(config).eval()
    write_mapped(tmp_path / "one", weights_of(before, None))
    state = torch.get_rng_state()
    with without_draws():
        ours = build(config).eval()
    assert torch.equal(torch.get_rng_state(), state), "nothing was drawn"
    found = map_tensors(tmp_path / "one")
    load_weights(tmp_path / "one", dict(found.tensors), ours, None, found)
    size = (tmp_path / "one").stat().st_size
    views = [one.untyped_storage().nbytes() == size for one in ours.parameters()]
    assert sum(views) >= len(views) - 1
    assert alike(weights_of(ours, None), weights_of(before, None))
    prepack(before, torch.float32)
    prepack(ours, torch.float32, found.drop_part, waits=True)
    lengths = torch.tensor([5, 2])
    rows = torch.arange(7) % 70
    with torch.no_grad():  # from the file; then laid out, and what was read is dropped
        one, two, three, four = (
            model.project(model(target=rows, target_lengths=lengths))
            for model in (before, ours, ours, ours)
        )
    assert torch.equal(one, two) and torch.equal(one, three) and torch.equal(one, four)
    assert alike(weights_of(ours, None), weights_of(before, None))
    assert PackedLayout(lengths).longest == 5


def test_what_is_not_aligned_is_copied(tmp_path: Path) -> None:
    config = dataclasses.replace(
        configure("llama-small", {"layers": 1, "width": 32, "heads": 4, "key_heads": 2}),
        vocabulary_size=70,
    )
    model = build(config)
    write_tensors(tmp_path / "one", weights_of(model, None))
    whole = (tmp_path / "one").read_bytes()
    size = int.from_bytes(whole[:8], "little")
    more = -(8 + size) % 64 + 8  # eight bytes past a multiple of 64
    header = (size + more).to_bytes(8, "little") + whole[8 : 8 + size] + b" " * more
    (tmp_path / "one").write_bytes(header + whole[8 + size :])
    found, other = map_tensors(tmp_path / "one"), build(config)
    load_weights(tmp_path / "one", dict(found.tensors), other, None, found)
    held = len(whole) + more
    assert all(one.untyped_storage().nbytes() != held for one in other.parameters())
    assert alike(weights_of(other, None), weights_of(model, None))
