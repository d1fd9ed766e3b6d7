"""One window of training transformers' GPT-2 from random weights with its Trainer: characters a
second after 20 steps.

python language_model_transformers.py IDS LAYERS WIDTH HEADS CONTEXT BATCH VOCABULARY SECONDS
float32|bfloat16
IDS: a file of uint16, one a character. Needs torch, transformers (with accelerate) and numpy.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time

os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}

import numpy as np
import torch
import transformers
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainerCallback, TrainingArguments

WARM = 20  # steps that are left out


class Windows(torch.utils.data.Dataset):
    """Windows from random places."""

    def __init__(self, ids: torch.Tensor, context: int) -> None:
        self.ids, self.context = ids, context

    def __len__(self) -> int:
        return 10**6

    def __getitem__(self, _: int) -> dict[str, torch.Tensor]:
        start = int(torch.randint(len(self.ids) - self.context, ()))
        window = self.ids[start : start + self.context]
        return {"input_ids": window, "labels": window}


class Watch(TrainerCallback):
    def __init__(self, seconds: float) -> None:
        self.seconds, self.steps, self.began, self.ended = seconds, 0, 0.0, 0.0

    def on_step_end(self, args, state, control, **_):
        self.steps, self.ended = self.steps + 1, time.perf_counter()
        if self.steps == WARM:
            self.began = self.ended
        control.should_training_stop = self.steps > WARM and self.ended - self.began > self.seconds


def main() -> None:
    layers, width, heads, context, batch, vocabulary = map(int, sys.argv[2:8])
    transformers.logging.set_verbosity_error()
    torch.manual_seed(1)
    ids = torch.from_numpy(np.fromfile(sys.argv[1], dtype=np.uint16).astype(np.int64))
    config = GPT2Config(
        vocab_size=vocabulary,
        n_positions=context,
        n_embd=width,
        n_layer=layers,
        n_head=heads,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=0,
        use_cache=False,
    )
    watch = Watch(float(sys.argv[8]))
    with tempfile.TemporaryDirectory() as folder:
        settings = TrainingArguments(
            folder,
            per_device_train_batch_size=batch,
            learning_rate=1e-3,
            lr_scheduler_type="constant",
            max_steps=10**6,
            bf16=sys.argv[9] == "bfloat16",
            use_cpu=True,
            save_strategy="no",
            logging_steps=50,
            report_to=[],
            seed=1,
            disable_tqdm=True,
        )
        Trainer(
            GPT2LMHeadModel(config),
            settings,
            train_dataset=Windows(ids, context),
            callbacks=[watch],
        ).train()
    steps, seconds = watch.steps - WARM, watch.ended - watch.began
    print(
        json.dumps({"tokens_per_second": steps * batch * context / seconds, "steps": steps}),
        flush=True,
    )


if __name__ == "__main__":
    main()
