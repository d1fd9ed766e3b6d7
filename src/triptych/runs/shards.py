"""Read tensors that several processes have written, each a part, by their JSON index."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import RunError
from .files import WAY_OUT
from .storage import opened_tensors, parsed, read_text

if TYPE_CHECKING:
    from torch import Tensor

INDEX = "shards.json"
VERSION = 1
OFFSETS = "DCP_SHARDING_INFO"  # torch's key in the metadata of a shard

# {"file": ..., "offset": [row, ...], "shape": [...]} of each part of a tensor
Parts = list[dict[str, Any]]


def index_of(folder: Path) -> dict[str, Parts]:
    """Read where the parts of each tensor are from the headers of a folder's shards."""
    found: dict[str, Parts] = {}
    for path in sorted(folder.glob("*.safetensors")):
        with opened_tensors(path) as held:
            offsets = json.loads((held.metadata() or {}).get(OFFSETS, "{}"))
            for name in held.keys():  # noqa: SIM118  (it is no dict)
                part = {
                    "file": f"{folder.name}/{path.name}",
                    "offset": list(offsets.get(name, {}).get("saved_offsets", ())),
                    "shape": list(held.get_slice(name).get_shape()),
                }
                found.setdefault(name, []).append(part)
    for parts in found.values():
        parts.sort(key=lambda part: part["offset"])
    return found


class ShardedTensors(Mapping[str, "Tensor"]):
    """Put the tensors of one kind ("optimizer") of a checkpoint together when they are asked for.

    Raises:
        RunError: The index or a shard is damaged.
    """

    def __init__(self, folder: Path, kind: str) -> None:
        self.folder = folder
        values = parsed(read_text(folder / INDEX), folder / INDEX, WAY_OUT)
        try:
            self._parts: dict[str, Parts] = dict(values["tensors"].get(kind, {}))
        except (TypeError, KeyError, AttributeError, ValueError):
            raise RunError(
                "{path} does not list the parts of tensors: it is damaged. {way_out}",
                path=folder / INDEX,
                way_out=WAY_OUT,
            ) from None

    def __getitem__(self, name: str) -> Tensor:
        import torch

        parts: list[Tensor] = []
        for part in self._parts[name]:
            with opened_tensors(self.folder / part["file"]) as held:
                parts.append(held.get_tensor(name))
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)
