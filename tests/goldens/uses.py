"""Train a toy of a task and use it in every way that its runs can be used."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import TINY, Bench, Values, tensors
from kinds_dials import BEAMS, SOURCES

Action = Callable[[Bench], Values]
WRITTEN: Values = {
    **BEAMS,
    "penalty": {"beams": 3, "length_penalty": 0.4, "n_best": 3, "min_length": 4},
    "sampled": {"temperature": 0.9, "seed": 7},
    "top-k": {"temperature": 0.7, "top_k": 5, "seed": 3},
    "top-p": {"temperature": 1.3, "top_p": 0.7, "seed": 4},
    "min-p": {"temperature": 1.1, "min_p": 0.05, "seed": 5},
    "ranked": {"temperature": 1.0, "samples": 4, "n_best": 2},
    "repetition": {"repetition_penalty": 1.5, "temperature": 0.8},
    "n-grams": {"no_repeat_ngram_size": 2},
    "beams-n-grams": {"no_repeat_ngram_size": 2, "beams": 3},
    "no-scores": {"scores": False},
    "short": {"max_length": 5},
    "batches": {"batch_tokens": 8, "max_length_ratio": 1.0, "max_length_extra": 2},
}
FEWER = ("beams", "sampled", "top-p", "ranked", "no-scores")  # of these ways in bfloat16
DRAFTED: Values = {
    "few": {"draft_tokens": 2},
    "sampled": {"temperature": 0.9, "top_p": 0.9, "seed": 7},
    "ranked": WRITTEN["ranked"],
}
SUBTITLES = f"""1
00:00:01,000 --> 00:00:03,000
{SOURCES[0]}

