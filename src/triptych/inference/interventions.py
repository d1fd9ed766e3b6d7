"""Intervene in a loaded model while it answers a text: what is asked, and how it is run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ..data.batches.encoded import collate
from ..data.batches.order import length_batches
from ..data.example import Example
from ..decoding.settings import DecodingSettings
from ..errors import UsageError
from ..messages import message
from .aiming import Aimed, aimed, token_labels
from .evaluation import encode_all, loss_sums, means
from .faithfulness import Begin, development_curves

if TYPE_CHECKING:
    from ..inspection.ablation import AblationMap
    from ..inspection.at_checkpoints import AtCheckpoints
    from ..inspection.gold_heads import GoldHeads
    from ..inspection.interventions import Means
    from ..inspection.probe import Probe
    from ..inspection.results import InterventionResults
    from ..inspection.trace import Trace
    from .predictor import Predictor

BATCH = 4096  # tokens of a batch of development sentences


@dataclass(frozen=True, kw_only=True)
class Interventions:
    """Say what is done to a model while it answers a text, and what is measured.

    Args:
        without: Heads and parts that are off in everything: "decoder.2.cross.3".
        mean: What is off is replaced by its mean over the development sentences, not by zero.
        lens: Read the answer after each part of each stack.
        ablate: Switch each head and feed-forward off, and measure the score; with development
            sentences also their loss.
        metric: And the task's first metric on them, which answers all of them for each part.
        patch: Another text with as many tokens, whose states are put into the pass, one at a time.
        contributions: Split the chosen minus the rival logit.
        attributions: Methods of `inspection.attributions`, with deletion curves over the
            development sentences.
        token: Which token of the answer is scored, from 1 (of an encoder-only run: which masked
            place or word); None: the whole answer, and of choices the first token.
        rival: What the chosen token is compared with; None: the likeliest other one.
        arcs: A CoNLL-U file: how often each head's most attended word is the gold head.
        checkpoints: Heads and parts to follow through the run's kept checkpoints.
        keep: Keep what is measured over development sentences in the run folder; the page of
            `serve` shows it.
    """

    without: Sequence[str] = ()
    mean: bool = False
    lens: bool = False
    ablate: bool = False
    metric: bool = False
    patch: str | None = None
    contributions: bool = False
    attributions: Sequence[str] = ()
    token: int | None = None
    rival: str | None = None
    arcs: str | Path | None = None
    checkpoints: Sequence[str] = ()
    keep: bool = False

    @property
    def looks(self) -> bool:
        """Tell whether anything is measured."""
        return bool(
            self.lens or self.ablate or self.contributions or self.attributions
            or self.patch is not None or self.arcs is not None or self.checkpoints
        )  # fmt: skip


@contextmanager
def switched_off(
    predictor: Predictor, asked: Interventions, development: Sequence[Example] = ()
) -> Iterator[None]:
    """Answer without the parts that `asked.without` names, inside the context.

    Raises UsageError for a part that the model has not, or means without development sentences.
    """
    from ..inspection.interventions import ablated
    from ..inspection.sites import parsed

    sites = parsed(predictor.model, asked.without)
    if not sites:
        yield
        return
    with ablated(predictor.model, sites, means_of(predictor, asked, development)):
        yield


def means_of(
    predictor: Predictor, asked: Interventions, development: Sequence[Example]
) -> Means | None:
    """Return the mean outputs over development sentences, if they are asked for.

    Raises UsageError where there are none.
    """
    from ..inspection.interventions import mean_outputs

    if not asked.mean:
        return None
    batches = _batches(predictor, development)
    if not batches:
        raise UsageError(
            message(
                "Means are taken over development sentences, and there are none here. Replace by "
                "zero, or give the run its data."
            )
        )
    return mean_outputs(predictor.model, batches)


def _batches(predictor: Predictor, examples: Sequence[Example]) -> list[dict[str, torch.Tensor]]:
    """Return the inputs of development sentences in batches, as the model takes them."""
    encoded = encode_all(predictor.task, examples, predictor.tokenizers, predictor.labels)
    return [
        collate([encoded[place] for place in places]).to(predictor.device).inputs
        for places in length_batches(encoded, BATCH)
    ]


def intervene(
    predictor: Predictor,
    example: Example,
    asked: Interventions,
    settings: DecodingSettings,
    *,
    target: str | None = None,
    development: Sequence[Example] = (),
    begin: Begin | None = None,
    found: Aimed | None = None,
) -> InterventionResults:
    """Measure everything that is asked for on one text.

    What `asked.without` names is switched off by the caller (`switched_off`).

    Args:
        predictor: A loaded run.
        example: The text.
        asked: What is measured.
        settings: How the answer is decoded.
        target: A text to read as the answer, or a label.
        development: Sentences for means, losses, metrics and deletion curves.
        begin: Called with the name and the size of each longer computation.
        found: The answer, where it is there already (`aimed`); None: it is decoded.
    """
    from ..inspection.attributions import attributed
    from ..inspection.contributions import contributions
    from ..inspection.results import InterventionResults

    if predictor.is_empty(example):
        raise UsageError(message("There is nothing to inspect: the text is empty."))
    _refuse_keeping(predictor, asked)
    if found is None:
        found = aimed(
            predictor, example, settings, target=target, token=asked.token, rival=asked.rival
        )
    probe = found.probe
    result = InterventionResults(
        source=found.source, target=found.target, written=found.written, score=probe.name,
        value=float(probe.measured()[0]), without=list(asked.without),
        has_means=asked.mean, axis=probe.axis,
    )  # fmt: skip
    if asked.lens:
        _see(result, found, predictor)
    if asked.ablate:
        means = means_of(predictor, asked, development)
        result.ablation = _maps(predictor, probe, asked, means, development, settings, begin)
    if asked.patch is not None:
        _patch(result, found, predictor, example, asked.patch)
    if asked.contributions:
        result.contributions = contributions(probe)
    for name in methods(predictor, asked):
        result.attributions[name] = attributed(probe, name)
    if asked.attributions and development:
        result.deletion = development_curves(
            predictor, methods(predictor, asked), development, settings, begin, asked.keep
        )
    result.arcs = _arcs(predictor, asked, example.target_language, begin)
    result.checkpoints = _steps(predictor, example, found, asked, development, begin)
    return result


def _arcs(
    predictor: Predictor, asked: Interventions, to: str | None, begin: Begin | None
) -> GoldHeads | None:
    """Return how often each head finds the gold heads of a file, and keep it if that is asked."""
    from ..inspection.kept import keep
    from .gold_arcs import arcs_of, gold_heads

    if asked.arcs is None:
        return None
    sentences = arcs_of(asked.arcs)
    done = None if begin is None else begin("arcs", len(sentences))
    found = gold_heads(predictor, sentences, to, done)
    if asked.keep and predictor.run is not None:
        keep(predictor.run, "arcs", {**found.to_json(), "file": Path(asked.arcs).name})
    return found


def _steps(
    predictor: Predictor,
    example: Example,
    found: Aimed,
    asked: Interventions,
    development: Sequence[Example],
    begin: Begin | None,
) -> list[AtCheckpoints]:
    """Follow the parts that are asked for through the run's checkpoints."""
    from ..inspection.sites import parsed
    from .at_checkpoints import at_checkpoints, count_of

    sites = parsed(predictor.model, asked.checkpoints)
    if not sites:
        return []
    done = None if begin is None else begin("checkpoints", count_of(predictor))
    return at_checkpoints(
        predictor, example, found, sites, token=asked.token, development=development, done=done
    )


