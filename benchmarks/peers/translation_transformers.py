"""transformers' Marian of training_speed.py, trained by its Seq2SeqTrainer: tokens a second after
20 steps, and the development loss.

python translation_transformers.py WORK SECONDS [--loss] WORK holds data.json: {"vocabulary",
"begin", "end", "train" and "validation": [[source ids, target ids], ...]}, every text with its end.
Needs torch, transformers (with accelerate) and datasets.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}

import torch
import transformers
from datasets import Dataset
from torch.nn import functional
from transformers import (
    MarianConfig,
    MarianMTModel,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    TrainerCallback,
)

BATCH, WARM, NONE = 128, 20, -100


def padded(rows: list[list[int]], filler: int) -> torch.Tensor:
    longest = max(map(len, rows))
    return torch.tensor([row + [filler] * (longest - len(row)) for row in rows])


class Watch(TrainerCallback):
    """Stops when the time is up; the first steps are left out."""

    def __init__(self, seconds: float, sizes: list[int]) -> None:
        self.seconds, self.sizes, self.steps, self.tokens, self.began, self.ended = (
            seconds,
            sizes,
            0,
            0,
            0.0,
            0.0,
        )

    def on_step_end(self, args, state, control, **_):
        size, self.ended = self.sizes.pop(0), time.perf_counter()
        self.steps += 1
        if self.steps == WARM:
            self.began = self.ended
        elif self.steps > WARM:
            self.tokens += size
            control.should_training_stop = self.ended - self.began > self.seconds


def development_loss(model: MarianMTModel, begin: int, pairs: list[list[list[int]]]) -> float:
    """Nats per target token, not smoothed, in fp32."""
    model.float().eval()
    total = count = 0.0
    with torch.inference_mode():
        for source, target in pairs:
            logits = model(
                input_ids=torch.tensor([source]),
                decoder_input_ids=torch.tensor([[begin, *target[:-1]]]),
            ).logits[0]
            total += float(functional.cross_entropy(logits, torch.tensor(target), reduction="sum"))
            count += len(target)
    return total / count


def main(work: Path, seconds: float, loss: bool) -> None:
    given = json.loads((work / "data.json").read_text())
    begin, end = given["begin"], given["end"]
    transformers.logging.set_verbosity_error()
    torch.manual_seed(1)
    model = MarianMTModel(
        MarianConfig(
            vocab_size=given["vocabulary"],
            d_model=256,
            encoder_layers=3,
            decoder_layers=3,
            encoder_attention_heads=4,
            decoder_attention_heads=4,
            encoder_ffn_dim=1024,
            decoder_ffn_dim=1024,
            max_position_embeddings=512,
            dropout=0.1,
            attention_dropout=0.0,
            activation_function="relu",
            scale_embedding=True,
            pad_token_id=begin,
            eos_token_id=end,
            forced_eos_token_id=None,
            decoder_start_token_id=begin,
            tie_word_embeddings=True,
        )
    )
    rows = [
        {"input_ids": source, "labels": target, "length": len(source) + len(target)}
        for source, target in given["train"]
    ]
    sizes: list[int] = []

    def collate(members):
        sizes.append(
            sum(
                one["length"] if "length" in one else len(one["input_ids"]) + len(one["labels"])
                for one in members
            )
        )
        sources, targets = ([one[name] for one in members] for name in ("input_ids", "labels"))
        mask = padded([[1] * len(source) for source in sources], 0)
        return {
            "input_ids": padded(sources, begin),
            "attention_mask": mask,
            "labels": padded(targets, NONE),
            "decoder_input_ids": padded([[begin, *target[:-1]] for target in targets], begin),
        }

    watch = Watch(seconds, sizes)
    with tempfile.TemporaryDirectory() as folder:
        settings = Seq2SeqTrainingArguments(
            folder,
            per_device_train_batch_size=BATCH,
            train_sampling_strategy="group_by_length",
            length_column_name="length",
            learning_rate=1e-3,
            warmup_steps=200,
            weight_decay=0.0,
            lr_scheduler_type="constant_with_warmup",
            max_steps=10**6,
            label_smoothing_factor=0.1,
            bf16=True,
            use_cpu=True,
            save_strategy="no",
            logging_steps=50,
            report_to=[],
            seed=1,
            disable_tqdm=True,
        )
        Seq2SeqTrainer(
            model,
            settings,
            train_dataset=Dataset.from_list(rows),
            data_collator=collate,
            callbacks=[watch],
        ).train()
    found = {
        "tokens_per_second": watch.tokens / (watch.ended - watch.began),
        "updates": watch.steps,
    }
    if loss:
        found["development_loss"] = development_loss(model, begin, given["validation"])
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), "--loss" in sys.argv[3:])
