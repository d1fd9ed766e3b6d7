"""Sparse and disentangled attention compute what published models compute (transformers)."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
import torch
from published import Published, both, ids
from sparse_toys import bigbird, deberta, encoder, longformer
from test_published import near
from torch import Tensor

from test_own_code import Usual
from triptych.errors import UsageError
from triptych.model.build import build
from triptych.model.config import ModelConfig, StackConfig
from triptych.model.dials import misfit, written
from triptych.model.disentangled import log_buckets
from triptych.model.ops import tiles
from triptych.model.transformer import Transformer
from triptych.presets import configure
from triptych.runs.files import model_config

LENGTHS = torch.tensor([28, 29, 5, 37, 40])
SELECTED = torch.tensor([0, 3, 28, 40, 57, 60, 61, 90, 138])
TOYS: dict[str, Published] = {
    "bigbird": bigbird(),
    "bigbird, drawn": bigbird(2, seed=0),
    "longformer": longformer("first"),
    "deberta": deberta(8),
    "deberta, without buckets": deberta(0),
}


@pytest.fixture(autouse=True)
def short_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let sequences of toys have several tiles."""
    monkeypatch.setattr(tiles, "QUERIES", 8)


def alone(theirs: Any, source: Tensor, **given: Any) -> Tensor:
    """Return their states of each sequence, without padding."""
    found: list[Tensor] = []
    for one in source.split(LENGTHS.tolist()):
        if hasattr(theirs, "set_attention_type"):  # a short input changes it for good
            theirs.set_attention_type("block_sparse")
        if "Longformer" in type(theirs).__name__:
            given = {"global_attention_mask": (torch.arange(len(one)) < 1).long()[None]}
        found.append(theirs(one[None], **given).last_hidden_state[0])
    return torch.cat(found)


@pytest.mark.parametrize("name", TOYS)
@torch.no_grad()
def test_states_are_theirs(name: str) -> None:
    """Without dropout, transformers draws further blocks in training only."""
    theirs, ours = both(TOYS[name])
    theirs.train("drawn" in name)
    source = ids(int(LENGTHS.sum()))
    wanted = alone(theirs, source)
    near(ours(source, LENGTHS), wanted)
    near(ours(source, LENGTHS, selected_rows=SELECTED), wanted[SELECTED])


@torch.no_grad()
def test_a_padded_batch_of_equally_many_blocks_is_theirs() -> None:
    theirs, ours = both(TOYS["bigbird"])
    lengths = torch.tensor([37, 40])
    source = ids(77)
    padded = torch.nn.utils.rnn.pad_sequence(list(source.split([37, 40])), batch_first=True)
    real = torch.arange(40) < lengths[:, None]
    near(ours(source, lengths), theirs(padded, real.long()).last_hidden_state[real])


@torch.no_grad()
def test_without_blocks_attention_is_full() -> None:
    theirs, _ = both(TOYS["bigbird"])
    _, ours = both(TOYS["bigbird"]._replace(config=encoder(activation="gelu_tanh")))
    theirs.set_attention_type("original_full")
    source = ids(40)
    near(ours(source, torch.tensor([40])), theirs(source[None]).last_hidden_state[0])


@torch.no_grad()
def test_a_question_is_seen_by_all() -> None:
    theirs, ours = both(longformer("question"))
    source, lengths = ids(70), torch.tensor([30, 40])
    segments = torch.cat([(torch.arange(n) >= first).long() for n, first in ((30, 5), (40, 3))])
    wanted = [
        theirs(
            one[None],
            token_type_ids=types[None],
            global_attention_mask=(torch.arange(len(one)) < count).long()[None],
        ).last_hidden_state[0]
        for one, types, count in zip(
            source.split([30, 40]), segments.split([30, 40]), (4, 2), strict=True
        )
    ]
    near(ours(source, lengths, segments=segments), torch.cat(wanted))
    only = ours(source[:30], lengths[:1])  # of a single text, the first token is
    mask = (torch.arange(30) < 1).long()[None]
    near(only, theirs(source[None, :30], global_attention_mask=mask).last_hidden_state[0])