def _refuse_keeping(predictor: Predictor, asked: Interventions) -> None:
    """Raise UsageError where nothing of the run itself could be kept, though it is asked."""
    if not asked.keep:
        return
    if asked.without:
        raise UsageError(
            message(
                "--keep keeps what is measured on the run's own model, and --without changes it. "
                "Leave one of them out."
            )
        )
    if predictor.run is None:
        raise UsageError(message("--keep writes into a run folder, and this model has none."))


def traced(
    predictor: Predictor,
    example: Example,
    asked: Interventions,
    settings: DecodingSettings,
    trace: Callable[[], Trace],
    target: str | None = None,
    development: Sequence[Example] = (),
) -> Trace:
    """Return a trace without the parts that are off, and with what was measured.

    Args:
        predictor: A loaded run.
        example: The text.
        asked: What is switched off and measured.
        settings: How the answer is decoded.
        trace: Traces the text, whatever is switched off.
        target: A text to read as the answer, or a label.
        development: Sentences for means, losses, metrics and deletion curves.
    """
    with switched_off(predictor, asked, development):
        found = trace()
        results = intervene(
            predictor, example, asked, settings, target=target, development=development
        )
    return dataclasses.replace(found, interventions=results)


def methods(predictor: Predictor, asked: Interventions) -> list[str]:
    """Return the methods that are asked for; "all" is each that the model has."""
    from ..inspection.attributions import methods_of

    known = methods_of(predictor.model)
    return known if "all" in asked.attributions else list(dict.fromkeys(asked.attributions))


