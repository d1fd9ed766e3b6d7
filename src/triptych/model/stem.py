"""Stems: convolutions that map frames of sound to fewer vectors, in place of a table of tokens."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .config import StackConfig
from .dials import STRIDES
from .layout import PackedLayout


class Stem(nn.Module):
    """Convolve packed frames in time, each layer with a kernel of 3 and GELU.

    "convolution": two layers of stride 2, so that 4 frames become 1, as the 1-D subsampling of
    Wang et al. 2020 (fairseq S2T, section 3.1); "whisper": strides 1 and 2 (Radford et al. 2023,
    section 2.2). Places past the end of a sequence are zeros before each layer, so that a sequence
    alone gives what it gives in a batch. Computed in fp32.
    """

    def __init__(self, config: StackConfig) -> None:
        super().__init__()
        assert config.stem is not None, "a stem has a kind"
        widths = (config.features or 0, config.width, config.width)
        self.strides = STRIDES[config.stem]
        self.layers = nn.ModuleList(
            nn.Conv1d(inputs, outputs, 3, stride, padding=1)
            for inputs, outputs, stride in zip(widths[:-1], widths[1:], self.strides, strict=True)
        )

    def lengths(self, lengths: Tensor) -> Tensor:
        """Map how many frames sequences have (B,) to how many vectors they become (B,)."""
        for stride in self.strides:
            lengths = (lengths + stride - 1) // stride
        return lengths

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map packed features (F, C) and lengths (B,) -> vectors (S, D) and their lengths (B,)."""
        layout = PackedLayout(lengths)
        x = layout.pad(features.float()).transpose(1, 2)  # (B, C, T)
        for layer, stride in zip(self.layers, self.strides, strict=True):
            assert isinstance(layer, nn.Conv1d) and layer.bias is not None, "as it was built"
            weight, offset = layer.weight.float(), layer.bias.float()  # they may be kept in bf16
            x = functional.gelu(
                functional.conv1d(x, weight, offset, stride, padding=1)
            )  # (B, D, T/s)
            lengths = (lengths + stride - 1) // stride
            steps = torch.arange(x.shape[2], device=x.device)
            x = x * (steps < lengths[:, None])[:, None]
        return PackedLayout(lengths).pack(x.transpose(1, 2)), lengths
