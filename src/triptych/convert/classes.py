"""Choose the class of the library transformers that computes what a run does, or say why none does.

Importing it imports no torch: `init` asks it about recipes that are not trained yet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..data.tokenizers.subwords import Tokenizer
from ..interchange import bert, gpt2, llama, marian, pre_norm, starcoder2
from ..interchange.bert import Export
from ..interchange.name_map import NameMap
from ..messages import message
from ..model.config import AnyConfig, ModelConfig, StackConfig
from ..tasks import summarization, translation
from ..tasks.specs import SPECS, build_task

if TYPE_CHECKING:
    from torch import Tensor

Tensors = Mapping[str, "Tensor"]
FROM_TEXT = (translation.SPEC.name, summarization.SPEC.name)  # their source is a text as it is
RECURRENT = "it is a recurrent network"
# Tokens that begin and end a window and are not counted in it.
ENDS = 2


@dataclass(frozen=True)
class Form:
    """Hold what decides about the class: the task, its options, the model, its tokenizers."""

    task: str
    options: Mapping[str, object]
    model: AnyConfig
    tokenizers: int = 1

    @property
    def longest(self) -> int:
        """Return how many tokens are read at once, by the task's options."""
        keys = ("window", "context", "longest_source")
        sizes = [value for key in keys if isinstance(value := self.options.get(key), int)]
        return max(sizes, default=0) + ENDS


@dataclass(frozen=True, kw_only=True)
class ExportClass:
    """Describe how a run is written.

    Args:
        kind: The model_type there.
        architecture: The class there.
        names: The rules for its tensors.
        values: Returns the config.json, by the tokenizer.
        prepared: Returns our tensors as the class computes with them.
        constants: Returns tensors of theirs that hold nothing learnt.
        has_segments: It tells two texts of an input apart.
    """

    kind: str
    architecture: str
    names: NameMap
    values: Callable[[Tokenizer], dict[str, object]]
    prepared: Callable[[Tensors], dict[str, Tensor]] = dict
    constants: Callable[[], dict[str, Tensor]] = dict
    has_segments: bool = False


def has_class(task: str) -> bool:
    """Tell whether some recipe for a task can be exported."""
    spec = SPECS[task]
    if spec.architecture == "encoder":
        return any(spec.head == head for _, head in (*bert.EXPORTS, *pre_norm.EXPORTS))
    return spec.architecture == "decoder" or task in FROM_TEXT


def refusals(form: Form) -> list[str]:
    """List what no class of the library transformers computes, each as part of a sentence."""
    if not isinstance(form.model, ModelConfig):
        return [RECURRENT]
    found = _refusals[form.model.architecture](form, form.model)
    return found + ([message("it has two tokenizers")] if form.tokenizers > 1 else [])


def export_class(form: Form) -> ExportClass:
    """Return the class for a form without `refusals`."""
    assert isinstance(form.model, ModelConfig), "a recurrent network has no class"
    return _classes[form.model.architecture](form, form.model)


# Decoders -----------------------------------------------------------------------------------------


def _decoder_stack(model: ModelConfig) -> StackConfig:
    assert model.decoder is not None, "a decoder-only model has a decoder"
    return model.decoder


def _is_starcoder2(model: ModelConfig) -> bool:
    stack = _decoder_stack(model)
    return stack.norm == "layer" and stack.positions == "rotary"


def _decoder_refusals(form: Form, model: ModelConfig) -> list[str]:
    if _is_starcoder2(model):
        problems = starcoder2.refusals(model)
    else:
        family = llama if _decoder_stack(model).norm == "rms" else gpt2
        problems = family.refusals(model)
    writers = [one.name for one in SPECS.values() if one.architecture == "decoder"]
    if form.task not in writers:
        problems.append(
            f"its task is {form.task}, but decoders are exported for {', '.join(writers)}"
        )
    return problems


