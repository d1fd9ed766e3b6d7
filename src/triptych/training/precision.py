"""Choose the device and the precision of activations by what the machine supports."""

from __future__ import annotations

import os
from typing import Any

import torch

from ..errors import UsageError, unknown

DEVICES = ("auto", "cpu", "cuda")


def choose_device(wanted: str, name: str = "training.device") -> torch.device:
    """Choose a device: `auto` takes an accelerator if there is one.

    Args:
        wanted: One of DEVICES.
        name: Names the setting in an error.

    Returns:
        The device; with several processes, each gets its own accelerator.
    """
    if wanted not in DEVICES:
        raise unknown("device", wanted, DEVICES, f"for {name}")
    if wanted == "cuda" and not torch.cuda.is_available():
        raise UsageError(
            "{name} is 'cuda', but torch finds no CUDA device. Use 'auto' or 'cpu'.", name=name
        )
    if wanted == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    number, count = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if number >= count:
        raise UsageError(
            "Process {number} of this machine needs a GPU of its own, and there are {count}. Start "
            "at most {count} processes (--nproc-per-node), or set {name} to 'cpu'.",
            number=number,
            count=count,
            name=name,
        )
    return torch.device("cuda", number)


def choose_precision(wanted: str, device: torch.device) -> torch.dtype:
    """Choose bfloat16 if the device multiplies it faster than float32; parameters stay float32."""
    if wanted != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[wanted]
    fast = torch.cuda.is_bf16_supported() if device.type == "cuda" else _cpu_has_bfloat16()
    return torch.bfloat16 if fast else torch.float32


def _cpu_has_bfloat16() -> bool:
    """Tell whether the CPU has AVX-512 BF16, AMX, or the matrix instructions of Arm."""
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    if any(getattr(torch.cpu, name)() for name in checks if hasattr(torch.cpu, name)):
        return True
    cpu: Any = torch.cpu
    capabilities: dict[str, Any] = (
        cpu.get_capabilities() if hasattr(cpu, "get_capabilities") else {}
    )
    return bool(capabilities.get("bf16") and capabilities.get("architecture") == "aarch64")
