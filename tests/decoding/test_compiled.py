"""A step as one compiled program writes what the plain one writes."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from triptych.decoding import compiled, compiled_program
from triptych.decoding.compiled import CompiledStep, can_compile, compile_step
from triptych.decoding.compiled_program import StepModule, contents, example
from triptych.decoding.generate import search
from triptych.decoding.settings import DecodingSettings
from triptych.decoding.workers import Workers
from triptych.errors import TriptychWarning, UsageError
from triptych.inference.prepack import prepack
from triptych.model.build import build
from triptych.model.config import ModelConfig
from triptych.model.transformer import Transformer
from triptych.presets import configure

GREEDY, BEAMS = DecodingSettings(max_length=12), DecodingSettings(max_length=12, beams=3, n_best=2)


def model_of(preset: str, **dials: Any) -> Transformer:
    torch.manual_seed(3)
    config = configure(preset, {"layers": 2, "width": 32, "heads": 4, "inner_width": 48, **dials})
    assert isinstance(config, ModelConfig)
    model = build(dataclasses.replace(config, vocabulary_size=23)).eval()
    assert isinstance(model, Transformer)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def sources(count: int) -> dict[str, torch.Tensor]:
    lengths = torch.tensor([3 + place % 4 for place in range(count)])
    tokens = torch.randint(2, 23, (int(lengths.sum()),), generator=torch.Generator().manual_seed(5))
    return {"source": tokens, "source_lengths": lengths}


def written(
    model: Transformer, settings: DecodingSettings, count: int
) -> list[list[tuple[list[int], float]]]:
    given, prefixes = (
        (sources(count), None)
        if model.config.encoder
        else ({}, [[4, 5, 6][: place % 3] for place in range(count)])
    )
    answers = search(model, given, settings, begin=0, end=1, prefixes=prefixes)
    return [[(one.tokens, round(one.log_probability, 3)) for one in several] for several in answers]


class Plainly:
    """Stands for a program: the same arguments, which must stand in memory one number after the
    other, nothing compiled. Counts calls.
    """

    def __init__(self, model: Transformer) -> None:
        self.step, self.layers, self.calls = StepModule(model), len(model.decoder.blocks), 0

    def __call__(self, given: list[torch.Tensor]) -> list[torch.Tensor]:
        assert all(one.is_contiguous() for one in given), "a program asks nothing about strides"
        self.calls += 1
        first, caches, n = given[:5], given[5:], self.layers
        cross = (
            (caches[2 * n : 3 * n], caches[3 * n : 4 * n], caches[4 * n])
            if len(caches) > 2 * n
            else None
        )
        return list(self.step(*first, caches[:n], caches[n : 2 * n], cross))


def plainly_compiled(model: Transformer, folder: Path, beams: int) -> Plainly:
    """From now on the model's steps are taken by what stands for a program, where one would."""
    model.compiled, program = CompiledStep(model, folder), Plainly(model)
    model.compiled.beams.add(beams)
    model.compiled._program = lambda kind, x: program
    return program


@pytest.mark.parametrize("preset", ["decoder-tiny", "transformer-tiny"])
@pytest.mark.parametrize("settings", [GREEDY, BEAMS], ids=["greedy", "beams"])
@pytest.mark.parametrize("count", [1, 5])
def test_what_is_handed_to_a_program_is_what_a_step_needs(
    preset: str, settings: DecodingSettings, count: int, tmp_path: Path
) -> None:
    model = model_of(preset)
    wanted = written(model, settings, count)
    program = plainly_compiled(model, tmp_path, settings.beams)
    assert written(model, settings, count) == wanted and program.calls > 3


@pytest.mark.parametrize("settings", [GREEDY, BEAMS], ids=["greedy", "beams"])
def test_a_bias_by_positions_is_handed_over_for_each_head(
    settings: DecodingSettings, tmp_path: Path
) -> None:
    model = model_of("decoder-tiny", positions="alibi")
    wanted = written(model, settings, 5)
    program = plainly_compiled(model, tmp_path, settings.beams)
    assert written(model, settings, 5) == wanted and program.calls > 3
    assert example(StepModule(model), 2, 3)[3].shape[1] == 4


@pytest.mark.parametrize(
    "dials",
    [
        {"query_key_norm": "head", "norm_placement": "both", "rotary_share": 0.5},
        {"query_key_norm": "whole", "norm_placement": "branch", "positions": "none"},
    ],
)
def test_dials_of_published_models_fit_a_program(dials: dict[str, Any], tmp_path: Path) -> None:
    model = model_of("decoder-tiny", **{"positions": "rotary", **dials})
    wanted = written(model, BEAMS, 5)
    program = plainly_compiled(model, tmp_path, BEAMS.beams)
    assert written(model, BEAMS, 5) == wanted and program.calls > 3
    width = 0 if dials.get("positions") else 4
    assert example(StepModule(model), 2, 3)[1].shape[2] == width