def _decoder_class(form: Form, model: ModelConfig) -> ExportClass:
    context = form.options.get("context", 0)
    size = context if isinstance(context, int) else 0
    if _is_starcoder2(model):
        return ExportClass(
            kind=starcoder2.KIND,
            architecture=starcoder2.ARCHITECTURE,
            names=starcoder2.export_map(starcoder2.is_tied(model)),
            values=lambda tokenizer: starcoder2.write_config(model, size),
            prepared=lambda tensors: starcoder2.prepared(tensors, model),
        )
    family = llama if _decoder_stack(model).norm == "rms" else gpt2
    return ExportClass(
        kind=family.KIND,
        architecture=family.ARCHITECTURE,
        names=family.export_map(model.tied_embeddings),
        values=lambda tokenizer: family.write_config(model, size),
    )


# Encoders -----------------------------------------------------------------------------------------


def _encoder_stack(model: ModelConfig) -> StackConfig:
    assert model.encoder is not None, "an encoder-only model has an encoder"
    return model.encoder


def _encoder_kind(form: Form, model: ModelConfig) -> str:
    stack = _encoder_stack(model)
    if stack.norm_placement == "pre":
        is_pair = SPECS[form.task].head == "span" or bool(form.options.get("pair"))
        return pre_norm.kind_of(stack, is_pair)
    return "bert" if stack.segments else "distilbert"


def _encoder_refusals(form: Form, model: ModelConfig) -> list[str]:
    kind = _encoder_kind(form, model)
    is_pre = kind in pre_norm.NAMES
    problems = pre_norm.refusals(model, kind) if is_pre else bert.refusals(model)
    exports = pre_norm.EXPORTS if is_pre else bert.EXPORTS
    export = exports.get((kind, SPECS[form.task].head))
    if export is not None:  # an older run has fewer options
        return problems + export.refusals(build_task(form.task, form.options).options)
    of = {**pre_norm.NAMES, "bert": "a BERT", "distilbert": "a DistilBERT"}[kind]
    tasks = sorted(one.name for one in SPECS.values() if (kind, one.head) in exports)
    return [*problems, f"its task is {form.task}, but {of} is exported for {', '.join(tasks)}"]


def _encoder_class(form: Form, model: ModelConfig) -> ExportClass:
    kind, head = _encoder_kind(form, model), SPECS[form.task].head
    if kind in pre_norm.NAMES:
        return _pre_norm_class(form, model, kind, pre_norm.EXPORTS[kind, head])
    export = bert.EXPORTS[kind, head]
    return ExportClass(
        kind=kind,
        architecture=export.architecture,
        names=bert.export_map(kind, export),
        values=lambda tokenizer: bert.write_config(model),
        has_segments=kind == "bert",
    )


def _pre_norm_class(form: Form, model: ModelConfig, kind: str, export: Export) -> ExportClass:
    longest = form.longest
    return ExportClass(
        kind=kind,
        architecture=export.architecture,
        names=pre_norm.export_map(kind, export),
        values=lambda tokenizer: pre_norm.write_config(model, kind, longest, tokenizer.end_id),
        prepared=lambda tensors: pre_norm.prepared(tensors, model, kind, longest),
        constants=lambda: pre_norm.constants(model, kind, export),
        has_segments=kind == pre_norm.MEGATRON,
    )


# Encoder-decoders ---------------------------------------------------------------------------------


def _both_refusals(form: Form, model: ModelConfig) -> list[str]:
    problems = marian.refusals(model)
    if form.task not in FROM_TEXT:
        problems.append(
            f"its task is {form.task}, but encoder-decoders are exported for {', '.join(FROM_TEXT)}"
        )
    return problems


def _both_class(form: Form, model: ModelConfig) -> ExportClass:
    kind, longest = marian.kind_of(model), form.longest
    return ExportClass(
        kind=kind,
        architecture=marian.ARCHITECTURES[kind],
        names=marian.export_map(model),
        values=lambda tokenizer: marian.write_config(
            model, longest, tokenizer.begin_id, list(tokenizer.end_ids)
        ),
        prepared=lambda tensors: marian.prepared(tensors, model, longest),
        constants=lambda: marian.constants(model),
    )


_refusals: dict[str, Callable[[Form, ModelConfig], list[str]]] = {
    "decoder": _decoder_refusals,
    "encoder": _encoder_refusals,
    "encoder-decoder": _both_refusals,
}
_classes: dict[str, Callable[[Form, ModelConfig], ExportClass]] = {
    "decoder": _decoder_class,
    "encoder": _encoder_class,
    "encoder-decoder": _both_class,
}
