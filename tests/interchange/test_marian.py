"""Test a Marian with two SentencePiece files, and answers by the settings of published folders."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from odd_texts import ODD
from published_folders import TEXTS, library, write
from toys_of_both import BART, MARIAN, TOYS

from triptych.convert import export_run, import_folder
from triptych.data.tokenizers.sides import Tokenizers
from triptych.decoding.settings import SET_ONLY, DecodingSettings
from triptych.errors import RunError, UsageError
from triptych.inference.loading import load
from triptych.interchange import sentencepiece_file, sentencepiece_tokenizers
from triptych.runs.run import Run

FILES = Path(__file__).parent / "spm"  # make_spm.py
NUMBERS: dict[str, int] = json.loads((FILES / "vocab.json").read_text())
IDS = json.loads((FILES / "ids.json").read_text())
PAD, UNKNOWN, END = NUMBERS["<pad>"], NUMBERS["<unk>"], NUMBERS["</s>"]
KEPT = ("source.spm", "target.spm", "vocab.json")


def marian(path: Path, **generation: Any) -> Any:
    """Write the folder of a Marian as it is published, and return their model."""
    values = {**MARIAN, "vocab_size": len(NUMBERS), "pad_token_id": PAD, "eos_token_id": END,
              "bos_token_id": 0, "decoder_start_token_id": PAD}  # fmt: skip
    there = write(TOYS["marian"]._replace(values=values, scale=0.5), path)
    (path / "tokenizer.json").unlink()
    there.final_logits_bias[0, PAD] = 30.0  # the likeliest token, which must not be written
    there.save_pretrained(path)
    for name in KEPT:
        (path / name).write_bytes((FILES / name).read_bytes())
    (path / "tokenizer_config.json").write_text('{"source_lang": "en", "target_lang": "de"}')
    configure(there, path, bad_words_ids=[[PAD]], **generation)
    return there


def configure(there: Any, path: Path, **generation: Any) -> None:
    """Set their model's settings of answers, in its folder too."""
    for key, value in generation.items():
        setattr(there.generation_config, key, value)
    there.generation_config.save_pretrained(path)


def answered(there: Any, ids: list[int]) -> list[int]:
    """Return the tokens that their model writes by its settings, without begin and end."""
    return ranked(there, ids)[0][1]


def ranked(there: Any, ids: list[int]) -> list[tuple[float, list[int]]]:
    """Return the score and tokens of all answers of their beams, best first."""
    given, config = torch.tensor([ids]), there.generation_config
    beams = config.num_beams or 1
    found = there.generate(
        given,
        attention_mask=torch.ones_like(given),
        num_return_sequences=beams,
        return_dict_in_generate=True,
        output_scores=True,
    )
    scores = found.sequences_scores.tolist() if beams > 1 else [0.0]
    first = 1 + (config.forced_bos_token_id is not None)
    answers: list[tuple[float, list[int]]] = []
    for score, out in zip(scores, found.sequences[:, first:].tolist(), strict=True):
        ends = out.index(config.eos_token_id) if config.eos_token_id in out else len(out)
        answers.append((score, out[:ends]))
    return answers


def test_two_sides_have_the_numbers_of_one_vocabulary(tmp_path: Path) -> None:
    marian(tmp_path / "there")
    certificate = import_folder(tmp_path / "there", tmp_path / "run")
    assert not certificate.notes
    held = Tokenizers.load(tmp_path / "run")
    assert not held.shared and held.source.vocabulary_size == held.target.vocabulary_size
    for name, ours in (("source.spm", held.source), ("target.spm", held.target)):
        pieces = sentencepiece_file.read(FILES / name).pieces
        own = {NUMBERS[one.text] for one in pieces if one.text in NUMBERS}
        assert own < set(NUMBERS.values())
        for text, ids in zip(IDS["texts"], IDS[name], strict=True):
            if text == ODD[-1]:
                continue
            wanted = [NUMBERS.get(pieces[one].text, UNKNOWN) for one in ids]
            assert ours.encode(text) == wanted, text
            assert set(wanted) <= own
    only_target = next(one for one in NUMBERS if one.strip("▁") == "ö")
    assert held.source.encode("ö") != [NUMBERS[only_target]]
    assert held.source.source_of([7]) == [7, END] and held.target.starts() == [PAD]
    text = "die Katze saß auf der Matte"
    assert held.target.decode([PAD, *held.target.encode(text)]) == text


