"""/v1/audio with the openai client, unchanged, and speech recognition as a pipeline."""

from __future__ import annotations

import base64
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import openai
import pytest
from starlette.testclient import TestClient

import triptych
from triptych.convert import import_folder
from triptych.inference.engine.engine import Engine
from triptych.inference.engine.scheduler import Scheduler
from triptych.serving.app import build_app
from triptych.serving.served import Served
from triptych.serving.speech import captions

sys.path.insert(0, str(Path(__file__).parents[1] / "interchange"))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    from whisper_folder import write, write_sound

    path = tmp_path_factory.mktemp("speech")
    write(path / "theirs")
    import_folder(path / "theirs", path / "run")
    write_sound(path / "a.wav", 1.5)
    run = triptych.load(path / "run")
    engine = Engine(run)
    scheduler = Scheduler([engine], threads=1).start()
    app: Any = build_app(Served({"whisper": engine}))
    with TestClient(app, base_url="http://localhost") as client:
        yield SimpleNamespace(client=client, run=run, sound=(path / "a.wav").read_bytes(),
                              path=path / "a.wav", app=app)  # fmt: skip
    scheduler.close()


@pytest.fixture
def client(served: SimpleNamespace) -> openai.OpenAI:
    return openai.OpenAI(
        base_url="http://localhost/v1", api_key="none", http_client=served.client, max_retries=0
    )


def test_the_openai_client_transcribes(client: openai.OpenAI, served: SimpleNamespace) -> None:
    (wanted,) = served.run.predict([{"audio": str(served.path), "source_language": "en"}])
    with served.path.open("rb") as file:
        found = client.audio.transcriptions.create(model="whisper", file=file, language="en")
    assert found.text == wanted.text != ""
    whole: Any = client.audio.transcriptions.create(
        model="whisper", file=("a.wav", served.sound), language="en", response_format="verbose_json"
    )
    segments = wanted.details["segments"]
    assert (whole.text, whole.language, whole.duration) == (wanted.text, "en", segments[-1]["end"])
    assert [(one.start, one.end, one.text) for one in whole.segments] == [
        (one["start"], one["end"], one["text"]) for one in segments
    ]
    kind: Any
    for kind, begin in (("text", wanted.text), ("srt", "1\n00:00:"), ("vtt", "WEBVTT\n\n00:00:")):
        shown: Any = client.audio.transcriptions.create(
            model="whisper", file=("a.wav", served.sound), language="en", response_format=kind
        )
        assert str(shown).startswith(begin)


def test_translations_are_the_other_task(client: openai.OpenAI, served: SimpleNamespace) -> None:
    (wanted,) = served.run.predict([str(served.path)], to="en")
    found = client.audio.translations.create(model="whisper", file=("a.wav", served.sound))
    assert found.text == wanted.text


def test_a_pipeline_takes_the_sound_itself(served: SimpleNamespace) -> None:
    (wanted,) = served.run.predict([str(served.path)])
    answer = served.client.post("/v1/tasks/automatic-speech-recognition", content=served.sound)
    assert answer.status_code == 200 and answer.json()["text"] == wanted.text
    first = wanted.details["segments"][0]
    assert answer.json()["chunks"][0]["timestamp"] == [first["start"], first["end"]]


def as_json(**parameters: Any) -> Any:
    return {"inputs": base64.b64encode(b"RIFF").decode(), "parameters": parameters}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (["RIFF"], "inputs, a sound file in base64"),
        ({"inputs": "?"}, "inputs, a sound file in base64"),
        (as_json(volume=11), "parameters has no 'volume'"),
        (as_json(generate_kwargs={"beams": 5}), "generate_kwargs has no 'beams'"),
        (as_json(generate_kwargs=[5]), "generate_kwargs must be an object"),
        (as_json(generation_parameters={"task": "sing"}), "'transcribe' or 'translate'"),
        (as_json(generation_parameters={"language": 1}), "language must be a text"),
        (as_json(return_timestamps="word"), "return_timestamps must be true or false"),
        (as_json(), "is not a sound file"),
    ],
)
def test_bad_pipeline_bodies_are_said(served: SimpleNamespace, body: Any, words: str) -> None:
    answer = served.client.post("/v1/tasks/automatic-speech-recognition", json=body)
    assert answer.status_code == 400 and words in answer.text


def test_hugging_faces_client_transcribes(served: SimpleNamespace, listen: Any) -> None:
    hub = pytest.importorskip("huggingface_hub")
    (wanted,) = served.run.predict([{"audio": str(served.path), "source_language": "en"}])
    (found_out,) = served.run.predict([str(served.path)])
    (translated,) = served.run.predict([str(served.path)], to="en")
    with listen(served.app) as address:
        client = hub.InferenceClient(f"{address}/v1/tasks/automatic-speech-recognition")

        def write(**given: Any) -> Any:
            return client.automatic_speech_recognition(served.sound, extra_body=given or None)

        assert write().text == found_out.text != ""
        told = write(generation_parameters={"language": "en"})
        assert told.text == wanted.text and told.chunks
        assert not write(return_timestamps=False).chunks
        assert write(generate_kwargs={"task": "translate"}).text == translated.text


@pytest.mark.parametrize(
    ("more", "content", "words"),
    [
        ({}, b"no sound at all", "a.wav is not a sound file"),
        ({}, b"", "is empty"),
        ({"response_format": "xml"}, None, "response_format is 'xml'"),
        ({"temperature": "7"}, None, "temperature must be"),
        ({"language": "xx"}, None, "Unknown language 'xx'"),
        ({"stream": "true"}, None, "not streamed"),
        ({"volume": "11"}, None, "no field 'volume'"),
    ],
)
def test_bad_requests_are_said(
    served: SimpleNamespace, more: dict[str, str], content: bytes | None, words: str
) -> None:
    sound = served.sound if content is None else content
    answer = served.client.post(
        "/v1/audio/transcriptions",
        files={"file": ("a.wav", io.BytesIO(sound))},
        data={"model": "whisper", **more},
    )
    assert answer.status_code == 400 and words in answer.json()["error"]["message"]


def test_a_file_and_a_known_model_are_needed(served: SimpleNamespace) -> None:
    post = served.client.post
    answer = post("/v1/audio/transcriptions", data={"model": "whisper"})
    assert answer.status_code == 400 and "file is missing" in answer.json()["error"]["message"]
    files = {"file": ("a.wav", served.sound)}
    answer = post("/v1/audio/transcriptions", files=files, data={"model": "other"})
    assert answer.status_code == 404
    assert served.client.get("/health").status_code == 200


def test_captions_have_clocks() -> None:
    segments = [{"start": 3.5, "end": 3725.04, "text": "a"}, {"start": 1, "end": 2, "text": "b"}]
    assert captions(segments, "srt") == (
        "1\n00:00:03,500 --> 01:02:05,040\na\n\n2\n00:00:01,000 --> 00:00:02,000\nb\n"
    )
    assert captions(segments[:1], "vtt") == "WEBVTT\n\n00:00:03.500 --> 01:02:05.040\na\n"