def _see(result: InterventionResults, found: Aimed, predictor: Predictor) -> None:
    """Add the lens of each stack that it can read."""
    from ..inspection.lens import lens
    from ..inspection.sites import is_recurrent, stacks

    names = ["decoder"] if is_recurrent(predictor.model) else list(stacks(predictor.model))
    for name in names:
        widths = {getattr(predictor.model.config, one).width for one in names if len(names) > 1}
        if len(widths) > 1 and name == "encoder":
            continue
        one = lens(found.probe, name, found.wanted if name == "decoder" else None)
        result.lens.append(one)
        result.answers.append(
            [[[found.name_of(int(k)) for k in row] for row in stage] for stage in one.top[0]]
        )


def _maps(
    predictor: Predictor,
    probe: Probe,
    asked: Interventions,
    means: Means | None,
    development: Sequence[Example],
    settings: DecodingSettings,
    begin: Begin | None,
) -> list[AblationMap]:
    """Return the ablation map of the score, and of development loss and metric."""
    from ..inspection.ablation import ablation_map, measured_map
    from ..inspection.sites import sites

    found = [ablation_map(probe, means=means)]
    if not development:
        return found
    count = len(sites(predictor.model))
    measures: dict[str, Callable[[], float]] = {"loss": lambda: _loss(predictor, development)}
    if asked.metric and not predictor.task.spec.by_losses:
        name = next(iter(predictor.evaluate(development, settings).scores.values))
        measures[name] = lambda: predictor.evaluate(development, settings).scores.values[name]
    for name, measure in measures.items():
        done = None if begin is None else begin(name, count)
        found.append(
            measured_map(predictor.model, measure, name, len(development), None, means, done)
        )
    if asked.keep:
        _keep_maps(predictor, found)
    return found


def _keep_maps(predictor: Predictor, maps: Sequence[AblationMap]) -> None:
    """Keep the maps over development sentences in the run folder."""
    from ..inspection.kept import keep

    measured = [one.to_json() for one in maps if one.examples]
    if measured and predictor.run is not None:
        keep(predictor.run, "ablation", {"maps": measured})


def _loss(predictor: Predictor, examples: Sequence[Example]) -> float:
    """Return the loss in nats, not smoothed, mean over the tokens of development sentences."""
    found = means(loss_sums(predictor, examples))
    return found.get("nll", next(iter(found.values())))


def _patch(
    result: InterventionResults,
    found: Aimed,
    predictor: Predictor,
    example: Example,
    text: str,
) -> None:
    """Add what states of another text do, in each stack that can take them."""
    from ..inspection.patching import patch

    probe, side = found.probe, found.probe.axis
    is_chat = predictor.task.input == "messages"
    other = (
        predictor.example(text, "the other text")
        if is_chat
        else dataclasses.replace(example, **{predictor.task.input: text})
    )
    encoded, *_ = predictor.task.encode(other, predictor.tokenizers, predictor.labels, "use", None)
    ids = encoded.inputs[side]
    inputs = dict(probe.inputs)
    if side == "target":  # the same answer follows
        rest = probe.inputs["target"][found.prompt :].cpu()
        inputs["target"] = torch.cat((torch.tensor(ids), rest))
    else:
        inputs |= collate([encoded]).inputs | {
            name: value for name, value in probe.inputs.items() if name.startswith("target")
        }
    inputs[f"{side}_lengths"] = torch.tensor([len(inputs[side])])
    inputs = {name: value.to(predictor.device) for name, value in inputs.items()}
    tokenizer = getattr(predictor.tokenizers, side)
    stack = "encoder" if side == "source" else "decoder"
    result.patching.append(patch(probe, inputs, stack))
    result.other.append(token_labels(tokenizer, inputs[side].tolist()))