def test_bytes_and_merges_have_the_ids_of_sentencepiece() -> None:
    from test_conformance import held

    file = sentencepiece_file.read(FILES / "bytes.model")
    layout = sentencepiece_tokenizers.as_numbered(file)
    ours = held(json.dumps(sentencepiece_tokenizers.tokenizer_json(file, layout)))
    assert ours.encode_batch(IDS["texts"]) == IDS["bytes.model"]


def test_an_imported_marian_answers_as_theirs_and_is_given_back(tmp_path: Path) -> None:
    there = marian(tmp_path / "there", num_beams=4, max_length=24)
    import_folder(tmp_path / "there", tmp_path / "run")
    run = Run(tmp_path / "run")
    settings = run.read_config().decoding
    assert (settings["beams"], settings["max_length"]) == (4, 23)
    assert (settings["suppress_tokens"], settings["early_stopping"]) == ([PAD], False)
    predictor = load(run.path)
    source = predictor.tokenizers.source
    found = predictor.predict(TEXTS)
    for text, one in zip(TEXTS, found, strict=True):
        ids = source.source_of(source.encode(text))
        assert one.tokens == answered(there, ids), text
        assert PAD not in one.tokens
    configure(there, tmp_path / "there", num_beams=1)
    for text, one in zip(TEXTS, predictor.predict(TEXTS, beams=1), strict=True):
        assert one.tokens == answered(there, source.source_of(source.encode(text))), text
    export_run(run.path, tmp_path / "out")
    assert not (tmp_path / "out" / "tokenizer.json").exists()
    for name in KEPT:
        assert (tmp_path / "out" / name).read_bytes() == (FILES / name).read_bytes()
    import_folder(tmp_path / "out", tmp_path / "again")
    first, second = (
        dataclasses.replace(one.read_config(), name="") for one in (run, Run(tmp_path / "again"))
    )
    assert first == second
    assert (tmp_path / "again" / "tokenizer.source.json").read_text() == run.read_text(
        "tokenizer.source.json"
    )


def test_marian_reads_texts_as_its_own_tokenizer(tmp_path: Path) -> None:
    pytest.importorskip("sentencepiece")
    marian(tmp_path / "there")
    import_folder(tmp_path / "there", tmp_path / "run")
    export_run(tmp_path / "run", tmp_path / "out")
    held = Tokenizers.load(tmp_path / "run")
    theirs = library().MarianTokenizer.from_pretrained(tmp_path / "out")
    sides: tuple[tuple[str, Any, str], ...] = (
        ("source.spm", held.source, "text"),
        ("target.spm", held.target, "text_target"),
    )
    for name, ours, argument in sides:
        pieces = sentencepiece_file.read(FILES / name).pieces
        own = {END, *(NUMBERS[one.text] for one in pieces if one.text in NUMBERS)}
        for text in [*ODD[:-1], *TEXTS]:
            # theirs looks up what no piece of its side spells, and may find one of the other side
            ids = theirs(**{argument: text})["input_ids"]
            assert [*ours.encode(text), END] == [one if one in own else UNKNOWN for one in ids], (
                text
            )


BEAMS = {
    "plain": {"num_beams": 3, "max_length": 16},
    "as BART-CNN": {
        "num_beams": 4,
        "length_penalty": 2.0,
        "no_repeat_ngram_size": 3,
        "min_length": 6,
        "max_length": 22,
        "early_stopping": True,
    },
    "short": {"num_beams": 4, "length_penalty": 0.6, "max_new_tokens": 9},
    "greedy": {"no_repeat_ngram_size": 2, "max_length": 14, "suppress_tokens": [3, 186]},
    "goes on after as many answers as beams": {
        "num_beams": 3,
        "length_penalty": 2.0,
        "no_repeat_ngram_size": 2,
        "min_length": 5,
        "max_length": 19,
    },
}


