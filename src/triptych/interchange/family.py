"""Describe a family of published models: sizes, names of tensors, and classes with their heads.

A family is a value, `FAMILY`, in a module of its own; `families.py` lists them. It is never a model
of its own: its config.json becomes a `ModelConfig` of the one core, and its tensors get our names.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ..data.tokenizers.subwords import Tokenizer
from ..messages import message
from ..model.config import Architecture, ModelConfig
from .config_reader import differences
from .name_map import NameMap
from .rules import Ignore, Rename, Rule, Split, Tie, Withhold, prefixed, respelt

if TYPE_CHECKING:
    from torch import Tensor

Tensors = Mapping[str, "Tensor"]
# options that are not written if unset, by head
UNSET: Mapping[str, Mapping[str, object]] = {
    "masked-tokens": {"activation": "gelu"},
    "classifier": {"activation": "tanh", "head_layer": None},
    "tagger": {"head_layer": None},
    "span": {"head_layer": None},
}
OF_ANOTHER_TASK = "the head of another task"


@dataclass(frozen=True, kw_only=True)
class PublishedClass:
    """Describe a class of a family: its body and one of our heads.

    Args:
        architecture: The class's name, as config.json lists it in `architectures`.
        head: Our head that it fills: "pooling", "masked-tokens", "classifier", "tagger", "span" or
            "tokens".
        prefix: The names of the body's tensors have the family's prefix.
        body: Rules of the head for tensors that are named as the body's are.
        rules: Rules of the head for the other tensors.
        options: Values of the task's options that the class computes.
        without: Values of the task's options that it has nothing for.
        dials: Options that are dials of the encoder, by option.
        values: Keys of config.json by which it differs from another class of the same name.
        stack: Dials of the encoder that the class sets.
    """

    architecture: str
    head: str
    prefix: bool = True
    body: tuple[Rule, ...] = ()
    rules: tuple[Rule, ...] = ()
    options: Mapping[str, object] = field(default_factory=dict)
    without: Mapping[str, object] = field(default_factory=dict)
    dials: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, object] = field(default_factory=dict)
    stack: Mapping[str, Any] = field(default_factory=dict)

    def configured(self, config: ModelConfig) -> ModelConfig:
        """Return the configuration with the dials that the class sets."""
        if not self.stack or config.encoder is None:
            return config
        return replace(config, encoder=replace(config.encoder, **self.stack))

    def computed(self, config: ModelConfig) -> dict[str, object]:
        """Return the task's options that the class computes for a model."""
        own = {key: getattr(config.encoder, dial) for key, dial in self.dials.items()}
        return {**UNSET.get(self.head, {}), **self.options, **own}

    def fits(self, values: Mapping[str, object]) -> bool:
        """Tell whether a config.json, which may lack a key, is not of another class."""
        return all(values.get(key, value) == value for key, value in self.values.items())

    def refusals(self, options: Mapping[str, object], config: ModelConfig) -> list[str]:
        """List the task's options that the class does not compute."""
        unset = UNSET.get(self.head, {})
        found = differences(config.encoder, self.stack, "encoder.", True) if config.encoder else []
        found += [
            message(
                "{key} is {value} instead of {wanted}",
                key=f"task.{key}",
                value=repr(options.get(key, unset.get(key))),
                wanted=repr(value),
            )
            for key, value in self.computed(config).items()
            if options.get(key, unset.get(key)) != value
        ]
        return found + [
            message("{key} is {value}", key=f"task.{key}", value=repr(options[key]))
            for key, value in self.without.items()
            if options.get(key) == value
        ]


def _same(tensors: Tensors, config: ModelConfig, longest: int) -> dict[str, Tensor]:
    return dict(tensors)


def _fitted(config: ModelConfig, tensors: Tensors) -> ModelConfig:
    return config


def _is_tied(config: ModelConfig) -> bool:
    return config.tied_embeddings


def _none(config: ModelConfig, chosen: PublishedClass, longest: int) -> dict[str, Tensor]:
    return {}


