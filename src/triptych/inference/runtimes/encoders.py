"""Compute encoders with their heads in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ...data.batches.encoded import collate
from ...decoding.settings import DecodingSettings
from ...model.heads.classifier import ClassOutput
from ...model.heads.tagger import TagOutput
from ...model.layout import PackedLayout

if TYPE_CHECKING:
    from ...data.batches.encoded import Encoded
    from ..loaded import LoadedModel

MODEL = "model.onnx"
PACKED = {  # the graph's inputs -> ours
    "input_ids": "source",
    "token_type_ids": "segments",
    "word_starts": "word_starts",
}
Outputs = dict[str, np.ndarray]


class EncoderRuntime:
    """Answer with the head's outputs of a graph; see `runtime.Runtime`."""

    def __init__(self, folder: Path, loaded: LoadedModel) -> None:
        import onnxruntime

        options: Any = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # batches are computed side by side, as here
        self.session: Any = onnxruntime.InferenceSession(
            str(folder / MODEL), options, providers=["CPUExecutionProvider"]
        )
        self.names = [one.name for one in self.session.get_inputs()]
        self.loaded, self.head = loaded, _Head(loaded)

    def refusal(self, settings: DecodingSettings) -> str | None:
        """Return None: no setting of decoding changes what an encoder computes."""
        return None

    def answer(self, encoded: list[Encoded], settings: DecodingSettings, start: int) -> list[Any]:
        """Return the task's raw result for each input of a batch."""
        loaded, batch = self.loaded, collate(encoded)
        batch.examples = [start + one.index for one in encoded]
        assert loaded.task.answer is not None, "an encoder answers"
        return loaded.task.answer(self.run, self.head, batch, settings, loaded.tokenizers)

    def run(self, **inputs: Tensor) -> Any:
        """Compute the outputs of packed inputs, as a model is called; they go to the head."""
        layout = PackedLayout(inputs["source_lengths"])
        given = {
            name: layout.pad(inputs[PACKED[name]] if PACKED[name] in inputs else _zeros(layout))
            for name in self.names
            if name in PACKED
        }
        given["attention_mask"] = layout.real
        fed = {name: one.long().numpy() for name, one in given.items()}
        outputs = [one.name for one in self.session.get_outputs()]
        found = dict(zip(outputs, self.session.run(outputs, fed), strict=True))
        states = found.get("last_hidden_state")
        return found if states is None else layout.pack(torch.from_numpy(states))


def _zeros(layout: PackedLayout) -> Tensor:
    return layout.lengths.new_zeros(layout.total)


class _Head:
    """Return a graph's outputs as the run's own head does; what else a head has is the run's."""

    is_seen_whole = True  # no rows are selected before

    def __init__(self, loaded: LoadedModel) -> None:
        self.own = loaded.head
        self.read = READERS.get(loaded.task.spec.head)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.own, name)

    def __call__(self, model: object, outputs: Any, inputs: dict[str, Tensor]) -> Any:
        assert self.read is not None, "a head whose outputs are read"
        return self.read(self.own, outputs, inputs)


def _classes(head: Any, outputs: Outputs, inputs: dict[str, Tensor]) -> ClassOutput:
    return ClassOutput(torch.from_numpy(outputs["logits"]), head.temperature.cpu())


def _tags(head: Any, outputs: Outputs, inputs: dict[str, Tensor]) -> TagOutput:
    rows, starts = PackedLayout(inputs["source_lengths"]), inputs["word_starts"]
    scores = rows.pack(torch.from_numpy(outputs["logits"]))[starts.bool()]
    words = rows.lengths.new_zeros(rows.count).index_add(0, rows.sequence, starts)
    chain = [None if one is None else one.cpu() for one in head.chain()]
    return TagOutput(scores, words, *chain)


def _spans(head: Any, outputs: Outputs, inputs: dict[str, Tensor]) -> Tensor:
    rows = PackedLayout(inputs["source_lengths"])
    both = np.stack([outputs["start_logits"], outputs["end_logits"]], -1)
    return rows.pack(torch.from_numpy(both))


READERS: dict[str, Callable[[Any, Outputs, dict[str, Tensor]], Any]] = {
    "classifier": _classes,
    "tagger": _tags,
    "span": _spans,
}