def varied(there: Any, path: Path) -> None:
    """Make answers depend on what is read and written, so that beams do not tie, and end."""
    with torch.no_grad():
        for name, parameter in there.named_parameters():
            if "norm" in name:
                parameter.copy_(0.2 * parameter if name.endswith("bias") else 1 + parameter)
    there.final_logits_bias[0, there.config.eos_token_id] = 6.0
    there.save_pretrained(path)


@pytest.mark.parametrize("name", BEAMS)
def test_settings_of_answers_come_with_a_folder(tmp_path: Path, name: str) -> None:
    there = write(TOYS["bart"], tmp_path / "there")
    varied(there, tmp_path / "there")
    configure(there, tmp_path / "there", **BEAMS[name])
    import_folder(tmp_path / "there", tmp_path / "run")
    predictor = load(tmp_path / "run")
    source = predictor.tokenizers.source
    texts = [*TEXTS, "cat", "on the mat sat a cat", "other"]
    most = BEAMS[name].get("max_new_tokens", BEAMS[name].get("max_length", 0) - 1)
    apart = 0
    for text, one in zip(texts, predictor.predict(texts), strict=True):
        best, *others = ranked(there, source.source_of(source.encode(text)))
        ties = [tokens for score, tokens in (best, *others) if best[0] - score < 1e-4]
        if one.tokens not in ties:  # theirs may prefer an answer that is cut to one that ends
            assert not one.cut and len(best[1]) == most, text
            apart += 1
        elif (there.generation_config.num_beams or 1) > 1:
            assert one.score == pytest.approx(best[0], abs=1e-4)
    assert apart <= 1
    if name == "goes on after as many answers as beams":
        others = predictor.predict(texts, early_stopping=True)
        assert [one.tokens for one in others] != [one.tokens for one in predictor.predict(texts)]


def test_what_no_file_says_stays_and_what_is_not_read_is_named(tmp_path: Path) -> None:
    there = write(TOYS["bart"], tmp_path / "there")
    import_folder(tmp_path / "there", tmp_path / "run")
    settings = Run(tmp_path / "run").read_config().decoding
    assert settings == {
        key: value
        for key, value in dataclasses.asdict(DecodingSettings()).items()
        if key not in SET_ONLY
    }
    path = tmp_path / "there" / "generation_config.json"
    values = {**json.loads(path.read_text()), "num_beams": "4", "bad_words_ids": [[1, 2], [7]],
              "max_length": -1, "early_stopping": "never", "do_sample": True}  # fmt: skip
    path.write_text(json.dumps(values))
    certificate = import_folder(tmp_path / "there", tmp_path / "odd")
    for key in ("num_beams '4'", "bad_words_ids [1, 2]", "max_length -1", "do_sample True"):
        assert any(key in note for note in certificate.notes), key
    assert there.config.d_model == BART["d_model"]


# Damaged files ------------------------------------------------------------------------------------


