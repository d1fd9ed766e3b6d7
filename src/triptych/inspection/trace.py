"""Hold a Trace: one answer of a model with what is needed to inspect it.

The page, a notebook and the file of `inspect` all read it. Attention is recomputed exactly from
queries and keys for the finished answer, so decoding is free to use fused kernels. Traces of models
without a decoder are made in `encoder.py`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..data.batches.encoded import Encoded
from ..data.example import Example
from ..data.tokenizers.sides import Tokenizers
from ..decoding.settings import DecodingSettings
from ..decoding.writing import decode
from ..errors import UsageError
from ..model.config import RecurrentConfig
from ..tasks.task import Labels, Task
from . import html
from .attribution import Attribution, exact
from .cells import PieceDecoder, TokenCell, cells, regroup
from .results import InterventionResults
from .steps import SIDES, ShownMask, Step, masks_of, steps_of
from .views.expected import Expected

TRACE_VERSION = 1
# Weights of one kind in one file; beyond it only means are kept, and the page says so.
MOST_WEIGHTS = 4_000_000
# Height of a page in a notebook's cell, which scrolls where this is too little.
LEAST_PIXELS, ROW_PIXELS, MOST_PIXELS = 580, 24, 900
SHOWN = 60  # characters of a text in `repr`


@dataclass(frozen=True, slots=True, repr=False)
class Trace:
    """Hold one answer with its attention weights.

    A model without a decoder produces nothing: `target` and `log_probabilities` are empty. A
    decoder-only model has its text as source.

    Args:
        source_text: What was read.
        target_text: The answer in words; of a decoder-only model what it generated.
        source: Cells of the source.
        target: Cells that were produced.
        attention: Kind ("cross", "encoder", "decoder", "causal") -> (L, H, T, S) fp32 over cells;
            row t of "cross" is the cell *produced* at t. "decoder" is over the cells of `inputs`.
            "causal" is what each token gives to itself and to those before it.
        log_probabilities: (T,) nats, a cell's tokens added up.
        label: What the page calls the model.
        notes: Codes that the page turns into sentences (`note_...` in words.js).
        attribution: Of the answer, over the source's cells.
        expected: What a decoder-only model expected after each cell.
        window: (which, of how many) where a long text was read in windows.
        steps: What could have been written at each token of the answer; empty unless asked for.
        masks: Kind of attention -> the masks that its layers used; empty unless asked for.
        inputs: What the decoder read, each before the cell that it then produced: the begin token,
            then the answer without its last token; given with the "decoder" kind.
        interventions: What was found by changing the pass, where that was asked for.
        trace_version: Of the JSON format.
    """

    source_text: str
    target_text: str
    source: list[TokenCell]
    target: list[TokenCell]
    attention: dict[str, np.ndarray]
    log_probabilities: list[float]
    label: str = ""
    notes: list[str] = field(default_factory=list)
    attribution: Attribution | None = None
    expected: Expected | None = None
    window: tuple[int, int] = (1, 1)
    steps: list[Step] = field(default_factory=list[Step])
    masks: dict[str, list[ShownMask]] = field(default_factory=dict[str, list[ShownMask]])
    inputs: list[TokenCell] = field(default_factory=list[TokenCell])
    interventions: InterventionResults | None = None
    trace_version: int = TRACE_VERSION

    def __repr__(self) -> str:
        shapes = [f"{kind} {weights.shape}" for kind, weights in self.attention.items()]
        texts = [repr(_cut(text)) for text in (self.source_text, self.target_text) if text]
        return f"Trace({' → '.join(texts)}, attention: {'; '.join(shapes) or 'none'})"

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the page of this trace, inside the cell."""
        # Beside the map a model without target cells shows more, and needs all the height.
        height = LEAST_PIXELS + ROW_PIXELS * len(self.target) if self.target else MOST_PIXELS
        return html.frame(html.page([self]), min(MOST_PIXELS, height), repr(self))

    def to_json(self) -> str:
        """Return one JSON object; weights are base64 of little-endian uint16, 65535 = 1."""
        attention, notes = {}, list(self.notes)
        for kind, weights in self.attention.items():
            weights, lost = _fitting(weights)
            notes += lost
            packed = np.rint(np.clip(weights, 0, 1) * 65535).astype("<u2")
            attention[kind] = {
                "shape": list(weights.shape),
                "values": base64.b64encode(packed.tobytes()).decode("ascii"),
            }
        content = {
            "trace_version": self.trace_version,
            "label": self.label,
            "source_text": self.source_text,
            "target_text": self.target_text,
            "source": [_cell_json(cell) for cell in self.source],
            "target": [_cell_json(cell) for cell in self.target],
            "log_probabilities": [round(value, 6) for value in self.log_probabilities],
            "attention": attention,
            "attribution": _attribution_json(self.attribution),
            "expected": None if self.expected is None else self.expected.to_json(),
            "window": list(self.window),
            "notes": sorted(set(notes)),
        }
        if self.inputs:
            content["inputs"] = [_cell_json(cell) for cell in self.inputs]
        if self.steps:
            content["steps"] = [one.to_json() for one in self.steps]
            content["first_tokens"] = [cell.tokens[0] for cell in self.target]
        if self.masks:
            content["masks"] = {
                kind: [one.to_json() for one in several] for kind, several in self.masks.items()
            }
        if self.interventions is not None:
            content["interventions"] = self.interventions.to_json()
        return json.dumps(content, ensure_ascii=False)


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


