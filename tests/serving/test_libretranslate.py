"""LibreTranslate's dialect: its own client, forms and JSON, files, languages."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.testclient import TestClient
from toy_runs import translator

from triptych.inference.engine.engine import Engine
from triptych.inference.engine.scheduler import Scheduler
from triptych.serving import languages, markup
from triptych.serving.app import build_app
from triptych.serving.served import Served

SRT = "1\n00:00:01,000 --> 00:00:02,000\nhello there\n\n2\n00:00:03,000 --> 00:00:04,000\n♪\n\n"


def test_a_text_is_translated_as_predict_does(client: TestClient, runs: SimpleNamespace) -> None:
    wanted = runs.translator.predict(["hello there"])[0].text
    body = {"q": "hello there", "source": "en", "target": "de"}
    assert client.post("/translate", json=body).json() == {"translatedText": wanted}
    assert client.post("/translate", data=body).json() == {"translatedText": wanted}
    several = client.post("/translate", json={**body, "q": ["hello there", "one"]}).json()
    assert several["translatedText"][0] == wanted and len(several["translatedText"]) == 2


def test_lines_stay_lines(client: TestClient, runs: SimpleNamespace) -> None:
    body = {"q": "  one\n\nhello", "source": "en", "target": "de"}
    one, hello = (found.text for found in runs.translator.predict(["one", "hello"]))
    assert client.post("/translate", json=body).json()["translatedText"] == f"  {one}\n\n{hello}"


def test_alternatives_are_other_translations(client: TestClient, runs: SimpleNamespace) -> None:
    best = runs.translator.predict(["hello"], beams=3, n_best=3)[0]
    body = {"q": "hello", "source": "en", "target": "de", "alternatives": 2}
    found = client.post("/translate", json=body).json()
    assert found["translatedText"] == best.text
    assert found["alternatives"] == [one.text for one in best.alternatives]


def test_a_source_is_detected(client: TestClient) -> None:
    pytest.importorskip("py3langid")
    body = {"q": "Where is the station, please?", "source": "auto", "target": "de"}
    found = client.post("/translate", json=body).json()["detectedLanguage"]
    assert found["language"] == "en" and found["confidence"] > 50
    told = client.post("/detect", data={"q": "Wo ist denn hier der Bahnhof?"}).json()
    assert told[0]["language"] == "de" and 50 < told[0]["confidence"] <= 100
    assert client.post("/detect", json={"q": "123"}).json() == []


def test_languages_are_listed(client: TestClient) -> None:
    assert client.get("/languages").json() == [{"code": "en", "name": "English", "targets": ["de"]}]
    assert client.get("/frontend/settings").json()["supportedFilesFormat"] == [
        ".txt", ".srt", ".vtt",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "status", "named"),
    [
        ({"target": "fr"}, 400, "target is 'fr'"),
        ({"source": "zh"}, 400, "source is 'zh'"),
        ({"alternatives": 1000}, 400, "alternatives"),
        ({"format": "pdf"}, 400, "format"),
        ({"q": None}, 400, "q"),
    ],
)
def test_errors_are_one_text(
    client: TestClient, change: dict[str, Any], status: int, named: str
) -> None:
    body = {"q": "hello", "source": "en", "target": "de", **change}
    answer = client.post("/translate", json=body)
    assert answer.status_code == status and named in answer.json()["error"]
    raw = client.post("/translate", content=b"{", headers={"content-type": "application/json"})
    assert raw.status_code == 400 and list(raw.json()) == ["error"]


def test_html_keeps_its_markup(client: TestClient, runs: SimpleNamespace) -> None:
    text = '<p class="a&amp;b">hello<br/><b>one</b></p><script>if (1 < 2) {}</script><!-- x -->'
    hello, one = (found.text for found in runs.translator.predict(["hello", "one"]))
    body = {"q": text, "source": "en", "target": "de", "format": "html"}
    found = client.post("/translate", json=body).json()["translatedText"]
    wanted = text.replace("hello", markup.escaped(hello)).replace("one", markup.escaped(one))
    assert found == wanted


@pytest.mark.parametrize("name", ["a.txt", "a.srt"])
def test_a_file_is_translated(client: TestClient, runs: SimpleNamespace, name: str) -> None:
    hello = runs.translator.predict(["hello there"])[0].text
    given = "hello there\r\n\r\n" if name == "a.txt" else SRT
    answer = client.post(
        "/translate_file",
        data={"source": "en", "target": "de"},
        files={"file": (name, given.encode())},
    )
    address = answer.json()["translatedFileUrl"]
    found = client.get(address)
    shown = " ".join(hello.split()) if name == "a.srt" else hello
    assert found.content.decode() == given.replace("hello there", shown)
    assert f'filename="{name}"' in found.headers["content-disposition"]


def test_other_files_are_refused(client: TestClient) -> None:
    for name, raw, named in (
        ("a.pdf", b"%PDF", "a.pdf"),
        ("a.txt", b"\xff\xfe\xff", "not UTF-8"),
        ("a.srt", b"no cue", "a.srt"),
    ):
        answer = client.post("/translate_file", data={"target": "de"}, files={"file": (name, raw)})
        assert answer.status_code == 400 and named in answer.json()["error"]
    assert client.get("/download_file/unknown").status_code == 404


def test_more_lines_than_the_queue_holds(client: TestClient, runs: SimpleNamespace) -> None:
    wanted = runs.translator.predict(["one"])[0].text
    body = {"q": "one\n" * 300, "source": "en", "target": "de"}
    found = client.post("/translate", json=body)
    assert found.status_code == 200 and found.json()["translatedText"] == f"{wanted}\n" * 300
    assert client.post("/translate", json={**body, "q": "a\n" * 6000}).status_code == 413


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/translate", b"[" * 2000),
        ("/translate", rb'{"q": "a", "source": "\ud800", "target": "de"}'),
        ("/v1/tasks/translation", rb'{"inputs": "a", "parameters": {"\ud800": 1}}'),
        ("/v1/chat/completions",
         rb'{"model": "chat", "messages": [{"role": "\ud800", "content": "a"}]}'),
    ],
)  # fmt: skip
def test_hostile_bodies_are_refused(client: TestClient, path: str, content: bytes) -> None:
    headers = {"content-type": "application/json"}
    assert client.post(path, content=content, headers=headers).status_code == 400


def test_its_own_client(open_server: str, runs: SimpleNamespace) -> None:
    library = pytest.importorskip("libretranslatepy")
    found = library.LibreTranslateAPI(open_server)
    wanted = runs.translator.predict(["hello there"])[0].text
    assert found.translate("hello there", "en", "de") == wanted
    assert [one["code"] for one in found.languages()] == ["en"]


@pytest.fixture()
def several() -> Iterator[TestClient]:
    """Two translators: en -> de, and zh-TW -> en."""
    other = translator()
    other.labels["languages"] = {"source": ["zh-TW"], "targets": ["en"]}
    engines = {"en-de": Engine(translator()), "zh-en": Engine(other)}
    scheduler = Scheduler(list(engines.values()), threads=1).start()
    with TestClient(build_app(Served(engines)), base_url="http://localhost") as client:  # pyright: ignore
        yield client
    scheduler.close()


def test_languages_choose_the_run(several: TestClient) -> None:
    assert [one["code"] for one in several.get("/languages").json()] == ["en", "zh-TW"]
    body = {"q": "貓", "source": "zh", "target": "en"}
    assert several.post("/translate", json=body).status_code == 200
    answer = several.post("/translate", json={**body, "target": "de"})
    assert answer.status_code == 400 and "source is 'zh'" in answer.json()["error"]


def test_codes_are_spelt_in_several_ways() -> None:
    assert languages.spelt("pt", ["en", "pt-BR"]) == "pt-BR"
    assert languages.spelt("deu_Latn", ["de"]) == "de"
    assert languages.spelt("xx", ["de"]) is None
    assert languages.name_of("zh-TW") == "Chinese" and languages.name_of("pt_XX") == "Portuguese"


def test_files_are_not_kept_for_ever() -> None:
    from triptych.serving.files import KEPT_FILES, Files

    files = Files()
    keys = [files.add("a.txt", b"x") for _ in range(KEPT_FILES + 5)]
    assert len(files.held) == KEPT_FILES and keys[0] not in files.held and keys[-1] in files.held
