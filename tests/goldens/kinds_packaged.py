"""Train every packaged recipe for some steps at toy size, on the public set that it names."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

from bench import Bench, SkippedKind, Values

import triptych

Action = Callable[[Bench], Values]
SIZE: Values = {
    "model.width": 32,
    "model.heads": 2,
    "model.inner_width": 48,
    "model.layers": 2,
    "batches.batch_tokens": 384,
    "data.examples": 120,
    "tokenizer.vocabulary_size": 500,
    "validation.examples": 4,
    "validation.every_minutes": None,
    "training.minutes": None,
}
ENGLISH = ["A man in a red shirt is reading.", "Two dogs run over the grass and a child laughs."]
CHINESE = ["酒店的房间很大，服务也好。", "上海股市今天下跌。"]
JAPANESE = {"question": "首都はどこですか", "passage": "日本の首都は東京です。"}
ABOUT = {
    "question": "Who won?",
    "passage": "The Broncos won the game in Denver. The Panthers lost.",
}
TURNS = [{"messages": [{"role": "user", "content": "How are you today?"}]}]
SHORT = {"decoding.max_length": 10}
LONG = {"data.examples": 8, **SHORT}
BOTH = {"model.encoder.layers": 2, "model.decoder.layers": 2}
RNN = {
    "model.embedding_width": 24,
    "model.width": 24,
    "model.attention_width": 24,
    "model.readout_width": 24,
}

# recipe -> (what it is asked, its own overrides; None takes a key of SIZE away)
RECIPES: dict[str, tuple[list[Any], Values]] = {
    "ag-news": (ENGLISH, {"task.bigrams": 512}),
    "banking77": (ENGLISH, {}),
    "chnsenticorp": (CHINESE, {}),
    "cmrc2018": (
        [{"question": "首都是哪里", "passage": "北京是中国的首都。上海很大。"}],
        {"data.examples": 30},
    ),
    "conll2003": (ENGLISH, {"model.layers": None, "model.encoder.layers": 2}),
    "dailydialog": (
        TURNS,
        {**LONG, "data.examples": 60, "model.layers": None, "model.decoder.layers": 2},
    ),
    "instruct": (TURNS, {**LONG, "data.examples": 60}),
    "jaquad": ([JAPANESE], {"data.examples": 30}),
    "jaquad-generative": ([JAPANESE], {**SHORT, "data.examples": 30}),
    "multi30k-en-de": (ENGLISH, {**SHORT, **BOTH}),
    "multi30k-en-de-rnn": (
        ENGLISH,
        {**SHORT, **RNN, "model.layers": None, "model.heads": None, "model.inner_width": None},
    ),
    "multi30k-en-de-rnn-no-attention": (
        ENGLISH,
        {**SHORT, **RNN, "model.layers": None, "model.heads": None, "model.inner_width": None},
    ),
    "multi30k-en-fr": (ENGLISH, {**SHORT, **BOTH}),
    "multi30k-en-x": (
        [{"source": one, "target_language": "de"} for one in ENGLISH],
        {**SHORT, **BOTH},
    ),
    "phrasebook": (["I am a student.", "The dog sees Mary."], SHORT),
    "python-stdlib": (
        ["def read(path):"],
        {**LONG, "task.context": 64, "model.layers": None, "model.decoder.layers": 2},
    ),
    "question-generation": (["The Broncos won the game in Denver."], SHORT),
    "samsum": (["Amy: Are you coming?\nBob: Yes, at nine."], {**SHORT, "data.examples": 40}),
    "scitldr": (["We present a model that reads and writes."], {**SHORT, "data.examples": 30}),
    "sms-spam": (ENGLISH, {}),
    "span-corruption-ja": (["日本の[MASK]は東京です。"], {**SHORT, "data.examples": 20}),
    "sst2": (ENGLISH, {"task.bigrams": 512}),
    "stsb": ([{"text": ENGLISH[0], "text_pair": ENGLISH[1]}], {}),
    "tatoeba-en-zh": (ENGLISH, {**SHORT, **BOTH}),
    "tiny-shakespeare": (
        ["ROMEO:"],
        {**LONG, "task.context": 64, "model.layers": None, "model.decoder.layers": 2},
    ),
    "tinystories": (
        ["Once upon a time"],
        {**LONG, "task.context": 64, "model.layers": None, "model.decoder.layers": 2},
    ),
    "tnews": (CHINESE, {}),
    "ud-chinese-gsd": (
        CHINESE,
        {"task.bigrams": 512, "model.layers": None, "model.encoder.layers": 2},
    ),
    "ud-english-ewt": (ENGLISH, {}),
    "ud-english-ewt-upos": (ENGLISH, {"model.layers": None, "model.encoder.layers": 2}),
    "uner-english-ewt": (ENGLISH, {"model.layers": None, "model.encoder.layers": 2}),
    "war-and-peace": (
        ["Prince Andrew"],
        {**LONG, "task.context": 64, "model.layers": None, "model.decoder.layers": 2},
    ),
    "wnut17": (ENGLISH, {"model.layers": None, "model.encoder.layers": 2}),
    "xquad-en": ([ABOUT], {"data.examples": 30}),
    # The sets of these take half a minute to read; another of the same form stands in for them.
    "masked-words-en": (["The [MASK] of war."], {"data.set": "war-and-peace", "data.examples": 20}),
    "next-words-en": (
        ["The prince"],
        {
            **LONG,
            "data.set": "tinystories-sample",
            "task.context": 64,
            "model.layers": None,
            "model.decoder.layers": 2,
        },
    ),
    "span-corruption-en": (
        ["The [MASK] of war."],
        {**SHORT, "data.set": "war-and-peace", "data.examples": 20},
    ),
}
STEPS = 12  # reading the sets takes longer
SCORED = ("phrasebook", "sms-spam", "xquad-en", "wnut17", "stsb")  # whose test data is small
SLOW: dict[str, Values] = {
    name: {"data.set": None} for name in ("masked-words-en", "next-words-en", "span-corruption-en")
}


def _packaged(name: str, more: Values | None = None) -> Action:
    """Return the kind of one packaged recipe.

    Args:
        more: Overrides that count before those of the table above; None takes one away.
    """
    asked, own = RECIPES[name]

    def action(bench: Bench) -> Values:
        given = {**SIZE, **bench.settings(STEPS), **own, **(more or {})}
        kept = {
            key: value
            for key, value in given.items()
            if value is not None or (key in SIZE and "minutes" in key)
        }
        recipe = triptych.Recipe.load(name, kept)
        bench.need_set(recipe)
        if name == "tatoeba-en-zh" and importlib.util.find_spec("opencc") is None:
            raise SkippedKind("OpenCC is not installed.")
        run = bench.train("run", recipe)
        found: Values = {"run": bench.files(run), "answers": bench.answers(run, asked)}
        targets = found["run"]["config.json"]["languages"].get("targets", [])
        for target in targets[1:]:
            found[f"to {target}"] = bench.plain(bench.load(run).predict(ENGLISH, to=target))
        if name in SCORED:
            found["scores"] = bench.scored(run, "--decoding.beams", "1")
        return found

    return action


def _distilled(bench: Bench) -> Values:
    """Train the teacher of the packaged student, then the student."""
    _packaged("masked-words-en", {"model.layers": 3})(bench)
    teacher = str(bench.work / "run")
    given = {
        **bench.settings(STEPS),
        "training.minutes": None,
        "validation.every_minutes": None,
        "data.set": "war-and-peace",
        "data.examples": 20,
        "validation.examples": 4,
        "model.start": teacher,
        "training.teacher": teacher,
        "model.start_layers": [0, 2],
        "batches.batch_tokens": 384,
    }
    run = bench.train("student", triptych.Recipe.load("masked-words-en-distilled", given))
    return {"run": bench.files(run), "answers": bench.answers(run, ["The [MASK] of war."])}


KINDS: dict[str, Action] = {
    **{f"recipe-{name}": _packaged(name) for name in RECIPES},
    "recipe-masked-words-en-distilled": _distilled,
    **{f"slow-{name}": _packaged(name, more) for name, more in SLOW.items()},
}
