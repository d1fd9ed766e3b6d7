"""What each of several processes needs: figures computed by hand, and tensors kept for backward."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from triptych.cli.main import run as run_command
from triptych.model.build import build
from triptych.model.config import ModelConfig
from triptych.presets import counted, parameter_count
from triptych.presets.gpt import PRESETS
from triptych.presets.processes import Need, Setting, need, needs
from triptych.runs.sizes import block_parameter_counts

Command = Callable[..., SimpleNamespace]


@pytest.fixture
def triptych(capfd: pytest.CaptureFixture[str]) -> Command:
    def call(*arguments: object) -> SimpleNamespace:
        capfd.readouterr()
        code = run_command([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        return SimpleNamespace(code=code, out=captured.out, err=captured.err)

    return call


def toy() -> ModelConfig:
    """Return a GPT of 4 blocks of width 64 with a vocabulary of 1,000."""
    base = PRESETS["gpt2"]
    assert base.decoder is not None, "GPT-2 is a decoder"
    stack = dataclasses.replace(base.decoder, layers=4, width=64, heads=4, inner_width=256)
    stack = dataclasses.replace(stack, max_positions=128, dropout=0.0)
    return dataclasses.replace(base, decoder=stack, vocabulary_size=1000)


# By hand: a block has 12 w^2 + 13 w numbers; outside are the table, the positions and a last norm.
BLOCK = 12 * 64**2 + 13 * 64
ROOT = 1000 * 64 + 128 * 64 + 2 * 64
COUNT = 4 * BLOCK + ROOT


def test_blocks_and_the_rest_are_the_whole() -> None:
    assert block_parameter_counts(toy()) == [BLOCK] * 4
    assert parameter_count(toy()) == COUNT
    for name in ("t5-small", "albert-base", "switch-tiny", "gemma2-2b", "bart-base"):
        assert 0 < sum(block_parameter_counts(counted(name))) < parameter_count(counted(name))


def test_ddp_by_hand() -> None:
    found = need(toy(), Setting(world=4, accumulate=8), "ddp", "float32")
    assert (found.parameters, found.gradients, found.optimizer) == (4 * COUNT, 4 * COUNT, 8 * COUNT)
    # a ring: each process sends 3/4 of the gradients twice, once a step
    assert found.all_reduce == 2 * 4 * COUNT * 3 // 4 == found.sent
    assert (found.gathered, found.all_gather, found.reduce_scatter) == (0, 0, 0)
    assert found.buffer == 8 * COUNT and found.copies == 4 * 4 * 3 * 64**2
    with_average = need(toy(), Setting(world=4, average=True), "ddp", "float32")
    assert with_average.optimizer == 12 * COUNT
    assert need(toy(), Setting(world=4, optimizer=1), "ddp", "float32").optimizer == 4 * COUNT


def test_fsdp_by_hand() -> None:
    found = need(toy(), Setting(world=4, accumulate=8), "fsdp", "bfloat16", "bfloat16")
    share = -(-COUNT // 4)
    assert (found.parameters, found.gradients, found.optimizer) == (4 * share, 4 * share, 8 * share)
    # two micro-batches each: blocks are gathered for forward and for backward, the root once
    assert found.all_gather == 2 * (2 * (2 * 4 * BLOCK + ROOT)) * 3 // 4
    assert found.reduce_scatter == 2 * 4 * COUNT * 3 // 4
    assert found.gathered == 2 * (2 * ROOT + 3 * BLOCK) and found.buffer == found.all_reduce == 0
    whole = need(toy(), Setting(world=4, accumulate=8), "fsdp", "bfloat16")
    assert whole.all_gather == 2 * found.all_gather and whole.copies == 2 * COUNT


def test_one_process_sends_nothing() -> None:
    for one in needs(toy(), Setting(world=1)):
        assert one.sent == 0 and one.memory > 16 * COUNT


def test_the_peak_is_a_micro_batch_or_the_sum() -> None:
    base = need(toy(), Setting(world=2), "ddp", "float32")
    kept = 16 * COUNT
    small = dataclasses.replace(base, activations=0, copies=0)
    assert small.memory == kept + 8 * COUNT
    assert dataclasses.replace(base, activations=10**9, copies=5).memory == kept + 10**9 + 5


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_copies_are_what_a_forward_keeps(precision: torch.dtype) -> None:
    """What is kept for backward beside the weights is a part for each token, and the copies."""
    config = toy()
    model = build(config).train()
    model.precision = precision
    few, many = (_kept(model, tokens) for tokens in (128, 512))
    constant = many - 512 * (many - few) / 384
    name = "float32" if precision == torch.float32 else "bfloat16"
    found = need(config, Setting(world=1), "ddp", name)
    assert found.copies == pytest.approx(constant, rel=0.1)
    assert found.activations > 4096 * (many - few) / 384  # the estimate includes what backward adds


def _kept(model: torch.nn.Module, tokens: int) -> int:
    """Return the bytes that a forward keeps for its backward, without the weights themselves."""
    kept: dict[int, Tensor] = {}
    own = {one.untyped_storage().data_ptr() for one in model.parameters()}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    ids = torch.randint(0, 1000, (tokens,))
    with saved_tensors_hooks(keep, lambda tensor: tensor):
        x = model(target=ids, target_lengths=torch.full((tokens // 64,), 64))
        weight, _ = model.output_projection()  # type: ignore[operator]
        logits = torch.nn.functional.linear(x, weight.to(x.dtype)).float()
        loss = torch.nn.functional.cross_entropy(logits, ids)
    assert loss.requires_grad
    return sum(one.untyped_storage().nbytes() for key, one in kept.items() if key not in own)


def test_info_says_it_of_presets_recipes_and_json(triptych: Command) -> None:
    done = triptych("info", "gpt3-xl", "--world", 8, "--json")
    values = json.loads(done.out)
    assert (values["parameters"], values["world"], values["batch_tokens"]) == (1315723264, 8, 4096)
    ddp, *_, fsdp = values["ways"]
    assert ddp["parameters"] == 4 * 1315723264 and fsdp["parameters"] == ddp["parameters"] // 8
    assert (
        Need(**{key: ddp[key] for key in ddp if key not in ("memory", "sent")}).sent
        == (ddp["sent"])
    )
    recipe = json.loads(triptych("info", "sms-spam", "--world", 2, "--json").out)
    assert recipe["average"] is True and recipe["vocabulary"] == 2000
    more = json.loads(
        triptych("info", "gpt3-xl", "--world", 8, "--batch-tokens", 8192, "--json").out
    )
    assert more["ways"][0]["activations"] == pytest.approx(2 * ddp["activations"])
    rnn = json.loads(triptych("info", "multi30k-en-de-rnn", "--world", 2, "--json").out)
    assert {one["parallel"] for one in rnn["ways"]} == {"ddp"}
    shown = triptych("info", "gpt3-xl", "--world", 8).out
    assert "memory of a process" in shown and "37.93 GB" in shown


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["gpt2", "--world", "0"], "--world is 0"),
        (["gpt2", "--world", "-1"], "--world is -1"),
        (["gpt2", "--world", "3.5"], '--world is "3.5"; it must be a whole number'),
        (["gpt2", "--world=2.5"], '--world is "2.5"; it must be a whole number'),
        (["gpt2", "--world", "2", "--batch_tokens", "0.5"], '--batch_tokens is "0.5"; it must be'),
        (["gpt2", "--world", "2", "--batch-tokens", "9" * 400], "from 1 to 1,000,000,000"),
        (["gpt2", "--world", "2", "--batch-tokens", "0"], "--batch-tokens is 0"),
        (["gpt2", "--batch-tokens", "9"], "give the number of processes"),
        (["--world", "2"], "Name a run, a preset or a recipe"),
        (["gpt22", "--world", "2"], "Unknown preset 'gpt22'"),
    ],
)
def test_wrong_usage_is_a_sentence(triptych: Command, arguments: list[str], said: str) -> None:
    done = triptych("info", *arguments)
    assert done.code == 2 and said in done.err and done.out == ""
