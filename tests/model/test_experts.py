"""Experts: equal to a plain loop over tokens and to transformers, with and without capacity."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor

from triptych.decoding.compiled import compile_step
from triptych.decoding.settings import DecodingSettings
from triptych.errors import UsageError
from triptych.inference.prepack import can_prepack, prepack
from triptych.interchange.families import FAMILIES
from triptych.model.attention import Context
from triptych.model.config import ModelConfig, StackConfig
from triptych.model.experts import SparseFeedForward
from triptych.model.layout import PackedLayout
from triptych.model.lora import adapt
from triptych.model.ops.dropout import DropoutRng
from triptych.model.transformer import Transformer
from triptych.presets import PRESETS
from triptych.runs.sizes import active_parameter_count, parameter_count

LENGTHS = [5, 1, 9, 6]


def layer(is_causal: bool = False, **dials: Any) -> SparseFeedForward:
    """Return a sparse layer whose every parameter is random."""
    given = {"width": 16, "heads": 2, "inner_width": 24, "experts": 4, **dials}
    found = SparseFeedForward(StackConfig(**given), is_causal)
    generator = torch.Generator().manual_seed(5)
    for parameter in found.parameters():
        torch.nn.init.normal_(parameter, std=0.5, generator=generator)
    return found


def inputs() -> Tensor:
    return torch.randn(sum(LENGTHS), 16, generator=torch.Generator().manual_seed(6))


def context(rng: DropoutRng | None = None) -> Context:
    return Context(layout=PackedLayout(torch.tensor(LENGTHS)), rng=rng, routed=[])


def plain(found: SparseFeedForward, x: Tensor, capacity: list[int] | None = None) -> Tensor:
    """Compute a sparse layer token by token; `capacity` of each sequence."""
    rows, row = [], 0
    for sequence, length in enumerate(LENGTHS):
        taken = [0] * found.count
        for _ in range(length):
            token, row = x[row], row + 1
            probabilities = torch.softmax(found.router.matrix() @ token, 0)
            best = torch.sort(probabilities, descending=True)
            chosen = best.indices[: found.chosen].tolist()
            total = probabilities[chosen].sum() if found.chosen > 1 else torch.tensor(1.0)
            y = torch.zeros_like(token)
            for number in chosen:
                taken[number] += 1
                if capacity is None or taken[number] <= capacity[sequence]:
                    expert: Any = found.experts[number]
                    out = expert(token[None], Context())[0]
                    y = y + probabilities[number] / total * out
            rows.append(y)
    return torch.stack(rows)


@pytest.mark.parametrize(
    ("dials", "capacity"),
    [
        ({"activation": "silu", "gated": True, "bias": False, "experts_per_token": 2}, None),
        ({"experts_per_token": 3}, None),
        ({}, None),
        ({"expert_capacity": 2}, [2, 2, 2, 2]),
        ({"expert_capacity_factor": 1.5}, [2, 1, 4, 3]),  # 1.5 / 4 of the length, rounded up
    ],
)
@pytest.mark.parametrize("multiple", [1, 4], ids=["", "padded"])
def test_equal_to_a_loop_over_tokens_with_its_gradients(
    dials: dict[str, Any],
    capacity: list[int] | None,
    multiple: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(SparseFeedForward, "_multiple", lambda *_: multiple)
    found, x = layer(**dials), inputs()
    seen = context(DropoutRng())  # as in training
    x.requires_grad_()
    weights = [x, *found.parameters()]
    ours, theirs = found(x, seen), plain(found, x, capacity)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
    scale = torch.randn(ours.shape, generator=torch.Generator().manual_seed(7))
    ours = torch.autograd.grad((ours * scale).sum(), weights)
    theirs = torch.autograd.grad((theirs * scale).sum(), weights, allow_unused=True)
    for mine, other in zip(ours, theirs, strict=True):
        other = torch.zeros_like(mine) if other is None else other
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-4)
    assert seen.routed and int(seen.routed[0].tokens.sum()) == found.chosen * len(x)
    assert (int(seen.routed[0].dropped) > 0) == (capacity is not None)


def test_who_drops_tokens_in_use() -> None:
    x = inputs()
    for is_causal, dials, drops in (
        (False, {"expert_capacity": 2}, True),
        (True, {"expert_capacity": 2}, False),
        (False, {"expert_capacity_factor": 0.5}, False),
    ):
        found = layer(is_causal, **dials)
        with torch.no_grad():
            dropped = (found(x, context()) == 0).all(1)
        assert bool(dropped.any()) == drops


def test_a_residual_is_added_and_no_tokens_are_no_matter() -> None:
    found, x = layer(experts_per_token=2), inputs()
    with torch.no_grad():
        torch.testing.assert_close(found(x, context(), x), x + found(x, context()))
        assert found(x[:0], Context()).shape == (0, 16)


def test_jitter_changes_the_choice_alone_and_only_in_training() -> None:
    found, x = layer(expert_jitter=0.9), inputs()
    still = context()
    y = found(x, still)
    rng = DropoutRng()
    rng.seed(3)
    moved = context(rng)
    z = found(x, moved)
    rng.seed(3)
    torch.testing.assert_close(found(x, context(rng)), z, rtol=0, atol=0)
    assert still.routed and moved.routed
    assert not torch.equal(still.routed[0].tokens, moved.routed[0].tokens)
    torch.testing.assert_close(y, layer()(x, context()), rtol=0, atol=0)


def test_rows_of_experts_are_padded_for_bf16_alone() -> None:
    found = layer()
    sizes: list[int] = []
    for expert in found.experts:
        expert.register_forward_hook(lambda _, given, __: sizes.append(len(given[0])))
    x, spread = torch.randn(600, 16), Context(layout=PackedLayout(torch.tensor([600])))
    found(x, spread)
    assert sum(sizes) == 600
    sizes.clear()
    found(x.bfloat16(), spread)
    assert all(size % 64 == 0 for size in sizes) and 600 <= sum(sizes) < 600 + 4 * 64
    sizes.clear()
    found(x[:90].bfloat16(), Context(layout=PackedLayout(torch.tensor([90]))))
    assert sum(sizes) == 90  # too few for it to pay


def test_an_expert_without_tokens_has_gradients_of_zero() -> None:
    found, x = layer(), inputs()
    found(x[:1], Context(rng=DropoutRng())).sum().backward()
    assert all(parameter.grad is not None for parameter in found.parameters())


def test_selected_rows_are_those_of_the_whole() -> None:
    """Rows that are not read take their places in the experts all the same."""
    stack = StackConfig(layers=1, width=16, heads=2, inner_width=24, experts=4, expert_capacity=1)
    torch.manual_seed(4)
    model = Transformer(ModelConfig(encoder=stack, vocabulary_size=30)).eval()
    given = {"source": torch.arange(12), "source_lengths": torch.tensor([7, 5])}
    model.routed = []
    rows = torch.tensor([1, 8])
    states = model(**given)
    assert torch.equal(model(**given, selected_rows=rows), states[rows])
    whole, some = model.routed
    assert int(whole.tokens.sum()) == int(some.tokens.sum()) == 12
    assert int(whole.dropped) == int(some.dropped) > 0


def test_adapters_go_into_experts() -> None:
    stack = StackConfig(layers=1, width=16, heads=2, inner_width=24, experts=2)
    model = Transformer(ModelConfig(decoder=stack, vocabulary_size=30)).eval()
    given = {"target": torch.arange(12), "target_lengths": torch.tensor([7, 5])}
    before = model(**given)
    names = adapt(model, 2, 4.0, ["inner"])
    assert names == [f"decoder.blocks.0.feed_forward.experts.{number}.inner" for number in (0, 1)]
    assert torch.equal(model(**given), before)


@pytest.mark.skipif(not can_prepack(torch.float32), reason="no prepacked products here")
def test_prepacked_experts_compute_the_same() -> None:
    stack = StackConfig(layers=2, width=16, heads=2, inner_width=24, experts=4, gated=True,
                        experts_per_token=2, norm_placement="pre", bias=False)  # fmt: skip
    model = Transformer(ModelConfig(decoder=stack, vocabulary_size=30)).eval()
    tokens = torch.arange(6).view(3, 2)
    with torch.inference_mode():
        before, _ = model.step(tokens, model.start(None, 3))
        assert prepack(model, torch.float32)
        after, _ = model.step(tokens, model.start(None, 3))
    torch.testing.assert_close(after, before, rtol=0, atol=1e-5)


def test_active_parameters_are_those_of_a_token() -> None:
    sizes: dict[str, Any] = {"layers": 3, "width": 16, "heads": 2, "inner_width": 24}
    sparse = StackConfig(**sizes, by_block={"experts": [0, 4]}, experts_per_token=2)
    whole, active = (count(ModelConfig(decoder=sparse, vocabulary_size=30))
                     for count in (parameter_count, active_parameter_count))  # fmt: skip
    dense = parameter_count(ModelConfig(decoder=StackConfig(**sizes), vocabulary_size=30))
    expert, router = 2 * 16 * 24 + 24 + 16, 4 * 16
    assert active == dense + expert + router  # only the second of three blocks is sparse
    assert whole == active + 2 * expert


# transformers -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def transformers() -> Any:
    return pytest.importorskip(
        "transformers", reason="transformers is not installed: pip install 'triptych[dev]'"
    )


@torch.no_grad()
def shaken(model: Any, std: float = 0.3) -> Any:
    torch.manual_seed(1)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, mean=0.1, std=std)
    return model.eval()


MIXTRAL_NAMES = {
    "self_attention_norm.before.": "input_layernorm.",
    "feed_forward_norm.before.": "post_attention_layernorm.",
    "self_attention.query.": "self_attn.q_proj.",
    "self_attention.key.": "self_attn.k_proj.",
    "self_attention.value.": "self_attn.v_proj.",
    "self_attention.output.": "self_attn.o_proj.",
    "feed_forward.router.": "mlp.gate.",
}


def of_mixtral(name: str, theirs: dict[str, Tensor], inner: int) -> Tensor:
    """Return their tensor of one of our names."""
    ends = {
        "embedding.weight": "model.embed_tokens.weight",
        "output.weight": "lm_head.weight",
        "decoder.final_norm.weight": "model.norm.weight",
    }
    if name in ends:
        return theirs[ends[name]]
    block, _, rest = name.removeprefix("decoder.blocks.").partition(".")
    if ".experts." in rest:
        expert, part = rest.removeprefix("feed_forward.experts.").split(".")[:2]
        mlp = f"model.layers.{block}.mlp.experts."
        if part == "output":
            return theirs[mlp + "down_proj"][int(expert)]
        return theirs[mlp + "gate_up_proj"][int(expert)].split(inner)[part == "inner"]
    for ours, other in MIXTRAL_NAMES.items():
        rest = rest.replace(ours, other)
    return theirs[f"model.layers.{block}.{rest}"]


def test_mixtral_is_that_of_transformers(transformers: Any) -> None:
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "vocab_size": 30,
             "num_attention_heads": 4, "num_key_value_heads": 2, "num_local_experts": 4,
             "rope_theta": 1e4}  # fmt: skip
    theirs = shaken(transformers.MixtralForCausalLM(transformers.MixtralConfig(**sizes)))
    stack = StackConfig(
        layers=2, width=16, heads=4, key_heads=2, inner_width=24, activation="silu", gated=True,
        norm="rms", norm_placement="pre", positions="rotary", bias=False,
        experts=4, experts_per_token=2,
    )  # fmt: skip
    config = ModelConfig(decoder=stack, vocabulary_size=30, tied_embeddings=False,
                         embedding_scale=False)  # fmt: skip
    ours = Transformer(config).eval()
    tensors = theirs.state_dict()
    ours.load_state_dict({name: of_mixtral(name, tensors, 24) for name in ours.state_dict()})
    assert parameter_count(config) == sum(one.numel() for one in theirs.parameters())
    lengths = torch.tensor([5, 9, 3])
    layout = PackedLayout(lengths)
    ids = torch.randint(0, 30, (3, 9), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        expected = layout.pack(theirs(ids, attention_mask=layout.real.long()).logits)
        found = ours.project(ours(target=layout.pack(ids), target_lengths=lengths))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("capacity", [64, 2])
def test_a_sparse_layer_is_that_of_switch(transformers: Any, capacity: int) -> None:
    module = transformers.models.switch_transformers.modeling_switch_transformers
    theirs = shaken(module.SwitchTransformersSparseMLP(transformers.SwitchTransformersConfig(
        d_model=16, d_ff=24, num_experts=4, expert_capacity=capacity, dropout_rate=0.0
    )))  # fmt: skip
    ours = layer(bias=False, expert_capacity=capacity)
    names = {"router.": "router.classifier.", "experts.": "experts.expert_", "inner.": "wi.",
             "output.": "wo."}  # fmt: skip
    tensors = theirs.state_dict()
    for name, parameter in ours.named_parameters():
        for mine, other in names.items():
            name = name.replace(mine, other)
        parameter.data.copy_(tensors.pop(name))
    assert not tensors
    # Their padding takes places too, but only behind the tokens of its sequence.
    layout, x = PackedLayout(torch.tensor(LENGTHS)), inputs()
    with torch.no_grad():
        expected = layout.pack(theirs(layout.pad(x)))
        seen = context()
        found = ours(x, seen)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert seen.routed and (int(seen.routed[0].dropped) > 0) == (capacity == 2)


SWITCH_NAMES = {
    "self_attention.": "layer.0.SelfAttention.",
    "self_attention_norm.before.": "layer.0.layer_norm.",
    "cross_attention.": "layer.1.EncDecAttention.",
    "cross_attention_norm.before.": "layer.1.layer_norm.",
    "query.": "q.",
    "key.": "k.",
    "value.": "v.",
}


def of_switch(name: str) -> str:
    """Return their name of one of ours."""
    side, _, rest = name.partition(".")
    if side == "embedding":
        return "shared.weight"
    if rest == "position_bias.weight":
        return f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
    if rest == "final_norm.weight":
        return f"{side}.final_layer_norm.weight"
    mlp = f"layer.{1 if side == 'encoder' else 2}."
    if ".feed_forward" in rest:
        for ours, other in {
            "feed_forward_norm.before.": mlp + "layer_norm.",
            "feed_forward.": mlp + "mlp.",
            "router.": "router.classifier.",
            "experts.": "experts.expert_",
            "inner.": "wi.",
            "output.": "wo.",
        }.items():
            rest = rest.replace(ours, other)
    for ours, other in SWITCH_NAMES.items():
        rest = rest.replace(ours, other)
    return (
        f"{side}.{rest.replace('blocks.', 'block.').replace('Attention.output.', 'Attention.o.')}"
    )


def test_switch_is_that_of_transformers(transformers: Any) -> None:
    config = transformers.SwitchTransformersConfig(
        num_layers=4, num_decoder_layers=4, d_model=16, d_kv=6, d_ff=24, num_heads=4, num_experts=4,
        vocab_size=30, num_sparse_encoder_layers=2, num_sparse_decoder_layers=2,
    )  # fmt: skip
    theirs = shaken(transformers.SwitchTransformersForConditionalGeneration(config), 0.6)
    preset = PRESETS["switch-base-8"]
    small = {"layers": 4, "width": 16, "heads": 4, "head_width": 6, "inner_width": 24,
             "by_block": {"experts": [0, 4]}}  # fmt: skip
    assert isinstance(preset, ModelConfig)
    assert preset.encoder and preset.encoder == preset.decoder
    stack = dataclasses.replace(preset.encoder, **small)
    ours = Transformer(dataclasses.replace(
        preset, encoder=stack, decoder=stack, vocabulary_size=30, output_scale=16**-0.5
    )).eval()  # fmt: skip
    tensors = theirs.state_dict()
    ours.load_state_dict({name: tensors[of_switch(name)] for name in ours.state_dict()})
    assert parameter_count(ours.config) == sum(one.numel() for one in theirs.parameters())
    source, target = PackedLayout(torch.tensor([7, 2, 4])), PackedLayout(torch.tensor([3, 5, 4]))
    generator = torch.Generator().manual_seed(2)
    read, written = (torch.randint(0, 30, (3, size), generator=generator) for size in (7, 5))
    with torch.no_grad():
        expected = theirs(read, source.real.long(), decoder_input_ids=written).logits
        states = ours(
            source=source.pack(read), source_lengths=source.lengths,
            target=target.pack(written), target_lengths=target.lengths,
        )  # fmt: skip
        found = ours.project(states)
    expected = target.pack(expected)
    assert expected.std() > 0.1
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


# What is refused ----------------------------------------------------------------------------------


def test_a_compiled_step_is_refused() -> None:
    stack = StackConfig(layers=1, width=16, heads=2, inner_width=24, experts=2)
    model = Transformer(ModelConfig(decoder=stack, vocabulary_size=30)).eval()
    with pytest.raises(UsageError, match="this model has experts"):
        compile_step(model, DecodingSettings(compile=True))


@pytest.mark.parametrize("dials", [{"experts": 4}, {"by_block": {"experts": [0, 4]}}])
@pytest.mark.parametrize("name", ["llama-small", "decoder-small", "bert-base", "transformer-base"])
def test_no_format_takes_experts_unseen(name: str, dials: dict[str, Any]) -> None:
    dense = PRESETS[name]
    assert isinstance(dense, ModelConfig)
    stacks = {side: dataclasses.replace(stack, **dials) for side, stack in dense.stacks.items()}
    sparse = dataclasses.replace(dense, **stacks)  # type: ignore[arg-type]
    able = [one for one in FAMILIES if one.architecture == dense.architecture]
    assert able
    for family in able:
        whys = family.refusals(sparse)
        assert (
            "mixtral" in family.kinds
            or "switch_transformers" in family.kinds
            or any("experts" in why or "by_block" in why for why in whys)
        ), family.kinds