2
00:00:04,000 --> 00:00:06,500
- {SOURCES[1]}
- {SOURCES[2]}
"""
STREAMED: Values = {"greedy": {}, "beams": {"beams": 3}, "sampled": {"temperature": 0.8, "seed": 2}}


def ways(bench: Bench) -> Values:
    """Return the dials that what writes is tried with."""
    return WRITTEN if bench.precision == "float32" else {name: WRITTEN[name] for name in FEWER}


def recipe(
    task: str, preset: str, options: str = "", tables: str = "", dials: str = "layers = 2"
) -> str:
    """Return the TOML of a toy recipe."""
    data = '[data]\nsource = "en"\ntarget = "de"\n' if task == "translation" else ""
    return (
        f'[task]\nname = "{task}"\n{options}\n{data}[model]\npreset = "{preset}"\n{dials}\n'
        f"[training]\nlearning_rate = 3e-3\nwarmup_steps = 5\naverage = 0.9\n{tables}"
    )


def resumed(
    bench: Bench, text: str, data: str, overrides: Mapping[str, Any], whole: Path
) -> Values:
    """Break a training off at half its steps and resume it.

    Args:
        whole: The run of the same training without a break.

    Returns:
        What the folder holds then, and whether the weights are those of `whole`.
    """
    given = {**overrides, "training.checkpoint_every_steps": 3}
    bench.toy("broken", text, data, given, until=bench.steps // 2)
    found = bench.files(bench.toy("broken", text, data, given, resume=True))
    found["is the same"] = found["model.safetensors"] == tensors(whole / "model.safetensors")
    return found


def reader(
    text: str,
    data: str,
    asked: Sequence[Any],
    overrides: Mapping[str, Any] | None = None,
    target: str | None = None,
    words: Sequence[str] = (),
) -> Action:
    """Return the kind of a task that understands.

    Args:
        asked: What is given to `predict`.
        target: The label that a second trace asks about.
        words: The text of `inspect`, and its flags; the first of `asked` where it is not given.
    """

    def action(bench: Bench) -> Values:
        given = {**TINY, **(overrides or {})}
        run = bench.toy("run", text, data, given)
        found: Values = {"run": bench.files(run), "answers": bench.answers(run, asked)}
        found["trace"] = bench.trace(run, asked[0])
        if target is not None:
            found["trace of a target"] = bench.trace(run, asked[0], target=target)
        found["scores"] = bench.scored(run)
        if bench.precision == "float32":
            found["resumed"] = resumed(bench, text, data, given, run)
            found["page"] = bench.page(run, *(words or asked[:1]))
            found["lines"] = bench.cli("predict", run, "--jsonl", *(words or asked))
        return found

    return action


def translator(text: str, overrides: Mapping[str, Any], drafts: bool = True) -> Action:
    """Return the kind of a translator, with every dial of decoding, drafts, streams and traces."""

    def action(bench: Bench) -> Values:
        given = {**(TINY if drafts else {}), **overrides}
        run = bench.toy("run", text, "pairs", given)
        found: Values = {
            "run": bench.files(run),
            "answers": bench.answers(run, SOURCES, ways(bench)),
        }
        found["cut"] = bench.plain(bench.load(run).predict(SOURCES, truncate=4))
        found["streams"] = bench.streams(run, SOURCES[1], STREAMED)
        found["trace"] = bench.trace(run, SOURCES[0], beams=3)
        found["trace of a target"] = bench.trace(
            run,
            SOURCES[0],
            target="der Hund sieht",
            **({"kinds": ("cross", "encoder", "decoder")} if drafts else {}),
        )
        found["scores"] = bench.scored(
            run, "--predictions", str(bench.work / "answers.txt"), "--bootstrap", "20"
        )
        if drafts:
            small = bench.toy(
                "draft", text, "pairs", {**given, "model.decoder.layers": 1, "training.seed": 5}
            )
            found["drafted"] = bench.answers(run, SOURCES, DRAFTED, draft=small)
            found["ngrams"] = bench.answers(run, SOURCES, DRAFTED, draft="ngram")
        if bench.precision == "float32":
            found["page"] = bench.page(run, SOURCES[0], "--decoding.beams", "3")
            found["lines"] = bench.cli("translate", run, "--jsonl", *SOURCES)
            (bench.work / "film.srt").write_text(SUBTITLES, encoding="utf-8")
            found["subtitles"] = bench.cli("translate", run, "--srt", bench.work / "film.srt")
            found["resumed"] = resumed(bench, text, "pairs", given, run)
            other = bench.work / "broken"
            found["compared"] = bench.cli("compare", run, other, "--json", "--bootstrap", "20")
        return found

    return action


def writer(
    text: str,
    data: str,
    asked: Sequence[Any],
    overrides: Mapping[str, Any] | None = None,
    more: Mapping[str, Any] | None = None,
    drafts: bool = True,
    traced: bool = True,
) -> Action:
    """Return the kind of a task that writes, with every dial of decoding.

    Args:
        more: Dials that only this task reads, by name.
        drafts: Whether a smaller run proposes tokens for it.
        traced: Whether `trace` can show how an answer came about, which needs an encoder.
    """

    def action(bench: Bench) -> Values:
        given = {**TINY, **(overrides or {})}
        run = bench.toy("run", text, data, given)
        found: Values = {
            "run": bench.files(run),
            "answers": bench.answers(run, asked, {**ways(bench), **(more or {})}),
        }
        found["streams"] = bench.streams(run, asked[0], STREAMED)
        found |= {"trace": bench.trace(run, asked[0])} if traced else {}
        found["scores"] = bench.scored(run)
        if drafts:
            small = bench.toy("draft", text, data, {**given, "model.layers": 1, "training.seed": 5})
            found["drafted"] = bench.answers(run, asked, DRAFTED, draft=small)
            found["ngrams"] = bench.answers(run, asked, DRAFTED, draft="ngram")
        if bench.precision == "float32":
            found["resumed"] = resumed(bench, text, data, given, run)
            if isinstance(asked[0], str):
                found["page"] = bench.page(run, asked[0])
        return found

    return action