DAMAGED: dict[str, tuple[str, bytes, str]] = {
    "truncated": ("source.spm", (FILES / "source.spm").read_bytes()[:-7], "whole SentencePiece"),
    "empty": ("source.spm", b"", "has no pieces"),
    "a size of 2 ** 60": ("target.spm", b"\x0a" + b"\xff" * 8 + b"\x0f", "in the midst of a field"),
    "an endless number": ("target.spm", b"\x0a" + b"\xff" * 30, "longer than ten bytes"),
    "a page": ("target.spm", b"<html>not found</html>", "whole SentencePiece"),
    "numbers": ("vocab.json", b'{"a": 1, "b": 1}', "a number of its own"),
    "a far number": ("vocab.json", b'{"a": 1, "b": 4000000000}', "a number of its own"),
    "negative": ("vocab.json", b'{"a": -1}', "a number of its own"),
    "a list": ("vocab.json", b"[1]", "not a JSON object"),
    "no end": ("vocab.json", b'{"a": 0}', "has no token </s>"),
    "more than the embedding": (
        "vocab.json",
        json.dumps({**NUMBERS, "far": len(NUMBERS) + 5}).encode(),
        "rows: these files are not of one model",
    ),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("marian") / "there"
    marian(path)
    return path


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_files(whole: Path, tmp_path: Path, name: str) -> None:
    for path in whole.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    file, content, said = DAMAGED[name]
    (tmp_path / file).write_bytes(content)
    with pytest.raises(RunError, match=said):
        import_folder(tmp_path, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_language_of_a_text_is_named_with_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from triptych.cli.main import main

    def code(arguments: list[str]) -> object:
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        return stopped.value.code

    write(TOYS["m2m100"], tmp_path / "there")
    import_folder(tmp_path / "there", tmp_path / "run")
    run = str(tmp_path / "run")
    texts: list[str] = []
    for language in ("de", "zh"):
        limits = ["--decoding.max-length", "12"]
        asked = ["translate", run, TEXTS[3], "--to", "de", "--from", language, *limits]
        assert code(asked) == 0
        texts.append(capsys.readouterr().out)
    predictor = load(run)
    answers = [
        predictor.predict(
            [{"source": TEXTS[3], "source_language": language}], to="de", max_length=12
        )
        for language in ("de", "zh")
    ]
    assert texts == [f"{one.text}\n" for (one,) in answers]
    write(TOYS["t5"], tmp_path / "t5")
    import_folder(tmp_path / "t5", tmp_path / "one")
    assert code(["predict", str(tmp_path / "one"), "a", "--from", "de"]) == 2
    assert "does not ask for it" in capsys.readouterr().err
    assert code(["translate", run, "a", "--to", "de", "--from", "xx"]) != 0
    assert "xx" in capsys.readouterr().err


def test_a_marian_of_several_languages_takes_one_with_to_or_by_a_tag(tmp_path: Path) -> None:
    pytest.importorskip("sentencepiece")
    there = marian(tmp_path / "there")
    tags = {one: len(NUMBERS) + place for place, one in enumerate((">>deu<<", ">>zho_Hant<<"))}
    there.resize_token_embeddings(len(NUMBERS) + len(tags))
    there.save_pretrained(tmp_path / "there")
    (tmp_path / "there" / "vocab.json").write_text(json.dumps({**NUMBERS, **tags}))
    configure(there, tmp_path / "there", bad_words_ids=[[PAD]])
    import_folder(tmp_path / "there", tmp_path / "run")
    predictor = load(tmp_path / "run")
    assert predictor.languages == {"source": [], "targets": ["deu", "zho_Hant"]}
    source = predictor.tokenizers.source
    configure(there, tmp_path / "there", max_new_tokens=12, num_beams=1)
    for tag, number in tags.items():
        language, text = tag.strip("<>"), TEXTS[1]
        wanted = answered(there, source.source_of([number, *source.encode(text)]))
        (one,) = predictor.predict([text], to=language, max_length=12, beams=1)
        (other,) = predictor.predict([f"{tag} {text}"], max_length=12, beams=1)
        assert one.tokens == other.tokens == wanted[:12], language
    with pytest.raises(UsageError, match="choose one with --to: deu, zho_Hant"):
        predictor.predict([f">>fra<< {TEXTS[1]}"])
    with pytest.raises(UsageError, match="'fra'.*Allowed: deu, zho_Hant"):
        predictor.predict([TEXTS[1]], to="fra")
    export_run(tmp_path / "run", tmp_path / "out")
    import_folder(tmp_path / "out", tmp_path / "again")
    assert load(tmp_path / "again").languages == predictor.languages
    theirs = library().MarianTokenizer.from_pretrained(tmp_path / "out")
    text = "the cat sat"
    assert theirs(f">>deu<< {text}").input_ids == source.source_of(
        [tags[">>deu<<"], *source.encode(text)]
    )
