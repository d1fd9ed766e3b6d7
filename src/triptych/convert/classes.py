"""Choose the class of the library transformers that computes what a run does, or say why none does.

Importing it imports no torch: `init` asks it about recipes that are not trained yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..data.tokenizers.subwords import Tokenizer
from ..errors import RunError, brief
from ..interchange import bert, distilbert, gpt2, llama, marian, pre_norm, starcoder2, whisper
from ..interchange.families import BY_KIND, FAMILIES
from ..interchange.family import Family, PublishedClass, Tensors
from ..interchange.name_map import NameMap
from ..messages import message
from ..model.config import AnyConfig, ModelConfig
from ..tasks import summarization, text_to_text, transcription, translation
from ..tasks.specs import SPECS, build_task

if TYPE_CHECKING:
    from torch import Tensor

# Their source is a text as it is, or after the name of what is to be done.
FROM_TEXT = (translation.SPEC.name, summarization.SPEC.name, text_to_text.SPEC.name)
FROM_SOUND = transcription.SPEC.name
RECURRENT = "it is a recurrent network"
# Tokens that begin and end a window and are not counted in it.
ENDS = 2


@dataclass(frozen=True)
class Form:
    """Hold what decides about the class: the task, its options, the model, its tokenizers.

    kind: the model_type that it was imported from, if it was, and the config.json's `values`.
    """

    task: str
    options: Mapping[str, object]
    model: AnyConfig
    tokenizers: int = 1
    kind: str | None = None
    values: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.task not in SPECS:
            raise RunError(
                "A run for '{task}' has no form in another library, because triptych itself has no "
                "such task.",
                task=brief(self.task),
            )

    @property
    def longest(self) -> int:
        """Return how many tokens are read at once, by the task's options."""
        keys = ("window", "context", "longest_source")
        sizes = [value for key in keys if isinstance(value := self.options.get(key), int)]
        return max(sizes, default=0) + ENDS


@dataclass(frozen=True)
class ExportClass:
    """Describe how a run is written: as a class of a family.

    longest: the tokens that the run reads at once.
    """

    family: Family
    published: PublishedClass
    model: ModelConfig
    longest: int

    @property
    def architecture(self) -> str:
        """Return the class's name there."""
        return self.published.architecture

    @property
    def names(self) -> NameMap:
        """Return the rules for its tensors."""
        return self.family.export_map(self.published, self.model)

    def values(self, tokenizer: Tokenizer) -> dict[str, object]:
        """Return the content of config.json."""
        found = self.family.write_config(self.model, self.longest, tokenizer)
        return {**found, **self.published.values}

    def prepared(self, tensors: Tensors) -> dict[str, Tensor]:
        """Return our tensors as the class computes with them."""
        return self.family.prepared(tensors, self.model, self.longest)

    def constants(self) -> dict[str, Tensor]:
        """Return tensors of theirs that hold nothing learnt."""
        return self.family.constants(self.model, self.published, self.longest)


def has_class(task: str) -> bool:
    """Tell whether some recipe for a task can be exported."""
    spec = SPECS[task]
    if spec.architecture == "encoder-decoder":
        return task in (*FROM_TEXT, FROM_SOUND)
    families = [one for one in FAMILIES if one.architecture == spec.architecture]
    return any(one.class_of(spec.head) is not None for one in families)


def refusals(form: Form) -> list[str]:
    """List what no class of the library transformers computes, each as part of a sentence."""
    if not isinstance(form.model, ModelConfig):
        return [RECURRENT]
    found = _refusals_of(_family(form, form.model), form, form.model)
    return found + ([message("it has two tokenizers")] if form.tokenizers > 1 else [])


def export_class(form: Form) -> ExportClass:
    """Return the class for a form without `refusals`."""
    assert isinstance(form.model, ModelConfig), "a recurrent network has no class"
    family = _family(form, form.model)
    published = _class(family, form, form.model)
    assert published is not None, "a form without refusals has a class"
    longest = 0 if form.kind else form.longest  # an imported model keeps its sizes
    if family.architecture == "decoder":
        context = form.options.get("context", 0)
        longest = context if isinstance(context, int) else 0
    return ExportClass(family, published, form.model, longest)


def _family(form: Form, model: ModelConfig) -> Family:
    """Return the family that a model was imported as, else the nearest or another that fits it."""
    nearest = _nearest(form, model)
    before = BY_KIND.get(form.kind or "", nearest)
    others = [one for one in FAMILIES if one.architecture == model.architecture]
    tried = [before, nearest, *others]
    return next((one for one in tried if not _refusals_of(one, form, model)), nearest)


def _refusals_of(family: Family, form: Form, model: ModelConfig) -> list[str]:
    if family.architecture != model.architecture:
        return ["it has other stacks"]  # never shown: the nearest family has the same
    found, published = family.refusals(model), _class(family, form, model)
    if family.architecture != "encoder" and not _is_written(form, family):
        return [*found, _other_task(form.task, f"{family.architecture}s are", _written(family))]
    if published is None:
        return [*found, _other_task(form.task, f"{family.name} is", _written(family))]
    return found + published.refusals(_options(form), model)


def _class(family: Family, form: Form, model: ModelConfig) -> PublishedClass | None:
    """Return the class that computes a task's head, else another with such a head."""
    head = SPECS[form.task].head
    able = [one for one in family.classes if one.head == head and one.fits(form.values)]
    if len(able) < 2:
        return able[0] if able else None
    return next((one for one in able if not one.refusals(_options(form), model)), able[0])


def _options(form: Form) -> Mapping[str, object]:
    return build_task(form.task, form.options).options  # an older run has fewer options


def _is_written(form: Form, family: Family) -> bool:
    if family.task == FROM_SOUND:
        return form.task == family.task
    if family.architecture == "encoder-decoder":
        return form.task in FROM_TEXT and form.options.get("prefix") != "tag"
    return SPECS[form.task].architecture == family.architecture


def _written(family: Family) -> list[str]:
    """Return the tasks whose runs are written as a family."""
    if family.task == FROM_SOUND:
        return [FROM_SOUND]
    if family.architecture == "encoder-decoder":
        return list(FROM_TEXT)
    own = [one for one in SPECS.values() if one.architecture == family.architecture]
    names = [one.name for one in own if family.class_of(one.head) is not None]
    return names if family.architecture == "decoder" else sorted(names)


def _other_task(task: str, who: str, tasks: list[str]) -> str:
    return f"its task is {task}, but {who} exported for {', '.join(tasks)}"


def _nearest(form: Form, model: ModelConfig) -> Family:
    """Return the family that comes nearest to a model that is trained here."""
    if model.architecture == "encoder-decoder":
        assert model.encoder is not None, "an encoder-decoder has an encoder"
        if model.encoder.stem is not None:
            return whisper.FAMILY
        is_post = model.encoder.norm_placement == "post"
        return marian.FAMILY if is_post else marian.PRE_NORM
    stack = model.decoder or model.encoder
    assert stack is not None, "a Transformer has a stack"
    if model.architecture == "decoder":
        if stack.norm == "layer" and stack.positions == "rotary":
            return starcoder2.FAMILY
        return llama.FAMILY if stack.norm == "rms" else gpt2.FAMILY
    if stack.norm_placement == "pre":
        is_pair = SPECS[form.task].head == "span" or bool(form.options.get("pair"))
        return pre_norm.PLAIN if stack.positions == "rotary" and not is_pair else pre_norm.PAIRS
    return bert.FAMILY if stack.segments else distilbert.FAMILY