@pytest.mark.parametrize("name", TOYS)
def test_all_ways_agree_with_the_plain_form(name: str) -> None:
    """Padded attention, its gradients and the weights that are shown, which are exact."""
    config = TOYS[name].config
    torch.manual_seed(2)
    usual, own = build(config), build(config, Usual)
    for parameter in usual.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    own.load_state_dict(usual.state_dict())
    given = {"source": ids(int(LENGTHS.sum())), "source_lengths": LENGTHS}
    states = [model(**given) for model in (usual, own)]
    near(states[0].detach(), states[1].detach())
    for one in states:
        one.square().mean().backward()
    for (key, one), two in zip(usual.named_parameters(), own.parameters(), strict=True):
        assert (one.grad is None) == (two.grad is None), key
        if one.grad is not None and two.grad is not None:
            torch.testing.assert_close(one.grad, two.grad, atol=1e-4, rtol=1e-3)
    shown = [model.attention_weights("encoder", **given) for model in (usual, own)]  # type: ignore[arg-type]
    near(*shown)
    real = torch.arange(40) < LENGTHS[:, None]
    near(shown[0].sum(-1), real[None, :, None].expand(2, -1, 3, -1).float())


@pytest.mark.parametrize("name", ["longformer", "deberta"])
@torch.no_grad()
def test_shown_weights_are_theirs(name: str) -> None:
    theirs, ours = both(TOYS[name])
    source = ids(24)
    shown = ours.attention_weights("encoder", source=source, source_lengths=torch.tensor([24]))
    if name == "longformer":
        mask = (torch.arange(24) < 1).long()[None]
        found = theirs(source[None], global_attention_mask=mask, output_attentions=True)
        near(shown[:, 0, :, 0], torch.stack(found.global_attentions)[:, 0, :, :24, 0])
        near(shown[:, 0, :, 9, 0], torch.stack([one[0, :, 9, 0] for one in found.attentions]))
    else:
        near(shown, torch.stack(theirs(source[None], output_attentions=True).attentions))


def test_buckets_are_those_of_deberta() -> None:
    modeling = pytest.importorskip("transformers.models.deberta_v2.modeling_deberta_v2")
    distances = torch.arange(-700, 701)[None]
    for buckets, farthest in ((256, 512), (8, 24), (64, 128)):
        wanted = modeling.make_log_bucket_position(distances, buckets, farthest).long()
        assert torch.equal(log_buckets(distances, buckets, farthest), wanted)


@pytest.mark.parametrize("name", TOYS)
def test_configurations_are_written_and_read(name: str) -> None:
    config = TOYS[name].config
    assert (
        model_config(json.loads(json.dumps({"kind": "transformer", **written(config)}))) == config
    )


@pytest.mark.parametrize(
    ("dials", "said"),
    [
        ({"attention_blocks": {"random": 3}}, "must have ['size'] and may have ['random', 'seed']"),
        ({"attention_blocks": {"size": 0}}, "attention_blocks.size is 0"),
        ({"attention_blocks": {"size": 4}, "attention_window": 4}, "are two patterns"),
        ({"attention_blocks": {"size": 4, "seed": 1}, "key_heads": 1}, "key_heads must be heads"),
        ({"attention_globals": "first"}, "needs attention_window"),
        (
            {"attention_globals": "first", "attention_window": 4, "positions": "rotary"},
            "not rotary",
        ),
        ({"disentangled": {"buckets": 8}}, "must have ['farthest']"),
        ({"disentangled": {"farthest": 8}, "positions": "alibi"}, "no alibi positions"),
    ],
)
def test_what_does_not_fit(dials: dict[str, Any], said: str) -> None:
    stack = StackConfig(**{"width": 32, "heads": 4, **dials})
    assert said in (misfit(stack) or "")


def test_a_decoder_cannot_have_them() -> None:
    table = {"size": 4}
    with pytest.raises(UsageError, match=r"model\.decoder has attention_blocks"):
        configure("transformer-tiny", {"attention_blocks": table})
    assert configure("transformer-tiny", {"encoder": {"attention_blocks": table}})
    config = ModelConfig(decoder=StackConfig(attention_blocks=table), vocabulary_size=5)
    with pytest.raises(ValueError, match="is for encoders"):
        model_config({"kind": "transformer", **written(config)})


def test_a_pattern_that_sees_all_is_full_attention() -> None:
    """Six blocks without further ones: blocks 1 to 4 see all but at most two."""
    full = encoder(activation="gelu_tanh")
    assert full.encoder is not None
    stack = dataclasses.replace(full.encoder, attention_blocks={"size": 8, "random": 0})
    model = Transformer(dataclasses.replace(full, encoder=stack)).eval()
    plain = Transformer(full).eval()
    plain.load_state_dict(model.state_dict())
    source = ids(41)
    for count in (1, 40, 41):
        lengths = torch.tensor([count])
        same = torch.allclose(
            model(source[:count], lengths), plain(source[:count], lengths), atol=1e-5
        )
        assert same == (count <= 40)