def _fitting(weights: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Return weights (L, H, T, S) that fit in a file, and the notes that say what was lost.

    Where they are too large they are averaged over heads, then over layers as well.
    """
    if weights.size <= MOST_WEIGHTS:
        return weights, []
    by_layer = weights.mean(1, keepdims=True)
    if by_layer.size <= MOST_WEIGHTS:
        return by_layer, ["head_means_only"]
    return by_layer.mean(0, keepdims=True), ["means_only"]


def _attribution_json(found: Attribution | None) -> dict[str, object] | None:
    if found is None:
        return None
    lists = {
        name: [float(f"{value:.6g}") for value in getattr(found, name)]
        for name in ("gradient_times_input", "gradient_norm")
    }
    return {"kind": found.kind, "of": found.of, "value": round(found.value, 6), **lists}


def _cell_json(cell: TokenCell) -> dict[str, object]:
    return {
        "text": cell.text,
        "label": cell.label,
        "start": cell.start,
        "end": cell.end,
        "pieces": list(cell.pieces),
    }


@torch.no_grad()
def look(
    model: Any,
    source: Sequence[int],
    target: Sequence[int],
    begin: int,
    kinds: Sequence[str] = ("cross",),
) -> tuple[dict[str, np.ndarray], Tensor]:
    """Read one answer by forced decoding.

    `source` is as the encoder gets it, `target` the produced ids, with the end token if there was
    one. Returns attention by kind, (L, H, T, S) in fp32, and the logits of each step, (T, V) fp32.
    """
    device = next(model.parameters()).device
    shifted = [begin, *target[:-1]]
    inputs = {
        "source": torch.tensor(source, device=device),
        "source_lengths": torch.tensor([len(source)], device=device),
        "target": torch.tensor(shifted, device=device),
        "target_lengths": torch.tensor([len(shifted)], device=device),
    }
    with exact(model):
        logits = model.project(model(**inputs)).float()  # (T, V)
        found = {
            kind: model.attention_weights(kind=kind, **inputs)[:, 0].float().cpu().numpy()
            for kind in kinds
        }
    return found, logits


def _chances(logits: Tensor, target: Sequence[int]) -> list[float]:
    """Return each target token's log-probability in nats."""
    written = torch.tensor(target, device=logits.device)[:, None]
    return logits.log_softmax(-1).gather(1, written)[:, 0].tolist()


def trace(
    model: Any,
    task: Task,
    tokenizers: Tokenizers,
    example: Example,
    *,
    labels: Labels,
    settings: DecodingSettings,
    label: str = "",
    kinds: Sequence[str] = ("cross",),
    steps: int = 0,
    prefix: Sequence[int] = (),
) -> Trace:
    """Answer one Example as the Task does, and trace the best answer.

    With `example.target` set that text is traced instead: it is forced, and nothing is searched.
    `steps` is how many likely tokens are kept at each step, with the masks; `prefix` are ids that
    the answer begins with. Raises UsageError for a target where the task learns no target text.
    """
    encoded, begin, answer = answered(model, task, tokenizers, example, labels, settings, prefix)
    source = encoded.inputs["source"].tolist()
    found = trace_tokens(
        model,
        source,
        answer,
        tokenizers.source,
        tokenizers.target,
        label=label,
        kinds=kinds,
        begin=begin,
        steps=steps,
    )
    found.notes.extend(["source_cut"] * bool(encoded.unseen))
    return found


def answered(
    model: Any,
    task: Task,
    tokenizers: Tokenizers,
    example: Example,
    labels: Labels,
    settings: DecodingSettings,
    prefix: Sequence[int] = (),
) -> tuple[Encoded, int | None, list[int]]:
    """Return an Example encoded, the token before its answer, and the answer's ids.

    With `example.target` set that text is the answer; `prefix` are ids that it begins with. Raises
    UsageError for a target where the task learns no target text.
    """
    if example.target and "target" not in task.needs:
        raise UsageError(
            f"--target gives a text as the answer, but a run for {task.name} does not learn to "
            "answer with one text. Leave out the target."
        )
    encoded = task.encode(example, tokenizers, labels, "train" if example.target else "use", None)[
        0
    ]
    begin, *begun = encoded.begins or [None]
    if example.target:
        answer, begin = encoded.targets["tokens"].tolist(), int(encoded.inputs["target"][0])
    else:
        assert task.request is not None, "a model with a decoder generates text"
        request = task.request(encoded, settings, tokenizers)
        if prefix:
            first = request.prompt or [tokenizers.target.begin_id]
            request = replace(request, prompt=[*first, *prefix])
        best = decode(model, [request], tokenizers.target)[0][0]
        ends = [tokenizers.target.end_id] if best.finished else []
        answer = [*begun, *prefix, *best.tokens, *ends]
    return encoded, begin, answer


def trace_tokens(
    model: Any,
    source: Sequence[int],
    target: Sequence[int],
    source_tokenizer: PieceDecoder,
    target_tokenizer: PieceDecoder,
    *,
    label: str = "",
    kinds: Sequence[str] = ("cross",),
    begin: int | None = None,
    steps: int = 0,
) -> Trace:
    """Return the Trace of one source and its answer, both given as ids.

    begin: the token before the answer; None: the tokenizer's. steps: how many likely tokens are
    kept at each step, with the masks; 0: neither.

    A model without attention gives a Trace with the note "no_attention".
    """
    for kind in kinds:
        if kind not in SIDES:
            raise UsageError(f"Unknown attention '{kind}'. Allowed: {', '.join(SIDES)}.")
    notes = []
    if isinstance(model.config, RecurrentConfig) and not model.config.attention:
        kinds = ()
        notes.append("no_attention")
    first = target_tokenizer.begin_id if begin is None else begin
    attention, logits = look(model, source, target, first, kinds)
    chances = _chances(logits, target)
    if not target or target[-1] != target_tokenizer.end_id:
        notes.append("cut")
    shown = {"source": cells(source_tokenizer, source), "target": cells(target_tokenizer, target)}
    shown["inputs"] = cells(target_tokenizer, [first, *target[:-1]])
    grouped = {
        kind: regroup(weights, *(shown[side] for side in SIDES[kind]))
        for kind, weights in attention.items()
    }
    return Trace(
        source_text="".join(cell.text for cell in shown["source"]),
        target_text="".join(cell.text for cell in shown["target"]),
        source=shown["source"],
        target=shown["target"],
        attention=grouped,
        log_probabilities=[
            sum(chances[token] for token in cell.tokens) for cell in shown["target"]
        ],
        label=label,
        notes=notes,
        steps=steps_of(logits, target, target_tokenizer, steps) if steps else [],
        masks=_masks(model, kinds, shown) if steps else {},
        inputs=shown["inputs"] if "decoder" in kinds else [],
    )


def _masks(
    model: Any, kinds: Sequence[str], shown: dict[str, list[TokenCell]]
) -> dict[str, list[ShownMask]]:
    if isinstance(model.config, RecurrentConfig):
        return {}
    return masks_of(model, kinds, shown)
