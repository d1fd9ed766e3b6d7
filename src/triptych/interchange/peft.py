"""Read and write LoRA adapters (Hu et al. 2021) in the form of the library peft, without pickle.

A folder holds adapter_config.json and adapter_model.safetensors: for each adapted layer of theirs
A (rank, inputs) and B (outputs, rank), whose product is added to the layer's weight. Where one
matrix of theirs is several of ours, the adapters of ours stand in one: A under each other, and B as
blocks on a diagonal, which is the same sum.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..errors import RunError, brief
from ..runs.storage import read_tensors, write_file, write_tensors, writing
from .huggingface import read_json, write_json
from .name_map import NameMap
from .rules import Rename, Split, put_together, taken_apart

if TYPE_CHECKING:
    from torch import Tensor

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
PREFIX = "base_model.model."
DOWN, UP, SCALE = "adapter_down", "adapter_up", "adapter_scale"  # the ends of our names
PART_A, PART_B = ".lora_A.weight", ".lora_B.weight"
# What an adapter may not have, each with the values that mean that it does not.
WITHOUT: dict[str, tuple[object, ...]] = {
    "bias": (None, "none"),
    "use_dora": (None, False),
    "use_qalora": (None, False),
    "lora_bias": (None, False),
    "modules_to_save": (None, []),
    "trainable_token_indices": (None, []),
    "layer_replication": (None, []),
    "megatron_config": (None, {}),
}


REPEATED = re.compile(r"\)[*+?{]|\\[1-9]")  # a group that is repeated, or referred to
MOST_REPEATS = 4


@dataclass(kw_only=True)
class Adapter:
    """Hold an adapter as it was read: layer of theirs -> (A, B, scale)."""

    path: Path
    base: str
    revision: str | None
    layers: dict[str, tuple[Tensor, Tensor, float]] = field(repr=False)

    def added(self, tensors: Mapping[str, Tensor], names: NameMap) -> dict[str, Tensor]:
        """Return our tensors with the adapter in them.

        Raises RunError listing every layer that the model does not have, or in another size.
        """
        found, problems = dict(tensors), list[str]()
        for layer, (down, up, scale) in self.layers.items():
            rule, parts = names.our_names(f"{layer}.weight")
            if rule is None or any(part not in found for part in parts):
                problems.append(f"'{layer}' is not a layer of the base")
                continue
            shapes = [tuple(found[part].shape) for part in parts]
            sizes = (sum(shape[0] for shape in shapes), shapes[0][-1])
            if (up.shape[0], down.shape[1]) != sizes:
                problems.append(
                    f"'{layer}' is a matrix of {up.shape[0]} x {down.shape[1]}, in the base of "
                    f"{sizes[0]} x {sizes[1]}"
                )
                continue
            changes = taken_apart(_plain(rule), scale * (up.float() @ down.float()), shapes)
            for part, change in zip(parts, changes, strict=True):
                found[part] = found[part] + change
        if problems:
            raise RunError(
                "{path} does not fit its base: {problems}.",
                path=self.path,
                problems=brief("; ".join(problems), 600),
            )
        return found


def is_adapter(path: str | Path) -> bool:
    """Tell whether a folder holds an adapter and no model."""
    return (Path(path) / CONFIG).is_file() and not (Path(path) / "config.json").is_file()


def read_adapter(path: Path) -> Adapter:
    """Read a folder. Raises RunError for another kind of adapter, naming everything."""
    values, where = read_json(path / CONFIG), path / CONFIG
    wrong = [
        f"{key} is {brief(repr(values[key]), 60)}"
        for key, none in WITHOUT.items()
        if key in values and values[key] not in none
    ]
    if values.get("peft_type") != "LORA":
        wrong.insert(0, f"peft_type is {brief(repr(values.get('peft_type')), 60)}")
    if wrong:
        raise RunError(
            "{where} is not an adapter that triptych reads (LoRA on weights alone): {wrong}.",
            where=where,
            wrong="; ".join(wrong),
        )
    if not (path / WEIGHTS).is_file():
        raise RunError(
            "{path} has no {name}. A .bin file is a pickle and is not read: save the adapter with "
            "safetensors.",
            path=path,
            name=WEIGHTS,
        )
    tensors = read_tensors(path / WEIGHTS)
    revision = values.get("revision")
    return Adapter(
        path=path,
        base=str(values.get("base_model_name_or_path") or ""),
        revision=revision if isinstance(revision, str) else None,
        layers=_layers(tensors, values, path / WEIGHTS),
    )


def _layers(
    tensors: Mapping[str, Tensor], values: Mapping[str, object], where: Path
) -> dict[str, tuple[Tensor, Tensor, float]]:
    found: dict[str, tuple[Tensor, Tensor, float]] = {}
    strange = [
        name
        for name in tensors
        if not name.startswith(PREFIX) or not name.endswith((PART_A, PART_B))
    ]
    for name, down in tensors.items():
        if name in strange or not name.endswith(PART_A):
            continue
        layer = name.removeprefix(PREFIX).removesuffix(PART_A)
        up = tensors.get(f"{PREFIX}{layer}{PART_B}")
        if up is None or down.dim() != 2 or up.dim() != 2 or down.shape[0] != up.shape[1]:
            strange.append(name)
        else:
            found[layer] = (down, up, _scale(layer, down.shape[0], values, where))
    strange += [
        name
        for name in tensors
        if name.endswith(PART_B) and name.removesuffix(PART_B) + PART_A not in tensors
    ]
    if strange or not found:
        raise RunError(
            "{where} holds tensors that are not pairs of lora_A and lora_B of one rank: {names}.",
            where=where,
            names=brief(", ".join(strange)) or "none",
        )
    return found


def _names(pattern: str, layer: str, where: Path) -> bool:
    """Tell whether a regular expression matches a layer's name, or the end of it after a dot.

    Raises RunError for one that is invalid, or that could take for ever (REPEATED, MOST_REPEATS).
    """
    try:
        if REPEATED.search(pattern) or len(re.findall("[*+{]", pattern)) > MOST_REPEATS:
            raise re.error("it repeats too much")
        return re.match(rf"(.*\.)?({pattern})$", layer) is not None
    except re.error as problem:
        raise RunError(
            "{where}: alpha_pattern names layers by '{pattern}', which is not read ({problem}). "
            "Write the names of the layers instead.",
            where=where.parent / CONFIG,
            pattern=brief(pattern, 60),
            problem=problem,
        ) from None


def _scale(layer: str, rank: int, values: Mapping[str, object], where: Path) -> float:
    """Return what the product is multiplied by: alpha / rank, or by its root (rsLoRA)."""
    alpha = values.get("lora_alpha")
    several = values.get("alpha_pattern")
    for pattern, own in (several if isinstance(several, dict) else {}).items():
        if _names(pattern, layer, where):
            alpha = own
            break
    if isinstance(alpha, bool) or not isinstance(alpha, int | float):
        raise RunError(
            "{where}: lora_alpha of {layer} is {alpha}, not a number.",
            where=where.parent / CONFIG,
            layer=layer,
            alpha=brief(repr(alpha), 60),
        )
    return float(alpha) / (rank**0.5 if values.get("use_rslora") else rank)


def write_adapter(
    path: Path,
    tensors: Mapping[str, Tensor],
    names: NameMap,
    base: str,
    revision: str | None,
    card: str,
) -> int:
    """Write the adapters among our tensors as a folder, and return how many layers of theirs."""
    theirs, ranks, alphas, fused = _their_layers(tensors, names)
    rank, alpha = next(iter(ranks.values())), next(iter(alphas.values()))
    config: dict[str, Any] = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "revision": revision,
        "r": rank,
        "lora_alpha": alpha,
        "rank_pattern": {name: one for name, one in ranks.items() if one != rank},
        "alpha_pattern": {name: one for name, one in alphas.items() if one != alpha},
        "target_modules": sorted(ranks),
        "fan_in_fan_out": fused,
        "bias": "none",
        "lora_dropout": 0.0,
        "inference_mode": True,
        "modules_to_save": None,
        "use_dora": False,
        "use_rslora": False,
    }
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)
    write_tensors(path / WEIGHTS, theirs, {"format": "pt"})
    write_file(path / "README.md", card.encode())
    write_json(path / CONFIG, config)
    return len(ranks)


def _their_layers(
    tensors: Mapping[str, Tensor], names: NameMap
) -> tuple[dict[str, Tensor], dict[str, int], dict[str, float], bool]:
    """Return A and B by their names, the rank and alpha of each layer, and if they transpose."""
    import torch

    groups: dict[str, tuple[Rename | Split, list[str]]] = {}
    for name in tensors:
        if name.endswith(f".{DOWN}"):
            rule, theirs, parts = names.their_names(name.removesuffix(DOWN) + "weight")
            groups[theirs.removesuffix(".weight")] = (rule, parts)
    found: dict[str, Tensor] = {}
    ranks: dict[str, int] = {}
    alphas: dict[str, float] = {}
    transposed = False
    for layer, (rule, parts) in groups.items():
        places = [part.removesuffix("weight") for part in parts]
        downs = [tensors[p + DOWN] for p in places if p + DOWN in tensors]
        rank = sum(one.shape[0] for one in downs)
        scale = next(float(tensors[p + SCALE]) for p in places if p + DOWN in tensors)
        blocks: list[Tensor] = []
        start = 0
        for place in places:
            rows = tensors[place + "weight"].shape[0]
            block = torch.zeros(rows, rank)
            if place + UP in tensors:
                up = tensors[place + UP].float()
                block[:, start : start + up.shape[1]] = up
                start += up.shape[1]
            blocks.append(block)
        found[f"{PREFIX}{layer}{PART_A}"] = torch.cat(downs).float().contiguous()
        found[f"{PREFIX}{layer}{PART_B}"] = put_together(_plain(rule), blocks)
        ranks[layer], alphas[layer] = rank, scale * rank
        transposed = transposed or rule.transpose
    return found, ranks, alphas, transposed


def _plain(rule: Rename | Split) -> Rename | Split:
    """Return a rule for (outputs, inputs) on both sides: peft's A and B are never transposed."""
    return cast("Rename | Split", replace(rule, transpose=False))
