"""Write the answers of pipelines: decoding settings and languages by transformers' parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..decoding.settings import DecodingSettings
from . import languages
from .limits import LONGEST_NAME, MOST_ANSWERS, MOST_BEAMS, MOST_TOKENS
from .openai_fields import Writing
from .problems import ApiError
from .served import ServedRun

WRITING = {
    "max_new_tokens", "max_length", "temperature", "top_k", "top_p", "min_p", "num_beams", "seed",
    "repetition_penalty", "length_penalty", "no_repeat_ngram_size", "do_sample", "stop",
    "generate_parameters", "num_return_sequences",
}  # fmt: skip


def whole(given: Mapping[str, Any], name: str, usual: int, most: int) -> int:
    """Return a parameter that is a whole number from 1 to `most`. Raises ApiError."""
    value = given.get(name, usual)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise ApiError(
            "parameters.{name} must be a whole number from 1 to {most}.", name=name, most=most
        ).at(400, f"parameters.{name}")
    return value


def flag(given: Mapping[str, Any], name: str, usual: bool) -> bool:
    """Return a parameter that is true or false. Raises ApiError."""
    value = given.get(name, usual)
    if not isinstance(value, bool):
        raise ApiError("parameters.{name} must be true or false.", name=name).at(400, name)
    return value


def text_of(given: Any) -> str:
    """Return an input that is one text. Raises ApiError for another."""
    found = given.get("text") if isinstance(given, Mapping) else given
    if not isinstance(found, str):
        raise ApiError("inputs must be a text.").at(400, "inputs")
    return found


def _settings(run: ServedRun, given: Mapping[str, Any]) -> tuple[DecodingSettings, int]:
    """Return the decoding settings that parameters ask for, and how many answers."""
    values = {**(given.get("generate_parameters") or {}), **given}
    most = values.get("max_new_tokens", values.get("max_length"))
    if most is not None:
        most = whole({"max_new_tokens": most}, "max_new_tokens", 1, MOST_TOKENS)
    count = whole(values, "num_return_sequences", 1, MOST_ANSWERS)
    names = WRITING & Writing.model_fields.keys()
    passed = {name: values[name] for name in names if values.get(name) is not None}
    if values.get("do_sample") is False:
        passed["temperature"] = 0.0
    elif values.get("do_sample") and "temperature" not in passed:
        passed["temperature"] = 1.0
    try:
        body = Writing.model_validate({"model": run.name, **passed})
    except ValueError as error:
        first = getattr(error, "errors", list)()[0]
        place = ".".join(("parameters", *map(str, first["loc"])))
        raise ApiError("{place}: {what}.", place=place, what=first["msg"]).at(400, place) from None
    settings = body.settings(run, most)
    if count == 1:
        return settings, 1
    changes: dict[str, Any] = {"n_best": count}
    if settings.temperature == 0:
        if count > MOST_BEAMS:
            raise ApiError("num_return_sequences is more than {most}.", most=MOST_BEAMS).at(400)
        changes["beams"] = max(settings.beams, count)
    settings = replace(settings, **changes)
    settings.check()
    return settings, count


def writes_as(key: str, before: bool = False) -> Any:
    """Return what answers with texts under `key`; `before`: the prompt stands before them."""

    async def write(run: ServedRun, given: Any, parameters: Mapping[str, Any]) -> Any:
        text = text_of(given)
        own = {k: v for k, v in parameters.items()
               if k not in ("src_lang", "tgt_lang", "return_full_text")}  # fmt: skip
        settings, count = _settings(run, own)
        values, to = await _languages(run, text, parameters)
        prediction = await run.answer(run.predictor.example(values, "inputs", to), settings)
        texts = [prediction.text, *(one.text for one in prediction.alternatives)][:count]
        whole = before and flag(parameters, "return_full_text", True)
        return [{key: text + one if whole else one} for one in texts]

    return write


async def _languages(
    run: ServedRun, text: str, parameters: Mapping[str, Any]
) -> tuple[Any, str | None]:
    """Return a run's input and its target language, by src_lang and tgt_lang."""
    source, target = parameters.get("src_lang"), parameters.get("tgt_lang")
    if run.spec.targets != "languages" or (source is None and target is None):
        return text, None
    one = languages.translator(run)
    values: dict[str, Any] = {run.predictor.task.input: text}
    for name, code, known in (("src_lang", source, one.sources), ("tgt_lang", target, one.targets)):
        if code is not None and languages.spelt(code, known) is None:
            raise ApiError(
                "parameters.{name} is '{code}'; '{run}' has {known}.",
                name=name, code=str(code)[:LONGEST_NAME], run=run.name, known=", ".join(known),
            ).at(400, name)  # fmt: skip
    if source is not None and run.predictor.tokenizers.source.marks_sources:
        values["source_language"] = languages.spelt(source, one.sources)
    if target is None or len(one.targets) < 2:
        return values, None
    return values, languages.spelt(target, one.targets)