@pytest.mark.parametrize("values", [{"attention_window": [4, None]}, {"rotary_base": [10, 20]}])
def test_blocks_that_differ_run_uncompiled(values: dict[str, Any]) -> None:
    model = model_of("decoder-tiny", positions="rotary", by_block=values)
    with pytest.warns(TriptychWarning, match="differ in their windows or rotations"):
        compile_step(model, GREEDY)
    assert model.compiled is None


@pytest.mark.parametrize("settings", [GREEDY, BEAMS], ids=["greedy", "beams"])
def test_many_shapes_are_handed_over_as_they_are_read(
    settings: DecodingSettings, tmp_path: Path
) -> None:
    model = model_of("transformer-tiny")
    wanted = of_many_shapes(model, settings)
    program = plainly_compiled(model, tmp_path, settings.beams)
    assert of_many_shapes(model, settings) == wanted and program.calls > 20


def of_many_shapes(
    model: Transformer, settings: DecodingSettings
) -> list[list[tuple[list[int], float]]]:
    """Answers to batches of several sizes in which the longest sources, of several vectors' width,
    end first; two threads.
    """

    def answer(count: int) -> list[list[tuple[list[int], float]]]:
        lengths = torch.tensor([50 - 44 * place // max(1, count - 1) for place in range(count)])
        tokens = torch.randint(
            2, 23, (int(lengths.sum()),), generator=torch.Generator().manual_seed(count)
        )
        answers = search(
            model,
            {"source": tokens, "source_lengths": lengths},
            settings,
            begin=0,
            end=1,
            max_lengths=[4 + 14 * place // max(1, count - 1) for place in range(count)],
        )
        return [
            [(one.tokens, round(one.log_probability, 2)) for one in several] for several in answers
        ]

    with Workers(2) as workers:
        return [one for batch in workers.map(answer, [9, 2, 33, 4, 5]) for one in batch]


def test_which_steps_a_program_takes(tmp_path: Path) -> None:
    model = model_of("decoder-tiny")
    one, several = model.start(None, 1), model.start(None, 2)
    step = CompiledStep(model, tmp_path)
    assert not step.fits(several, 1), "nobody asked for one row a source"
    step.beams.add(1)
    assert not step.fits(several, 1), (
        "the first step of a search with beams has one row a source as well"
    )
    one.used = several.used = 1
    assert step.fits(one, 1) and step.fits(several, 1) and not step.fits(one, 2)
    assert not step.fits(several.select(torch.tensor([1])), 1), (
        "the last row of a batch is no batch of one"
    )
    assert not step.fits(several.select(torch.tensor([0, 0, 1, 1])), 1)
    assert not step.fits(one.select(torch.tensor([], dtype=torch.int64)), 1), (
        "there is nothing to compute"
    )


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
    """The kinds of programs that were built, where building and loading are done by what stands for
    a program.
    """
    kinds: list[Any] = []
    models: dict[Any, Transformer] = {}

    def build_at_once(self: CompiledStep, kind: Any, place: Path, precision: torch.dtype) -> str:
        kinds.append(kind)
        models[self.contents] = self.step.model
        (place / "step.pt2").write_text(self.contents)
        return ""

    def load(path: str) -> SimpleNamespace:
        return SimpleNamespace(
            loader=SimpleNamespace(boxed_run=Plainly(models[Path(path).read_text()]))
        )

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(CompiledStep, "_build", build_at_once)
    monkeypatch.setattr("torch._inductor.aoti_load_package", load)
    return kinds


@pytest.mark.skipif(not can_compile(), reason="there is no C++ compiler here")
def test_one_program_serves_all_shapes_of_a_search(builds: list[Any]) -> None:
    model = model_of("transformer-tiny")
    wanted = of_many_shapes(model, BEAMS)
    for _ in range(2):
        assert of_many_shapes(model, dataclasses.replace(BEAMS, compile=True)) == wanted
    assert builds == [(False, 3, 1)]
    again = model_of("transformer-tiny")
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:  # of another number of threads there is none: the one for a single thread will do
        written(again, dataclasses.replace(BEAMS, compile=True), 3)
    finally:
        torch.set_num_threads(threads)
    assert builds == [(False, 3, 1)] and not again.compiled.plain


@pytest.mark.skipif(not can_compile(), reason="there is no C++ compiler here")
def test_no_more_than_two_programs_are_built_and_that_is_said_once(builds: list[Any]) -> None:
    model = model_of("transformer-tiny")
    for beams in (2, 3):
        written(model, DecodingSettings(max_length=12, beams=beams, compile=True), 3)
    wanted = written(model_of("transformer-tiny"), DecodingSettings(max_length=12, beams=4), 3)
    settings = DecodingSettings(max_length=12, beams=4, compile=True)
    with pytest.warns(
        TriptychWarning,
        match="4 rows each.* without a compiled program, because 2 programs were built in this run",
    ) as said:
        assert [written(model, settings, 3) for _ in range(3)] == [wanted] * 3
    assert len(said) == 1 and len(builds) == 2


@pytest.mark.skipif(not can_compile(), reason="there is no C++ compiler here")
def test_a_crash_of_what_is_built_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, settings = (
        model_of("transformer-tiny", layers=1),
        DecodingSettings(max_length=12, beams=3, n_best=2, compile=True),
    )
    wanted = written(model, BEAMS, 3)
    monkeypatch.setattr(compiled_program, "_traced", lambda *given: None)  # nobody reads it
    monkeypatch.setattr("torch.export.save", lambda *given: None)
    (tmp_path / "builder.py").write_text("import os\nos.abort()\n")
    monkeypatch.setattr(compiled_program, "BUILDER", tmp_path / "builder.py")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.warns(
        TriptychWarning,
        match=r"building it failed: .* ended with -6 .*\.failed; delete it to try again",
    ) as said:
        assert [written(model, settings, 3) for _ in range(2)] == [wanted] * 2
    assert len(said) == 1
    monkeypatch.setattr(
        CompiledStep, "_build", lambda *given: pytest.fail("what failed once is not built again")
    )
    with pytest.warns(TriptychWarning, match=r"building it failed before \(delete "):
        assert written(model_of("transformer-tiny", layers=1), settings, 3) == wanted


def test_what_cannot_be_loaded_or_run_is_taken_plainly(
    builds: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(given: list[torch.Tensor]) -> list[torch.Tensor]:
        raise RuntimeError("the program's own words")

    model, settings = model_of("decoder-tiny"), DecodingSettings(max_length=12, compile=True)
    wanted = written(model, GREEDY, 3)
    monkeypatch.setattr(
        "torch._inductor.aoti_load_package",
        lambda path: SimpleNamespace(loader=SimpleNamespace(boxed_run=broken)),
    )
    with pytest.warns(TriptychWarning, match="it failed .the program's own words"):
        assert written(model, settings, 3) == wanted


def test_what_a_program_depends_on() -> None:
    first, again, other = (
        model_of("decoder-tiny", **dials) for dials in ({}, {}, {"activation": "relu"})
    )
    assert contents(first) == contents(again) != contents(other)
    again.embedding.weight.data[3, 2] += 1
    assert contents(first) != contents(again)
    assert contents(first) != contents(first.to(torch.bfloat16))


def test_who_cannot_compile_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "COMPILERS", ("no-such-compiler",))
    with pytest.raises(UsageError, match=r"decoding\.compile needs a C\+\+ compiler"):
        search(
            model_of("decoder-tiny"),
            {},
            DecodingSettings(compile=True),
            begin=0,
            end=1,
            prefixes=[[]],
        )
    monkeypatch.undo()
    with pytest.raises(UsageError, match="needs a Transformer with a decoder"):
        compile_step(model_of("encoder-tiny"), GREEDY)


@pytest.mark.skipif(not can_compile(), reason="there is no C++ compiler here")
@pytest.mark.parametrize("beams", [pytest.param(1, marks=pytest.mark.slow), 5])
def test_a_program_is_built_once_and_kept(
    beams: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # without trying out products, which takes most of the time
    monkeypatch.setattr(compiled_program, "OPTIONS", {"freezing": True})
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    model, plain = model_of("transformer-tiny", layers=1), DecodingSettings(beams=beams)
    prepack(model, torch.float32)
    wanted, settings = of_many_shapes(model, plain), dataclasses.replace(plain, compile=True)
    assert of_many_shapes(model, settings) == wanted
    kept = list((tmp_path / "triptych" / "programs").iterdir())
    assert len(kept) == 1 and kept[0].suffix == ".pt2" and not model.compiled.plain
    another = model_of("transformer-tiny", layers=1)
    monkeypatch.setattr(CompiledStep, "_build", lambda *given: pytest.fail("it is there already"))
    assert of_many_shapes(another, settings) == wanted and not another.compiled.plain
