"""A recurrent unit in place of a decoder's self-attention.

Its state is one vector for each layer, whatever the length of the text, so a step of decoding reads
no keys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn import functional

from .config import StackConfig
from .linear import Linear
from .masks import masked
from .ops.scan import scan

if TYPE_CHECKING:
    from .attention import Context


class SimplerRecurrentUnit(nn.Module):
    """Mix a token with those before it by an SSRU (Kim et al. 2019, section 2.1.2).

    f_t = sigmoid(W_f x_t + b_f); c_t = f_t c_(t-1) + (1 - f_t) W x_t; y_t = relu(c_t). It has the
    face of `Attention`, and `key_heads` of width 0: what the cache keeps of a token is its cell.
    """

    key_heads, head_width = 1, 0

    def __init__(self, config: StackConfig) -> None:
        super().__init__()
        self.candidate = Linear(config.width, config.width, bias=False)
        self.forget = Linear(config.width, config.width, bias=config.bias)
        self.width = config.width
        self.mask = masked(True, 1)  # a step needs the cell of the last token alone
        self.mask_number = 0  # index of this mask in the stack

    def forward(self, x: Tensor, context: Context, residual: Tensor | None = None) -> Tensor:
        """Map x (N, D) -> (N, D), plus `residual` if that is given. Cells are fp32."""
        candidates, kept = self.candidate(x).float(), self.forget(x).float().sigmoid()
        cache, layout = context.cells, context.layout
        if cache is not None:
            shape, start = (*context.shape, self.width), cache.newest(context.layer)
            cells = scan(_by_time(candidates.view(shape)), _by_time(kept.view(shape)), start)
            cells = _by_time(cells)  # (B, T, D)
            cache.append(context.layer, cells)
            cells = cells.reshape(x.shape)
        else:
            assert layout is not None, "packed rows have a layout"
            start = candidates.new_zeros(layout.count, self.width)
            padded = (layout.pad(one) for one in (candidates, kept))
            cells = scan(*(_by_time(one).contiguous() for one in padded), start=start)
            cells = layout.pack(_by_time(cells))
        y = functional.relu(cells).to(x.dtype)
        return y if residual is None else residual + y


def _by_time(x: Tensor) -> Tensor:
    """Map (B, T, D) -> (T, B, D), or back."""
    return x.transpose(0, 1)
