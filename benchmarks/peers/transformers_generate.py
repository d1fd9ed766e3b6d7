"""One window of transformers' generate on a GPT-2 with random weights: greedy, with its cache, the
length forced.

python transformers_generate.py float32|bfloat16 STREAMS NEW THREADS VOCABULARY CONTEXT   # needs
torch and transformers
"""

from __future__ import annotations

import json
import sys
import time

import torch
import transformers
from transformers import GPT2Config, GPT2LMHeadModel


def main() -> None:
    kind, (streams, new, threads, vocabulary, context) = sys.argv[1], map(int, sys.argv[2:])
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    config = GPT2Config(
        vocab_size=vocabulary,
        n_positions=context,
        n_embd=384,
        n_layer=6,
        n_head=6,
        bos_token_id=0,
        eos_token_id=1,
    )
    model = GPT2LMHeadModel(config).to(getattr(torch, kind)).eval()
    ids = torch.zeros(streams, 1, dtype=torch.int64)

    def write(count: int) -> int:
        found = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            use_cache=True,
            min_new_tokens=count,
            max_new_tokens=count,
            pad_token_id=1,
        )
        return found[:, 1:].numel()

    with torch.inference_mode():
        write(min(new, 20))
        began = time.perf_counter()
        count = write(new)
        print(
            json.dumps(
                {"tokens_per_second": count / (time.perf_counter() - began), "tokens": count}
            ),
            flush=True,
        )


if __name__ == "__main__":
    main()
