"""An imported Whisper writes the tokens that transformers generates, and goes back as it came."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from whisper_folder import SECONDS, write, write_sound

import triptych
from triptych.convert import export_run, import_folder
from triptych.errors import RunError, UsageError
from triptych.inference.hearing import hear


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    path = tmp_path_factory.mktemp("whisper")
    model = write(path / "theirs")
    import_folder(path / "theirs", path / "run")
    return path, model


def run_of(path: Path, name: str, **options: object) -> Any:
    """Return the imported run with other options of its task."""
    other = path / name
    if not other.exists():
        import shutil

        shutil.copytree(path / "run", other)
        config = json.loads((other / "config.json").read_text())
        config["options"] |= options
        (other / "config.json").write_text(json.dumps(config))
    return triptych.load(other)


def generated(model: Any, samples: np.ndarray, **given: object) -> list[int]:
    """Return what transformers generates, without the prompt and the end."""
    from transformers import WhisperFeatureExtractor

    long = len(samples) > SECONDS * 16_000
    front_end = WhisperFeatureExtractor(chunk_length=SECONDS)
    kind = {"truncation": False, "padding": "longest"} if long else {}
    features = front_end(samples, sampling_rate=16_000, return_tensors="pt", **kind)
    found = model.generate(
        features["input_features"],
        attention_mask=torch.ones(1, features["input_features"].shape[-1], dtype=torch.long),
        **given,
    )[0].tolist()
    return _written(model, found)


def _written(model: Any, tokens: list[int]) -> list[int]:
    """Return tokens of text and times alone."""
    end, first = model.config.eos_token_id, model.generation_config.no_timestamps_token_id + 1
    return [one for one in tokens if one < end or one >= first]


@pytest.mark.parametrize("language", ["de", None])
@pytest.mark.parametrize("own", [None, "en"])
def test_what_is_heard_is_shown_in_any_language(
    folder: tuple[Path, Any], tmp_path: Path, language: str | None, own: str | None
) -> None:
    """The language of the sound, of the run, or the one that the model finds."""
    run = run_of(folder[0], f"shown-{own}", timestamps=False, temperatures=[0.0], language=own)
    write_sound(tmp_path / "a.wav", 1.0)
    given = {"audio": str(tmp_path / "a.wav"), "source_language": language}
    found, _ = hear(run, run.example(given, "a.wav"), run.settings())
    (wanted,) = run.predict([given])
    # A toy writes times where it should not.
    assert found.text == re.sub(r"<\|[\d.]+\|>", "", wanted.text).strip()
    assert len(found.spans) == len(found.tokens) == len(found.attention)


def test_what_is_heard_is_shown_without_its_times(folder: tuple[Path, Any], tmp_path: Path) -> None:
    run = run_of(folder[0], "timed", temperatures=[0.0])
    write_sound(tmp_path / "a.wav", 1.0)
    found, _ = hear(run, run.example(str(tmp_path / "a.wav"), "a.wav"), run.settings())
    assert any(one.startswith("<|0.") for one in found.tokens)
    assert found.text and "<|" not in found.text


@pytest.mark.parametrize("seconds", [0.6, 2.0])
@pytest.mark.parametrize("language", ["en", "de", None])
def test_short_sound_without_times(
    folder: tuple[Path, Any], tmp_path: Path, seconds: float, language: str | None
) -> None:
    path, model = folder
    run = run_of(path, "plain", timestamps=False, temperatures=[0.0])
    samples = write_sound(tmp_path / "a.wav", seconds)
    given = {"audio": str(tmp_path / "a.wav")}
    (found,) = run.predict([given | ({"source_language": language} if language else {})])
    expected = generated(model, samples, task="transcribe", language=language)
    # A toy writes times where it should not, at which transformers begins another window.
    written = _written(model, found.tokens)
    assert len(written) > 5 and written == expected[: len(written)]
    assert language in (None, found.details["language"])


def test_the_language_that_is_found_is_transformers(
    folder: tuple[Path, Any], tmp_path: Path
) -> None:
    from transformers import WhisperFeatureExtractor

    path, model = folder
    run = run_of(path, "plain", timestamps=False, temperatures=[0.0])
    for seed in range(4):
        samples = write_sound(tmp_path / "a.wav", 1.0 + seed / 5, seed)
        (found,) = run.predict([{"audio": str(tmp_path / "a.wav")}])
        front_end = WhisperFeatureExtractor(chunk_length=SECONDS)
        features = front_end(samples, sampling_rate=16_000, return_tensors="pt")["input_features"]
        number = int(model.detect_language(features)[0])
        codes = {one: name for name, one in model.generation_config.lang_to_id.items()}
        assert f"<|{found.details['language']}|>" == codes[number]


def test_translation_to_english_is_another_task(folder: tuple[Path, Any], tmp_path: Path) -> None:
    path, model = folder
    run = run_of(path, "plain", timestamps=False, temperatures=[0.0])
    samples = write_sound(tmp_path / "a.wav", 1.5)
    (found,) = run.predict([{"audio": str(tmp_path / "a.wav"), "source_language": "de"}], to="en")
    expected = generated(model, samples, task="translate", language="de")
    assert _written(model, found.tokens) == expected
    with pytest.raises(UsageError, match="translates to en only"):
        run.predict([{"audio": str(tmp_path / "a.wav"), "source_language": "en"}], to="de")
    with pytest.raises(UsageError, match="Unknown language 'xx'"):
        run.predict([{"audio": str(tmp_path / "a.wav"), "source_language": "xx"}])


@pytest.mark.parametrize("seconds", [1.9, 2.0, 5.3, 9.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_sound_of_any_length_with_times(
    folder: tuple[Path, Any], tmp_path: Path, seconds: float, seed: int
) -> None:
    """Windows begin where the last text ended, and their features are those of the whole."""
    path, model = folder
    run = run_of(path, "times", temperatures=[0.0])
    samples = write_sound(tmp_path / "a.wav", seconds, seed)
    (found,) = run.predict([{"audio": str(tmp_path / "a.wav"), "source_language": "en"}])
    segments = model.generate(
        _features(samples),
        return_timestamps=True,
        return_segments=True,
        language="en",
        task="transcribe",
        attention_mask=torch.ones(1, _features(samples).shape[-1], dtype=torch.long),
    )["segments"][0]
    first = model.generation_config.no_timestamps_token_id + 1
    end = model.config.eos_token_id
    raw = _segments(run, tmp_path / "a.wav")
    if seconds < SECONDS:  # transformers goes on into the silence that fills up a short sound
        segments = segments[: len(raw)]
    texts = [[one for one in part["tokens"].tolist() if one < end] for part in segments]
    assert [list(one.tokens) for one in raw] == texts
    for one, part in zip(raw, segments, strict=True):
        assert one.start == pytest.approx(float(part["start"]), abs=1e-3)
        assert one.end == pytest.approx(float(part["end"]), abs=1e-3)
    assert found.details["language"] == "en" and first > end
    assert seconds <= SECONDS or len(raw) > 1


def _features(samples: np.ndarray) -> torch.Tensor:
    from transformers import WhisperFeatureExtractor

    long = len(samples) > SECONDS * 16_000
    kind = {"truncation": False, "padding": "longest"} if long else {}
    front_end = WhisperFeatureExtractor(chunk_length=SECONDS)
    return front_end(samples, sampling_rate=16_000, return_tensors="pt", **kind)["input_features"]


def _segments(run: Any, path: Path) -> list[Any]:
    from triptych.inference.answering import _raw

    encoded, _ = run.encode(run.example({"audio": str(path), "source_language": "en"}))
    raw = _raw(run, encoded, run.settings(), 0, None)
    return [piece for heard in raw[0] for piece in heard.segments]


def test_a_window_of_poor_text_is_drawn_again(folder: tuple[Path, Any], tmp_path: Path) -> None:
    path, _ = folder
    plain, again = run_of(path, "times", temperatures=[0.0]), run_of(path, "again")
    write_sound(tmp_path / "a.wav", 3.0)
    (first,) = plain.predict([str(tmp_path / "a.wav")])
    (other,) = again.predict([str(tmp_path / "a.wav")])
    assert first.log_probability / len(first.token_log_probabilities) < -1  # a shaken model's
    assert first.tokens != other.tokens
    (same,) = again.predict([str(tmp_path / "a.wav")])
    assert same.tokens == other.tokens


def test_silence_has_no_text(folder: tuple[Path, Any], tmp_path: Path) -> None:
    import soundfile

    path, _ = folder
    for name, options in (("plain", {"timestamps": False}), ("times", {"temperatures": [0.0]})):
        run = run_of(path, name, **options)
        for seconds in (1, 5):
            soundfile.write(tmp_path / "a.wav", np.zeros(16_000 * seconds), 16_000)
            assert run.predict([str(tmp_path / "a.wav")])[0].text == ""


def test_an_export_is_what_was_imported(folder: tuple[Path, Any], tmp_path: Path) -> None:
    from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration

    path, _ = folder
    export_run(path / "run", tmp_path / "back")
    both = path / "theirs", tmp_path / "back"
    old, new = (
        load_file(one / "model.safetensors") for one in (path / "theirs", tmp_path / "back")
    )
    assert old.keys() == new.keys() and all(torch.equal(old[name], new[name]) for name in old)
    for name in ("generation_config.json", "tokenizer.json"):
        given, back = (json.loads((one / name).read_text()) for one in both)
        assert given == back, name
    again = WhisperForConditionalGeneration.from_pretrained(tmp_path / "back")
    generation: Any = again.generation_config
    assert generation.lang_to_id
    assert WhisperFeatureExtractor.from_pretrained(tmp_path / "back").nb_max_frames == 200


def test_ctranslate2_takes_the_way_there_and_back(folder: tuple[Path, Any], tmp_path: Path) -> None:
    path, _ = folder
    export_run(path / "run", tmp_path / "there", "ctranslate2")
    import_folder(tmp_path / "there", tmp_path / "run")
    both = path / "run", tmp_path / "run"
    old, new = (load_file(one / "model.safetensors") for one in both)
    assert old.keys() == new.keys() and all(torch.equal(old[name], new[name]) for name in old)
    one, other = (json.loads((each / "config.json").read_text()) for each in both)
    for key in ("task", "options", "model"):
        assert one[key] == other[key], key
    settings = [each["decoding"] for each in (one, other)]
    assert settings[0]["suppress_tokens"] == settings[1]["suppress_tokens"]
    assert settings[0]["begin_suppress_tokens"] == settings[1]["begin_suppress_tokens"]
    assert settings[0]["timestamps"]["first"] == settings[1]["timestamps"]["first"]


def test_other_front_ends_and_tokenizers_are_named(tmp_path: Path) -> None:
    write(tmp_path / "a")
    place = tmp_path / "a" / "preprocessor_config.json"
    place.write_text(json.dumps({**json.loads(place.read_text()), "hop_length": 320}))
    with pytest.raises(RunError, match=r"hop_length is 320; triptych computes 160"):
        import_folder(tmp_path / "a", tmp_path / "run")
    place.unlink()
    tokens = json.loads((tmp_path / "a" / "tokenizer.json").read_text())
    text = json.dumps(tokens).replace("<|notimestamps|>", "<|other|>")
    (tmp_path / "a" / "tokenizer.json").write_text(text)
    with pytest.raises(RunError, match=r"no token <\|notimestamps\|>"):
        import_folder(tmp_path / "a", tmp_path / "run")


def test_segments_come_window_by_window(folder: tuple[Path, Any], tmp_path: Path) -> None:
    from triptych.inference.transcribing import transcribe

    path, _ = folder
    run = run_of(path, "times", temperatures=[0.0])
    write_sound(tmp_path / "a.wav", 5.3)
    given = {"audio": str(tmp_path / "a.wav"), "source_language": "en"}
    (whole,) = run.predict([given])
    heard: list[float] = []
    segments = transcribe(run, run.example(given), None, heard.append)
    first = next(segments)
    assert len(heard) == 0  # the first is given before the second is read
    found = [first, *segments]
    assert [(one.text, one.start, one.end) for one in found] == [
        (one["text"], one["start"], one["end"]) for one in whole.details["segments"]
    ]
