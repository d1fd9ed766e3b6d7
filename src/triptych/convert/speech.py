"""Say what stands around the answers of an imported Whisper, and how it decodes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import tokenizers

from ..data.tokenizers.answer_sides import LANGUAGE, Sides
from ..data.tokenizers.subwords import Tokenizer
from ..data.tokenizers.tokenizer_file import read
from ..decoding.settings import DecodingSettings, written_settings
from ..errors import RunError, unknown
from ..interchange.huggingface import Folder
from ..model.config import ModelConfig
from ..tasks import transcription
from ..tasks.whisper import NO_TIMES, TRANSLATE
from .generation import decoding_of as text_decoding_of
from .heads import Use

TASK = transcription.SPEC.name
BEGIN, TRANSCRIBE = "<|startoftranscript|>", "<|transcribe|>"
CODES = re.compile(r"<\|([a-z]{2,3})\|>")
LATEST_FIRST = 50  # steps of 20 ms after which a text may begin: 1 s (Radford et al. 2022)
TEMPERATURES = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]  # section 4.5
SECONDS_PER_POSITION = 0.02
PREPROCESSOR = "preprocessor_config.json"
# the only values of a front end that are computed
FRONT_END: Mapping[str, object] = {
    "sampling_rate": 16_000,
    "hop_length": 160,
    "n_fft": 400,
    "dither": 0.0,
}


def sides_of(folder: Folder) -> Sides:
    """Return the tokens that an answer begins with: language and task, if there are several.

    Raises RunError for a tokenizer or a front end that is no Whisper's.
    """
    _refuse_front_end(folder)
    where = folder.tokenizer_path
    _, backend = read(folder.tokenizer, where, None)
    begin, task = (_number(backend, one, where) for one in (BEGIN, TRANSCRIBE))
    _number(backend, NO_TIMES, where)
    if folder.generation_config.get("is_multilingual") is False or _is_english(backend):
        return Sides(starts=[begin])
    added = backend.get_added_tokens_decoder()
    first = _number(backend, TRANSLATE, where)
    found = {
        match[1]: number
        for number, one in sorted(added.items())
        if begin < number < first and (match := CODES.fullmatch(one.content))
    }
    return Sides(starts=[begin, LANGUAGE, task], languages=found)


def _is_english(backend: tokenizers.Tokenizer) -> bool:
    """Tell whether a tokenizer is GPT-2's, which Whisper's models of English alone have."""
    return backend.token_to_id("<|endoftext|>") == 50256


def _number(backend: tokenizers.Tokenizer, token: str, where: str) -> int:
    found = backend.token_to_id(token)
    if found is None:
        raise RunError(
            "{path} has no token {token}, so it is no tokenizer of a Whisper.",
            path=where,
            token=token,
        )
    return found


def _refuse_front_end(folder: Folder) -> None:
    from ..interchange.huggingface import read_json

    path = folder.path / PREPROCESSOR
    given = read_json(path) if path.is_file() else {}
    for key, wanted in FRONT_END.items():
        if given.get(key, wanted) != wanted:
            raise RunError(
                "{path}: {key} is {value}; triptych computes {wanted}.",
                path=path,
                key=key,
                value=repr(given[key]),
                wanted=wanted,
            )


def use_of(task: str | None, sides: Sides, config: ModelConfig) -> Use:
    """Return the task, options and labels of an imported Whisper."""
    if task not in (None, TASK):
        raise unknown("task", task or "", (TASK,), "for an import")
    encoder = config.encoder
    assert encoder is not None, "a Whisper has an encoder"
    options: dict[str, object] = {
        "features": "whisper" if encoder.features == 80 else f"whisper-{encoder.features}",
        "window": encoder.max_positions * SECONDS_PER_POSITION,
        "timestamps": True,
        "temperatures": TEMPERATURES,
        "ctc_weight": 0.0,
    }
    names = list(sides.languages)
    targets = [one for one in names if one == "en"]
    labels: dict[str, object] = {"languages": {"source": names, "targets": targets}, "tags": names}
    return Use(task=TASK, options=options, labels=labels)


def decoding_of(folder: Folder, sides: Sides) -> tuple[DecodingSettings, list[str]]:
    """Return the settings by which a Whisper writes, and notes on what is not read."""
    values = dict(folder.generation_config or folder.config)
    _, backend = read(folder.tokenizer, folder.tokenizer_path, None)
    without = _number(backend, NO_TIMES, folder.tokenizer_path)
    begin = values.pop("begin_suppress_tokens", None)
    latest = values.get("max_initial_timestamp_index", LATEST_FIRST)
    times = {"first": without + 1, "without": without}
    if type(latest) is int and latest >= 0:
        times["latest_first"] = latest
    plain = Folder(
        path=folder.path,
        config=folder.config,
        weights=(),
        places={},
        tokenizer=folder.tokenizer,
        generation_config={**values, "max_length": values.get("max_length", 448)},
    )
    settings, notes = text_decoding_of(plain, sides)
    return DecodingSettings(
        **{
            **written_settings(settings),
            "begin_suppress_tokens": _numbers(begin),
            "timestamps": times,
        }
    ), notes


def _numbers(given: object) -> list[int] | None:
    if not isinstance(given, list):
        return None
    return [one for one in given if type(one) is int and one >= 0] or None


def generation_of(tokenizer: Tokenizer, decoding: Mapping[str, Any]) -> dict[str, object]:
    """Return the content of generation_config.json, from which transformers generates."""
    without, translate = tokenizer.number(NO_TIMES), tokenizer.number(TRANSLATE)
    transcribe = tokenizer.number(TRANSCRIBE)
    several = tokenizer.marks_answers
    times = decoding.get("timestamps") or {}
    return {
        **{f"{key}_token_id": tokenizer.end_id for key in ("bos", "eos", "pad")},
        "decoder_start_token_id": tokenizer.begin_id,
        "is_multilingual": several,
        "max_length": 448,
        "max_initial_timestamp_index": times.get("latest_first", LATEST_FIRST),
        "suppress_tokens": decoding.get("suppress_tokens") or [],
        "begin_suppress_tokens": decoding.get("begin_suppress_tokens") or [],
        **({} if without is None else {"no_timestamps_token_id": without}),
        **(
            {
                "lang_to_id": {f"<|{name}|>": number for name, number in tokenizer.tags.items()},
                "task_to_id": {"transcribe": transcribe, "translate": translate},
            }
            if several
            else {}
        ),
    }


def preprocessor_of(config: ModelConfig) -> dict[str, object]:
    """Return the content of preprocessor_config.json: the front end, for WhisperProcessor."""
    encoder = config.encoder
    assert encoder is not None, "a Whisper has an encoder"
    seconds = round(encoder.max_positions * SECONDS_PER_POSITION)
    return {
        "feature_extractor_type": "WhisperFeatureExtractor",
        "feature_size": encoder.features,
        "sampling_rate": 16_000,
        "hop_length": 160,
        "n_fft": 400,
        "chunk_length": seconds,
        "n_samples": 16_000 * seconds,
        "nb_max_frames": 100 * seconds,
        "padding_side": "right",
        "padding_value": 0.0,
        "return_attention_mask": False,
    }
