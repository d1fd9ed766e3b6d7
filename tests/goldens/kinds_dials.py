"""Toys for each dial that changes the path through a model, a training or a tokenizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench import TINY, Bench, Values

Action = Callable[[Bench], Values]

TRANSLATOR = """[task]
name = "translation"
[data]
source = "en"
target = "de"
[model]
preset = "transformer-tiny"
layers = 2
dropout = 0.1
[training]
learning_rate = 3e-3
warmup_steps = 5
[decoding]
max_length = 12
"""
RECURRENT = TRANSLATOR.replace("transformer-tiny", "recurrent-small").replace("layers = 2\n", "")
WRITER = """[task]
name = "language-modelling"
context = 48
[model]
preset = "decoder-tiny"
layers = 2
[training]
learning_rate = 3e-3
warmup_steps = 5
[decoding]
max_length = 12
"""
READER = """[task]
name = "classification"
[model]
preset = "encoder-tiny"
layers = 2
[training]
learning_rate = 3e-3
warmup_steps = 5
"""
SMALL_RNN = {
    f"model.{name}": 24 for name in ("embedding_width", "width", "attention_width", "readout_width")
}
SMALL_RNN["batches.batch_tokens"] = 256
SOURCES = [
    "the cat sees the small dog",
    "the old teacher likes the river and not the tree",
    "a house",
]
PROMPTS = ["the cat", "the old teacher likes", ""]
BEAMS: Values = {"beams": {"beams": 4, "n_best": 2}}

# What a Transformer can be made of, tried as a translator.
MODELS: dict[str, Values] = {
    "learned": {"positions": "learned", "max_positions": 64},
    "rotary": {"positions": "rotary"},
    "rotary-base": {"positions": "rotary", "rotary_base": 500.0},
    "sinusoidal": {"positions": "sinusoidal"},
    "post-norm": {"norm_placement": "post"},
    "rms": {"norm": "rms"},
    "rms-post": {"norm": "rms", "norm_placement": "post"},
    "epsilon": {"norm_epsilon": 1e-3},
    "gated-silu": {"gated": True, "activation": "silu"},
    "gated-gelu": {"gated": True, "activation": "gelu"},
    "gelu": {"activation": "gelu"},
    "gelu-tanh": {"activation": "gelu_tanh"},
    "grouped": {"heads": 4, "key_heads": 2},
    "one-key-head": {"heads": 4, "key_heads": 1, "positions": "rotary"},
    "one-head": {"heads": 1},
    "no-bias": {"bias": False},
    "embedding-norm": {"embedding_norm": True},
    "no-scale": {"embedding_scale": False},
    "untied": {"tied_embeddings": False},
    "output-bias": {"output_bias": True},
    "dropouts": {"dropout": 0.2, "attention_dropout": 0.2, "inner_dropout": 0.2},
    "no-dropout": {"dropout": 0.0},
    "deep-encoder": {"encoder.layers": 3, "decoder.layers": 1},
    "deep-decoder": {"encoder.layers": 1, "decoder.layers": 4},
    "llama": {
        "positions": "rotary",
        "norm": "rms",
        "gated": True,
        "activation": "silu",
        "bias": False,
        "heads": 4,
        "key_heads": 2,
        "tied_embeddings": False,
        "embedding_scale": False,
    },
}
TWO_WIDTHS = {
    "tokenizer.shared": False,
    "model.encoder.width": 32,
    "model.decoder.width": 48,
    "model.heads": 2,
    "model.inner_width": 40,
    "batches.batch_tokens": 256,
}

TRAININGS: dict[str, Values] = {
    "muon": {"training.optimizer": "muon"},
    "muon-momentum": {
        "training.optimizer": "muon",
        "training.muon_momentum": 0.8,
        "training.weight_decay": 0.1,
    },
    "linear": {"training.schedule": "linear", "training.final_rate": 0.1},
    "cosine": {"training.schedule": "cosine"},
    "trapezoid": {"training.schedule": "trapezoid", "training.decay_start": 0.5},
    "constant": {"training.schedule": "constant"},
    "warmup-share": {"training.schedule": "linear", "training.warmup_share": 0.3},
    "average": {"training.average": 0.9},
    "no-clip": {
        "training.clip_norm": 1e9,
        "training.beta1": 0.8,
        "training.beta2": 0.99,
        "training.epsilon": 1e-6,
    },
    "freeze": {"training.freeze": ["embedding", "encoder.blocks.0"]},
    "layer-decay": {"training.layer_decay": 0.7},
    "accumulate": {"batches.accumulate": 3},
    "batch-examples": {"batches.batch_examples": 4, "batches.buffer": 50},
    "r-drop": {"task.r_drop": 2.0},
    "no-smoothing": {"task.label_smoothing": 0.0},
    "bpe-dropout": {"batches.bpe_dropout": 0.2},
    "epochs": {"training.steps": None, "training.epochs": 1.5},
    "seed": {"training.seed": 77},
    "keep-last": {"validation.keep": "last", "validation.metric": "loss", "validation.patience": 1},
    "checkpoints": {"training.checkpoint_every_steps": 3, "training.keep_checkpoints": 2},
    "examples": {"data.examples": 50, "data.longest": 12},
}
TOKENIZERS: dict[str, Values] = {
    "unigram": {"tokenizer.kind": "unigram"},
    "code": {"tokenizer.kind": "code"},
    "characters": {"tokenizer.kind": "characters"},
    "bytes": {"tokenizer.kind": "bytes"},
    "apart": {"tokenizer.shared": False},
}
WRITERS: dict[str, Values] = {
    "plain": {},
    "learned": {"model.positions": "learned", "model.max_positions": 64},
    "sinusoidal": {"model.positions": "sinusoidal"},
    "grouped": {"model.heads": 4, "model.key_heads": 2},
    "post-norm": {"model.norm_placement": "post"},
    "together": {"task.documents": "together"},
    "label-smoothing": {"task.label_smoothing": 0.1},
    "llama": {"model.preset": "llama-small", "model.heads": 4, "model.key_heads": 2},
    "gpt2": {"model.preset": "gpt2", "model.max_positions": 64},
    "depth": {"model.depth": 1, "batches.batch_tokens": 256, "batches.accumulate": 1},
    "long": {"task.context": 300, "batches.batch_tokens": 900},
    "muon": {"training.optimizer": "muon", "training.average": 0.9},
    "stream": {"data.stream": True, "data.shard_tokens": 2000},
}
READERS: dict[str, Values] = {
    "plain": {},
    "learned": {
        "model.positions": "learned",
        "model.max_positions": 64,
        "task.window": 48,
        "task.stride": 24,
    },
    "sinusoidal": {"model.positions": "sinusoidal"},
    "grouped": {"model.heads": 4, "model.key_heads": 2},
    "post-norm": {"model.norm_placement": "post", "model.embedding_norm": True},
    "rms-gated": {
        "model.norm": "rms",
        "model.gated": True,
        "model.activation": "silu",
        "model.bias": False,
    },
    "no-segments": {"model.segments": 0},
    "bert": {"model.preset": "bert-base", "model.max_positions": 400},
    "layer-decay": {"training.layer_decay": 0.7, "training.head_rate": 5.0},
}


def _translator(
    overrides: Values, text: str = TRANSLATOR, data: str = "pairs", small: Values | None = None
) -> Action:
    def action(bench: Bench) -> Values:
        run = bench.toy(
            "run",
            text,
            data,
            {**bench.settings(bench.few), **(TINY if small is None else small), **overrides},
        )
        return {"run": bench.files(run), "answers": bench.answers(run, SOURCES, BEAMS)}

    return action


def _writer(overrides: Values) -> Action:
    def action(bench: Bench) -> Values:
        own = {
            key: value
            for key, value in TINY.items()
            if "model.depth" not in overrides or not key.startswith("model.")
        }
        run = bench.toy("run", WRITER, "texts", {**bench.settings(bench.few), **own, **overrides})
        ways = {**BEAMS, "sampled": {"temperature": 0.8, "top_k": 20}, "long": {"max_length": 60}}
        return {"run": bench.files(run), "answers": bench.answers(run, PROMPTS, ways)}

    return action


def _reader(overrides: Values) -> Action:
    def action(bench: Bench) -> Values:
        run = bench.toy("run", READER, "label", {**bench.settings(bench.few), **TINY, **overrides})
        return {"run": bench.files(run), "answers": bench.answers(run, SOURCES)}

    return action


def _with_drafts(bench: Bench) -> Values:
    """Use a vocabulary so large that rounded logits and blocks of maxima come into play."""
    dials: Any = {**TINY, "tokenizer.vocabulary_size": 1600, "batches.batch_tokens": 512}
    run = bench.toy("run", TRANSLATOR, "many", dials)
    draft = bench.toy("draft", TRANSLATOR, "many", {**dials, "model.layers": 1, "training.seed": 2})
    words = ["abc defg hijk", "kl mnop abcd efg"]
    ways = {
        **BEAMS,
        "sampled": {"temperature": 0.9, "top_p": 0.8},
        "plain": {"scores": False},
        "few": {"draft_tokens": 2},
    }
    return {
        "run": bench.files(run),
        "answers": bench.answers(run, words, ways),
        "drafted": bench.answers(
            run, words, {key: ways[key] for key in ("sampled", "few")}, draft=draft
        ),
        "ngrams": bench.answers(run, words, {"sampled": ways["sampled"]}, draft="ngram"),
    }


def _wide_logits(bench: Bench) -> Values:
    """Train on so many tokens a step that their logits are computed in several chunks."""
    small = {
        **TINY,
        "model.width": 16,
        "tokenizer.vocabulary_size": 1600,
        "batches.batch_tokens": 16000,
    }
    return {
        "run": bench.files(
            bench.toy(
                "run",
                TRANSLATOR,
                "many",
                {
                    **small,
                    "training.steps": 2,
                    "data.train": [str(bench.data / "wide.en"), str(bench.data / "wide.de")],
                },
            )
        )
    }


KINDS: dict[str, Action] = {
    **{
        f"model-{name}": _translator({f"model.{key}": value for key, value in dials.items()})
        for name, dials in MODELS.items()
    },
    "model-two-widths": _translator({}, small=TWO_WIDTHS),
    "model-rnn": _translator({}, RECURRENT, small=SMALL_RNN),
    "model-rnn-no-attention": _translator({"model.attention": False}, RECURRENT, small=SMALL_RNN),
    "model-rnn-apart": _translator(
        {"tokenizer.shared": False, "model.dropout": 0.3}, RECURRENT, small=SMALL_RNN
    ),
    "model-large-vocabulary": _with_drafts,
    "model-wide-logits": _wide_logits,
    **{f"training-{name}": _translator(dials) for name, dials in TRAININGS.items()},
    **{f"tokenizer-{name}": _translator(dials) for name, dials in TOKENIZERS.items()},
    **{f"writer-{name}": _writer(dials) for name, dials in WRITERS.items()},
    **{f"reader-{name}": _reader(dials) for name, dials in READERS.items()},
}
