"""Fine-tune a pretrained encoder with transformers as its examples do: labels, numbers or tags.

python fine_tuning_transformers.py DATA SOURCE OUT --kind label|labels|value|tags --rate 5e-5
[--seed 1] [--epochs 3]
python fine_tuning_transformers.py DATA SOURCE OUT --kind label|labels|value|tags --test

DATA holds train.json, validation.json and test.json: [[text, text_pair or null, label], ...], or
[[words, tags], ...] for tags; several labels of a text are a list, and those with a probability of
at least a half are given. --out-of-scope LABEL also scores the texts of that label apart; it is
learnt as any other. AdamW with weight decay 0.01, linear decay after a tenth of warm-up,
batches of 32 shuffled in every epoch, gradients clipped at 1, bf16 autocast. OUT keeps the weights
of the epoch that scores best on the development part; --test scores those on the test part. Prints
one JSON line. Needs torch, transformers, seqeval, scipy.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}

import numpy as np
import torch
import transformers
from safetensors.torch import load_file, save_file
from scipy.stats import pearsonr
from seqeval.metrics import f1_score
from transformers import (
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
)

BATCH, NONE, WEIGHTS = 32, -100, "weights.safetensors"


def encoded(tokenizer, rows, kind, labels):
    """[(ids, segments, wanted, which pieces begin a word)] of each row."""
    found = []
    for row in rows:
        if kind == "tags":
            pieces = tokenizer(row[0], is_split_into_words=True, truncation=True, max_length=256)
            before, wanted, firsts = None, [], []
            for word in pieces.word_ids():
                firsts.append(word is not None and word != before)
                wanted.append(labels.get(row[1][word], NONE) if firsts[-1] else NONE)
                before = word
        else:
            firsts = None
            pieces = tokenizer(row[0], row[1], truncation=True, max_length=384)
            if kind == "labels":
                wanted = [float(name in row[2]) for name in labels]
            else:
                wanted = float(row[2]) if kind == "value" else labels.get(row[2], NONE)
        segments = pieces.get("token_type_ids", [0] * len(pieces["input_ids"]))
        found.append((pieces["input_ids"], segments, wanted, firsts))
    return found


def batches(pieces, generator=None):
    """Shuffled, then like lengths together within fifty batches, as Trainer's group_by_length."""
    if generator is None:
        order = sorted(range(len(pieces)), key=lambda place: len(pieces[place][0]))
    else:
        drawn = torch.randperm(len(pieces), generator=generator).tolist()
        order = []
        for first in range(0, len(drawn), 50 * BATCH):
            part = drawn[first : first + 50 * BATCH]
            order += sorted(part, key=lambda place: -len(pieces[place][0]))
    cuts = [order[first : first + BATCH] for first in range(0, len(order), BATCH)]
    if generator is not None:
        cuts = [cuts[place] for place in torch.randperm(len(cuts), generator=generator).tolist()]
    for places in cuts:
        longest = max(len(pieces[place][0]) for place in places)
        ids = torch.zeros(len(places), longest, dtype=torch.int64)
        mask, segments = torch.zeros_like(ids), torch.zeros_like(ids)
        for row, place in enumerate(places):
            own = torch.tensor(pieces[place][0])
            ids[row, : len(own)], mask[row, : len(own)] = own, 1
            segments[row, : len(own)] = torch.tensor(pieces[place][1])
        wanted = [pieces[place][2] for place in places]
        if isinstance(wanted[0], list) and pieces[0][3] is not None:
            wanted = [one + [NONE] * (longest - len(one)) for one in wanted]
        yield (
            places,
            {"input_ids": ids, "attention_mask": mask, "token_type_ids": segments},
            torch.tensor(wanted),
        )


def score(model, pieces, rows, kind, names):
    """Accuracy, F1 over labels, Pearson or span F1, each times 100."""
    return scored(answered(model, pieces, rows, kind, names), rows, kind)


def answered(model, pieces, rows, kind, names):
    model.eval()
    answers = [None] * len(rows)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        for places, inputs, _ in batches(pieces):
            logits = model(**inputs).logits.float()
            for row, place in enumerate(places):
                if kind == "value":
                    answers[place] = float(logits[row, 0])
                elif kind == "labels":
                    answers[place] = [names[at] for at in (logits[row] >= 0).nonzero()[:, 0]]
                elif kind == "label":
                    answers[place] = names[int(logits[row].argmax())]
                else:
                    length = len(pieces[place][0])
                    firsts = pieces[place][3]
                    kept = [
                        names[int(logits[row, at].argmax())] for at in range(length) if firsts[at]
                    ]
                    answers[place] = kept + ["O"] * (len(rows[place][0]) - len(kept))
    return answers


