"""A text classifier of encoder_speed.py in transformers: trained by its Trainer, and a run's
weights used by its pipeline.

python encoder_transformers.py train WORK SECONDS         # WORK holds train.json: [[ids, label],
...]
python encoder_transformers.py infer WORK RUN TEXTS       # WORK holds test.json: [[text, label
name], ...]

Needs torch, transformers, accelerate, datasets, safetensors.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}

import tokenizers
import torch
import transformers
from datasets import Dataset
from safetensors.torch import load_file
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    DataCollatorWithPadding,
    PreTrainedTokenizerFast,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    pipeline,
)

VOCABULARY, BATCH, WARM_STEPS = 8000, 32, 20
CASES = {"given": (1, 32), "sorted": (32, 64)}  # order of the texts -> batch sizes


def shape(**dials) -> BertConfig:
    return BertConfig(
        hidden_size=256,
        num_hidden_layers=6,
        num_attention_heads=4,
        intermediate_size=1024,
        max_position_embeddings=512,
        hidden_act="gelu",
        hidden_dropout_prob=0.1,
        attention_probs_dropout_prob=0.1,
        **dials,
    )


def empty_tokenizer() -> PreTrainedTokenizerFast:
    """For its padding alone: the texts are ids already."""
    backend = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({"<pad>": VOCABULARY}, unk_token="<pad>")
    )
    return PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>")


def train(work: Path, seconds: float) -> None:
    rows = json.loads((work / "train.json").read_text())
    torch.manual_seed(1)
    labels = len(json.loads((work / "labels.json").read_text()))
    model = BertForSequenceClassification(
        shape(vocab_size=VOCABULARY + 1, pad_token_id=VOCABULARY, num_labels=labels)
    )
    data = Dataset.from_list(
        [
            {
                "input_ids": ids,
                "attention_mask": [1] * len(ids),
                "labels": label,
                "length": len(ids),
            }
            for ids, label in rows
        ]
    )
    pad, sizes = DataCollatorWithPadding(empty_tokenizer()), []
    clock = {"step": 0, "started": 0.0, "ended": 0.0, "tokens": 0}

    def collate(members):
        sizes.append(sum(len(one["input_ids"]) for one in members))
        return pad(members)

    class Timer(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            size, now = sizes.pop(0), time.perf_counter()
            clock["step"] += 1
            if clock["step"] == WARM_STEPS:
                clock["started"] = now
            elif clock["step"] > WARM_STEPS:
                clock["tokens"], clock["ended"] = clock["tokens"] + size, now
                control.should_training_stop = now - clock["started"] > seconds

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            per_device_train_batch_size=BATCH,
            learning_rate=3e-4,
            lr_scheduler_type="constant",
            max_steps=10**6,
            bf16=True,
            train_sampling_strategy="group_by_length",
            length_column_name="length",
            use_cpu=True,
            save_strategy="no",
            logging_steps=50,
            report_to=[],
            seed=1,
            disable_tqdm=True,
        )
        Trainer(
            model, arguments, train_dataset=data, data_collator=collate, callbacks=[Timer()]
        ).train()
    rate = clock["tokens"] / (clock["ended"] - clock["started"])
    print(
        json.dumps(
            {"who": "transformers", "steps": clock["step"] - WARM_STEPS, "tokens_per_second": rate}
        ),
        flush=True,
    )


def convert(run: Path, labels: list[str]) -> BertForSequenceClassification:
    """The run's weights by their new names; nothing may be left over on either side."""
    given = {
        name.removeprefix("model."): value.float()
        for name, value in load_file(run / "model.safetensors").items()
    }
    count = given["embedding.weight"].shape[0]
    model = BertForSequenceClassification(
        shape(
            vocab_size=count + 1,
            pad_token_id=count,
            num_labels=len(labels),
            id2label=dict(enumerate(labels)),
            label2id={name: place for place, name in enumerate(labels)},
        )
    ).eval()
    outside = {
        "encoder_entrance.positions": "bert.embeddings.position_embeddings",
        "encoder_entrance.norm": "bert.embeddings.LayerNorm",
        "encoder_entrance.segments": "bert.embeddings.token_type_embeddings",
        "embedding": "bert.embeddings.word_embeddings",
        "head.dense": "bert.pooler.dense",
        "head.project": "classifier",
    }
    inside = {
        "self_attention.query": "attention.self.query",
        "self_attention.key": "attention.self.key",
        "self_attention.value": "attention.self.value",
        "self_attention.output": "attention.output.dense",
        "self_attention_norm.after": "attention.output.LayerNorm",
        "feed_forward.inner": "intermediate.dense",
        "feed_forward.output": "output.dense",
        "feed_forward_norm.after": "output.LayerNorm",
    }
    wanted = {}
    for name, value in given.items():
        part, kind = name.rsplit(".", 1)
        if part == "head":  # buffers: how outputs are calibrated
            continue
        if part.startswith("encoder.blocks."):
            layer, rest = part.removeprefix("encoder.blocks.").split(".", 1)
            wanted[f"bert.encoder.layer.{layer}.{inside[rest]}.{kind}"] = value
        else:
            wanted[f"{outside[part]}.{kind}"] = value
    name = "bert.embeddings.word_embeddings.weight"
    wanted[name] = torch.cat((wanted[name], torch.zeros(1, wanted[name].shape[1])))
    missing, unexpected = model.load_state_dict(wanted, strict=False)
    if missing or unexpected:
        raise SystemExit(f"not a whole conversion: missing {missing}, unexpected {unexpected}")
    return model


def tokenizer_of(run: Path, longest: int) -> PreTrainedTokenizerFast:
    """The run's own subwords between begin (0) and end (1)."""
    backend = tokenizers.Tokenizer.from_str(
        json.dumps(json.loads((run / "tokenizer.json").read_text())["tokenizer"])
    )
    backend.add_special_tokens(["<pad>"])
    begin, end = backend.id_to_token(0), backend.id_to_token(1)
    backend.post_processor = tokenizers.processors.TemplateProcessing(
        single=f"{begin} $A {end}", special_tokens=[(begin, 0), (end, 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", model_max_length=longest
    )


def infer(work: Path, run: Path, count: int) -> None:
    labels = json.loads((work / "labels.json").read_text())
    texts = [text for text, _ in json.loads((work / "test.json").read_text())[:count]]
    tokenizer = tokenizer_of(run, 512)
    tokens = sum(map(len, tokenizer(texts, truncation=True)["input_ids"]))
    for kind in ("float32", "bfloat16"):
        model = convert(run, labels).to(getattr(torch, kind))
        for order, batches in CASES.items():
            chosen, rates = texts if order == "given" else sorted(texts, key=len), {}
            for size in batches:
                pipe = pipeline(
                    "text-classification",
                    model=model,
                    tokenizer=tokenizer,
                    device="cpu",
                    batch_size=size,
                )
                pipe(chosen[:64], truncation=True)
                began = time.perf_counter()
                found = [one["label"] for one in pipe(chosen, truncation=True)]
                rates[size] = tokens / (time.perf_counter() - began)
                if order == "given":
                    (work / f"transformers-{kind}.json").write_text(json.dumps(found))
            best = max(rates, key=lambda size: rates[size])
            print(
                json.dumps(
                    {
                        "who": f"transformers {kind}",
                        "order": order,
                        "batch": best,
                        "tokens_per_second": rates[best],
                    }
                ),
                flush=True,
            )


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    if sys.argv[1] == "train":
        train(Path(sys.argv[2]), float(sys.argv[3]))
    else:
        infer(Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
