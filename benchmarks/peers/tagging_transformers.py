"""Entities with a pretrained encoder in transformers: its usual fine-tuning for words, of which the
first piece carries the label.

python tagging_transformers.py WORK SOURCE SEED     # WORK holds train.json, validation.json,
test.json: [[words, tags], ...]

Rates around those usual for CoNLL-2003 (Devlin et al. 2018, appendix A.3: 5e-5; small models take
more), linear decay with a tenth of warm-up, batches of 32 made up anew in every epoch. The
development part is read ten times a rate, and the weights with the best span F1 (seqeval) of all
are the ones that read the test part. Needs torch, transformers, seqeval.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}

import torch
import transformers
from seqeval.metrics import f1_score
from transformers import AutoModelForTokenClassification, AutoTokenizer

RATES, EPOCHS, BATCH, NONE = (5e-5, 1e-4, 2e-4), 4, 32, -100
# sentences that are sorted by length together, as transformers' own `group_by_length` does
POOL = 50 * BATCH
VALIDATIONS = 10  # of one rate, evenly spread, the last at its end: as often as ours


def encode(tokenizer, rows, labels):
    """[(ids, label of each piece)]: NONE everywhere but at the first piece of a word."""
    found = []
    for words, tags in rows:
        pieces = tokenizer(words, is_split_into_words=True, truncation=True, max_length=256)
        before, wanted = None, []
        for word in pieces.word_ids():
            wanted.append(NONE if word is None or word == before else labels[tags[word]])
            before = word
        found.append((pieces["input_ids"], wanted))
    return found


def batches(pieces, generator=None):
    """Like lengths together; with a generator other batches at every call: sentences are drawn,
    sorted in pools, the batches drawn.
    """
    order, pool = list(range(len(pieces))), len(pieces)
    if generator is not None:
        order, pool = torch.randperm(len(pieces), generator=generator).tolist(), POOL
    pools = [
        sorted(order[first : first + pool], key=lambda place: len(pieces[place][0]))
        for first in range(0, len(order), pool)
    ]
    cut = [
        places[first : first + BATCH] for places in pools for first in range(0, len(places), BATCH)
    ]
    if generator is not None:
        cut = [cut[place] for place in torch.randperm(len(cut), generator=generator).tolist()]
    for places in cut:
        longest = max(len(pieces[place][0]) for place in places)
        ids = torch.zeros(len(places), longest, dtype=torch.int64)
        mask, wanted = torch.zeros_like(ids), torch.full_like(ids, NONE)
        for row, place in enumerate(places):
            own, tags = pieces[place]
            ids[row, : len(own)], mask[row, : len(own)] = torch.tensor(own), 1
            wanted[row, : len(tags)] = torch.tensor(tags)
        yield places, ids, mask, wanted


def tags_of(model, pieces, rows, names):
    model.eval()
    found = [["O"] * len(words) for words, _ in rows]
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        for places, ids, mask, wanted in batches(pieces):
            best = model(input_ids=ids, attention_mask=mask).logits.argmax(-1)
            for row, place in enumerate(places):
                kept = best[row][wanted[row] != NONE].tolist()
                found[place][: len(kept)] = [names[number] for number in kept]
    return found


def train(source, pieces, names, rate, seed, score):
    """Fine-tune at one rate; the best score of its validations, and the weights that had it."""
    torch.manual_seed(seed)
    model = AutoModelForTokenClassification.from_pretrained(source, num_labels=len(names))
    generator = torch.Generator().manual_seed(seed)
    steps = EPOCHS * -(-len(pieces) // BATCH)
    due = {round(steps * number / VALIDATIONS) for number in range(1, VALIDATIONS + 1)}
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.01)
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, steps // 10, steps)
    best, weights, step = -1.0, {}, 0
    for _ in range(EPOCHS):
        for _, ids, mask, wanted in batches(pieces, generator):
            model.train()
            with torch.autocast("cpu", torch.bfloat16):
                loss = model(input_ids=ids, attention_mask=mask, labels=wanted).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            step += 1
            if step not in due:
                continue
            found = score(model)
            print(
                json.dumps(
                    {"rate": rate, "seed": seed, "step": step, "of": steps, "validation_f1": found}
                ),
                flush=True,
            )
            if found > best:
                best, weights = (
                    found,
                    {name: value.clone() for name, value in model.state_dict().items()},
                )
    model.load_state_dict(weights)
    return best, model


def main(work: Path, source: str, seed: int) -> None:
    rows = {
        part: json.loads((work / f"{part}.json").read_text())
        for part in ("train", "validation", "test")
    }
    names = sorted({tag for _, tags in rows["train"] for tag in tags})
    labels = {name: number for number, name in enumerate(names)}
    tokenizer = AutoTokenizer.from_pretrained(source)
    pieces = {part: encode(tokenizer, found, labels) for part, found in rows.items()}

    def score(model):
        found = tags_of(model, pieces["validation"], rows["validation"], names)
        return 100 * f1_score([tags for _, tags in rows["validation"]], found)

    best = (-1.0, 0.0, None, 0.0)
    for rate in RATES:
        began = time.process_time()  # of one core: beside other work the clock tells nothing
        found, model = train(source, pieces["train"], names, rate, seed, score)
        minutes = (time.process_time() - began) / 60
        print(
            json.dumps({"rate": rate, "seed": seed, "validation_f1": found, "minutes": minutes}),
            flush=True,
        )
        best = max(best, (found, rate, model, minutes), key=lambda one: one[0])
    found, rate, model, minutes = best
    test = 100 * f1_score(
        [tags for _, tags in rows["test"]], tags_of(model, pieces["test"], rows["test"], names)
    )
    print(
        json.dumps(
            {
                "who": "transformers",
                "rate": rate,
                "seed": seed,
                "validation_f1": found,
                "f1": test,
                "minutes": minutes,
            }
        ),
        flush=True,
    )


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
