"""A step as one compiled program writes what the plain one writes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from triptych.decoding import compiled
from triptych.decoding.compiled import CompiledStep, Step, can_compile, compile_step, contents
from triptych.decoding.search import search
from triptych.decoding.settings import DecodingSettings
from triptych.errors import UsageError
from triptych.model.build import build
from triptych.model.config import ModelConfig
from triptych.model.transformer import Transformer
from triptych.presets import configure

GREEDY, BEAMS = DecodingSettings(max_length=12), DecodingSettings(max_length=12, beams=3, n_best=2)


def model_of(preset: str, **dials: Any) -> Transformer:
    torch.manual_seed(3)
    config = configure(preset, {"layers": 2, "width": 32, "heads": 4, "inner_width": 48, **dials})
    assert isinstance(config, ModelConfig)
    import dataclasses

    model = build(dataclasses.replace(config, vocabulary_size=23)).eval()
    assert isinstance(model, Transformer)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def sources(count: int) -> dict[str, torch.Tensor]:
    lengths = torch.tensor([3 + place % 4 for place in range(count)])
    tokens = torch.randint(2, 23, (int(lengths.sum()),), generator=torch.Generator().manual_seed(5))
    return {"source": tokens, "source_lengths": lengths}


def written(model: Transformer, settings: DecodingSettings, count: int) -> list[list[tuple[list[int], float]]]:
    given, prefixes = (sources(count), None) if model.config.encoder else ({}, [[4, 5, 6][: place % 3] for place in range(count)])
    answers = search(model, given, settings, begin=0, end=1, prefixes=prefixes)
    return [[(one.tokens, round(one.log_probability, 3)) for one in several] for several in answers]


class Plainly:
    """Stands for a program: the same arguments, nothing compiled. Counts its calls."""

    def __init__(self, model: Transformer) -> None:
        self.step, self.layers, self.calls = Step(model), len(model.decoder.blocks), 0

    def __call__(self, given: list[torch.Tensor]) -> list[torch.Tensor]:
        self.calls += 1
        first, caches, n = given[:5], given[5:], self.layers
        cross = (caches[2 * n : 3 * n], caches[3 * n : 4 * n], caches[4 * n]) if len(caches) > 2 * n else None
        return list(self.step(*first, caches[:n], caches[n : 2 * n], cross))


@pytest.mark.parametrize("preset", ["decoder-tiny", "transformer-tiny"])
@pytest.mark.parametrize("settings", [GREEDY, BEAMS], ids=["greedy", "beams"])
@pytest.mark.parametrize("count", [1, 5])
def test_what_is_handed_to_a_program_is_what_a_step_needs(preset: str, settings: DecodingSettings, count: int, tmp_path: Path) -> None:
    model = model_of(preset)
    wanted = written(model, settings, count)
    model.compiled, program = CompiledStep(model, tmp_path), Plainly(model)
    model.compiled._program = lambda kind, x: program
    assert written(model, settings, count) == wanted and program.calls > 3


def test_the_last_row_of_a_batch_is_no_batch_of_one(tmp_path: Path) -> None:
    model = model_of("decoder-tiny")
    one, several = model.start(None, 1), model.start(None, 2)
    step = CompiledStep(model, tmp_path)
    assert step.fits(one, 1) and step.fits(several, 1) and not step.fits(one, 2)
    assert not step.fits(several.select(torch.tensor([1])), 1)


def test_what_a_program_depends_on() -> None:
    first, again, other = (model_of("decoder-tiny", **dials) for dials in ({}, {}, {"activation": "relu"}))
    assert contents(first) == contents(again) != contents(other)
    again.embedding.weight.data[3, 2] += 1
    assert contents(first) != contents(again)
    assert contents(first) != contents(first.to(torch.bfloat16))


def test_who_cannot_compile_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "COMPILERS", ("no-such-compiler",))
    with pytest.raises(UsageError, match=r"decoding\.compile needs a C\+\+ compiler"):
        search(model_of("decoder-tiny"), {}, DecodingSettings(compile=True), begin=0, end=1, prefixes=[[]])
    monkeypatch.undo()
    with pytest.raises(UsageError, match="for Transformers that write"):
        compile_step(model_of("encoder-tiny"))


@pytest.mark.skipif(not can_compile(), reason="there is no C++ compiler here")
def test_a_program_is_built_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "OPTIONS", {"freezing": True})  # without trying out products, which takes most of the time
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    model = model_of("transformer-tiny", layers=1)
    wanted = written(model, GREEDY, 3)
    settings = DecodingSettings(max_length=12, compile=True)
    assert written(model, settings, 3) == wanted
    kept = list((tmp_path / "triptych" / "programs").iterdir())
    assert len(kept) == 1 and kept[0].suffix == ".pt2"
    another = model_of("transformer-tiny", layers=1)
    monkeypatch.setattr(CompiledStep, "_build", lambda *given: pytest.fail("it is there already"))
    threads = torch.get_num_threads()  # which a program is built for
    with ThreadPoolExecutor(2, initializer=torch.set_num_threads, initargs=(threads,)) as pool:  # two at once do not wait for each other
        assert list(pool.map(lambda number: written(another, settings, 3), range(6))) == [wanted] * 6