def scored(answers, rows, kind):
    if kind == "labels":
        right = sum(len({*one} & {*row[2]}) for one, row in zip(answers, rows, strict=True))
        both = sum(len(one) + len(row[2]) for one, row in zip(answers, rows, strict=True))
        return 100 * 2 * right / max(1, both)
    if kind == "value":
        return 100 * float(pearsonr(answers, [float(row[2]) for row in rows])[0])
    if kind == "label":
        return 100 * float(np.mean([one == row[2] for one, row in zip(answers, rows, strict=True)]))
    return 100 * float(f1_score([row[1] for row in rows], answers))


def build(source, kind, names):
    family = (
        AutoModelForTokenClassification if kind == "tags" else AutoModelForSequenceClassification
    )
    several = {"problem_type": "multi_label_classification"} if kind == "labels" else {}
    return family.from_pretrained(
        source, num_labels=1 if kind == "value" else len(names), **several
    )


def train(options, pieces, rows, names):
    """(best development score, its epoch); its weights are written to OUT."""
    torch.manual_seed(options.seed)
    model, kind = build(options.source, options.kind, names), options.kind
    generator = torch.Generator().manual_seed(options.seed)
    steps = options.epochs * -(-len(pieces["train"]) // BATCH)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=options.rate, weight_decay=0.01, fused=True
    )
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, steps // 10, steps)
    best = (-1e9, 0)
    for epoch in range(1, options.epochs + 1):
        model.train()
        for _, inputs, wanted in batches(pieces["train"], generator):
            with torch.autocast("cpu", torch.bfloat16):
                loss = model(**inputs, labels=wanted).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        found = score(model, pieces["validation"], rows["validation"], kind, names)
        if found > best[0]:
            best = (found, epoch)
            save_file(
                {name: one.contiguous() for name, one in model.state_dict().items()},
                options.out / WEIGHTS,
            )
    return best


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("source")
    parser.add_argument("out", type=Path)
    parser.add_argument("--kind", choices=("label", "labels", "value", "tags"), required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=5e-5)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--out-of-scope")
    parser.add_argument(
        "--test", action="store_true", help="score the weights in OUT on the test part"
    )
    options = parser.parse_args()
    transformers.logging.set_verbosity_error()
    kind, parts = options.kind, ("train", "validation", "test")
    rows = {part: json.loads((options.data / f"{part}.json").read_text()) for part in parts}
    if kind == "tags":
        names = sorted({tag for row in rows["train"] for tag in row[1]})
    else:
        given = ([*row[2]] if kind == "labels" else [row[2]] for row in rows["train"])
        names = [] if kind == "value" else sorted({name for one in given for name in one})
    labels = {name: number for number, name in enumerate(names)}
    tokenizer = AutoTokenizer.from_pretrained(options.source)
    wanted = ("test",) if options.test else ("train", "validation")
    pieces = {part: encoded(tokenizer, rows[part], kind, labels) for part in wanted}
    options.out.mkdir(parents=True, exist_ok=True)
    if options.test:
        model = build(options.source, kind, names)
        model.load_state_dict(load_file(options.out / WEIGHTS))
        answers = answered(model, pieces["test"], rows["test"], kind, names)
        found = {"test": scored(answers, rows["test"], kind)}
        if options.out_of_scope:
            both = list(zip(answers, rows["test"], strict=True))
            for key, wanted in (("accuracy_in_scope", False), ("recall_out_of_scope", True)):
                part = [
                    one == row[2] for one, row in both if (row[2] == options.out_of_scope) == wanted
                ]
                found[key] = 100 * float(np.mean(part))
        print(json.dumps(found))
        return
    began = time.perf_counter()
    found, epoch = train(options, pieces, rows, names)
    minutes = round((time.perf_counter() - began) / 60, 2)
    print(
        json.dumps(
            {
                "rate": options.rate,
                "seed": options.seed,
                "validation": found,
                "epoch": epoch,
                "minutes": minutes,
            }
        )
    )


if __name__ == "__main__":
    main()