@dataclass(frozen=True, kw_only=True)
class Family:
    """Hold everything that makes a published family a configuration of the core.

    Args:
        name: With its article, for messages: "a BERT".
        kinds: Its model_types; the first is written.
        architecture: Which of the three panels it is.
        preset: The preset that comes nearest, from which a recipe's dials are counted.
        prefix: What the names of the body's tensors begin with in a class with a head.
        classes: Its classes, the one to prefer first.
        read_config: Maps a config.json and its place to a configuration; raises RunError naming
            all values that are not supported. None: the family is only written.
        refusals: Lists the settings by which a model is not of the family, with expected values.
        write_config: Maps a model without refusals, the tokens that it reads at once and its
            tokenizer to a config.json.
        body: Returns the rules of the body's tensors, without the prefix.
        output: Their names of the vocabulary projection and of the embedding, the latter without
            the prefix. None: it has none.
        is_tied: Tells whether both are one tensor.
        ignored: Their names of heads that have no task here.
        spellings: Endings of older names, ours to theirs, for files in which they occur.
        has_segments: It tells two texts of an input apart.
        task: What an encoder-decoder is imported for where nothing is said.
        fitted: Returns the configuration with what the tensors say and config.json does not.
        prepared: Returns our tensors as the class computes with them.
        constants: Returns tensors of theirs that hold nothing learnt, so that a load misses none.
    """

    name: str
    kinds: tuple[str, ...]
    architecture: Architecture
    preset: str
    classes: tuple[PublishedClass, ...]
    refusals: Callable[[ModelConfig], list[str]]
    write_config: Callable[[ModelConfig, int, Tokenizer], dict[str, object]]
    body: Callable[[ModelConfig], tuple[Rule, ...]]
    read_config: Callable[[Mapping[str, object], str], ModelConfig] | None = None
    prefix: str = ""
    output: tuple[str, str] | None = None
    is_tied: Callable[[ModelConfig], bool] = _is_tied
    ignored: tuple[str, ...] = ()
    spellings: Mapping[str, str] = field(default_factory=dict)
    has_segments: bool = False
    task: str | None = None
    fitted: Callable[[ModelConfig, Tensors], ModelConfig] = _fitted
    prepared: Callable[[Tensors, ModelConfig, int], dict[str, Tensor]] = _same
    constants: Callable[[ModelConfig, PublishedClass, int], dict[str, Tensor]] = _none

    def class_of(self, head: str) -> PublishedClass | None:
        """Return the class that fills a head of ours."""
        return next((one for one in self.classes if one.head == head), None)

    def published(
        self,
        architectures: object,
        names: Collection[str],
        values: Mapping[str, object] | None = None,
    ) -> PublishedClass:
        """Return the class that a folder holds, by its config.json and its names of tensors.

        A class that config.json does not name is recognised by its tensors; without a head it is
        the base class, the last, as which some folders with a head are labelled.
        """
        given = architectures if isinstance(architectures, list) else []
        fitting = [one for one in self.classes if one.fits(values or {})]
        named = [one for one in fitting[:-1] if one.architecture in given]
        held = [one for one in (*named, *fitting) if self.holds(one, names)]
        return held[0] if held else self.classes[-1]

    def holds(self, chosen: PublishedClass, names: Collection[str]) -> bool:
        """Tell whether tensors of these names fill the head of a class."""
        own = list(chosen.rules)
        if chosen.head != "pooling":
            own += prefixed(self.prefix, chosen.body)
        return all(rule.theirs in names for rule in own if isinstance(rule, (Rename, Split)))

    def name_map(
        self, chosen: PublishedClass, config: ModelConfig, names: Collection[str]
    ) -> NameMap:
        """Return the rules that read tensors of these names as a class."""
        prefix = self.prefix if any(name.startswith(self.prefix) for name in names) else ""
        rules = self._rules(chosen, config, prefix)
        known = {rule.theirs for rule in rules if not isinstance(rule, Withhold)}
        others = [
            rule.theirs
            for one in self.classes
            for rule in (*prefixed(prefix, one.body), *one.rules)
            if not isinstance(rule, Withhold)
        ]
        unread = [name for name in dict.fromkeys([*others, *self.ignored]) if name not in known]
        rules += tuple(Ignore(name, OF_ANOTHER_TASK) for name in unread)
        old = {
            new: theirs
            for new, theirs in self.spellings.items()
            if any(name.endswith(theirs) for name in names)
        }
        return NameMap(respelt(rules, old) if old else rules)

    def export_map(self, chosen: PublishedClass, config: ModelConfig) -> NameMap:
        """Return the rules that write a run as a class."""
        return NameMap(self._rules(chosen, config, self.prefix if chosen.prefix else ""))

    def _rules(self, chosen: PublishedClass, config: ModelConfig, prefix: str) -> tuple[Rule, ...]:
        found = (*prefixed(prefix, (*self.body(config), *chosen.body)), *chosen.rules)
        if chosen.head != "tokens" or self.output is None:
            return found
        theirs, embedding = self.output[0], prefix + self.output[1]
        if self.is_tied(config):
            return (*found, Tie(theirs, embedding))
        return (*found, Rename(theirs, "output.weight"))


def both(theirs: str, ours: str, transpose: bool = False) -> tuple[Rule, ...]:
    """Return the rules of a linear layer's or a norm's weight and bias."""
    return (
        Rename(f"{theirs}.weight", f"{ours}.weight", transpose=transpose),
        Rename(f"{theirs}.bias", f"{ours}.bias"),
    )


THRESHOLDS = Withhold(
    "head.thresholds",
    "the architecture has none: the probability above which each label applies",
    0.5,
)
CALIBRATION: tuple[Rule, ...] = (
    Withhold("head.temperature", "the architecture has none: divide its logits by it", 1.0),
    THRESHOLDS,
)
ABSTENTION: tuple[Rule, ...] = (
    Withhold(
        "head.threshold",
        "the architecture has none: how much more likely no answer must be, in nats",
        float("inf"),
    ),
    Withhold("head.can_abstain", "the architecture has none", False),
)
# what a classifier, a tagger and a reader of the library transformers compute
FIRST_STATE: Mapping[str, object] = {
    "pooling": "first",
    "hidden": True,
    "activation": "tanh",
    "shortcut": False,
    "bigrams": 0,
}
FIRST_PIECE: Mapping[str, object] = {"pooling": "first", "bigrams": 0}
NO_CHAIN: Mapping[str, object] = {"decoding": "crf"}
NO_MATCHES: Mapping[str, object] = {"match_feature": True}
