"""Test files of the Marian toolkit: what is read of them computes the same, and bad ones do not."""

from __future__ import annotations

import json
import pickle
import struct
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import marian_toys
import numpy as np
import pytest
import torch
from marian_toys import ROWS, VOCABULARY, Reference

from triptych.convert import export_run, import_folder
from triptych.errors import RunError
from triptych.inference.loading import load
from triptych.interchange import marian_file, marian_files, sentencepiece_file
from triptych.interchange.flat_yaml import read_flat, read_numbers
from triptych.presets import configure
from triptych.runs.run import Run
from triptych.runs.storage import read_tensors

TEXTS = ["the cat sat on the mat", "a dog", "what is on the mat?", "3 birds and 10 dogs see a cat"]
PIECES = [one.text for one in sentencepiece_file.read(VOCABULARY).pieces]
END, UNKNOWN = PIECES.index("</s>"), PIECES.index("<unk>")
ATTENTION = {"transformer_decoder_autoreg": "self-attention"}
MODEL = "model.ende.intgemm.bin"


@pytest.mark.parametrize(
    ("kind", "changed"),
    [
        ("intgemm8 of Bergamot", {}),
        ("intgemm8", {}),
        ("intgemm16", {}),
        ("float32", ATTENTION),
        ("float16", {}),
        ("npz", {}),
        ("npz", ATTENTION),
    ],
)
def test_logits_and_answers_are_those_of_marian(
    tmp_path: Path, kind: str, changed: dict[str, Any]
) -> None:
    meant = marian_toys.write(tmp_path / "there", kind, **changed)
    certificate = import_folder(tmp_path / "there", tmp_path / "run")
    is_dequantised = any("Dequantised" in one for one in certificate.lines())
    assert is_dequantised == kind.startswith("intgemm")
    own = Run(tmp_path / "run")
    table = tomllib.loads((own.path / "recipe.toml").read_text())["model"]
    assert configure(table.pop("preset"), table).stacks == own.read_config().model.stacks
    reference = Reference(meant, 1e-5 if changed else 1e-9)
    predictor = load(tmp_path / "run")
    source = predictor.tokenizers.source
    given = [source.source_of(source.encode(text)) for text in TEXTS]
    assert all(ids[-1] == END for ids in given) and source.starts() == [ROWS]
    targets = [[5, 9, 7], [], [41, END, 33, 4, 4, 12], [8]]
    model: Any = predictor.model
    states = model(
        source=torch.tensor(sum(given, [])),
        source_lengths=torch.tensor([len(one) for one in given]),
        target=torch.tensor(sum(([ROWS, *one] for one in targets), [])),
        target_lengths=torch.tensor([1 + len(one) for one in targets]),
    )
    found = model.project(states).detach().numpy()
    assert found.shape[1] == ROWS + 1 and (found[:, ROWS] < -90).all()
    wanted = np.concatenate([reference.logits(*pair) for pair in zip(given, targets, strict=True)])
    assert np.abs(found[:, :ROWS] - wanted).max() < 1e-5 * max(1.0, np.abs(wanted).max())
    for ids, one in zip(given, predictor.predict(TEXTS, max_length=6), strict=True):
        answer: list[int] = []
        while len(answer) < 6 and END not in answer:
            last = reference.logits(ids, answer)[-1]
            last[UNKNOWN] = -np.inf
            answer.append(int(last.argmax()))
        assert list(one.tokens) == [token for token in answer if token != END]
        if max(one.tokens) < len(PIECES):
            spelt = "".join(PIECES[token] for token in one.tokens)
            assert one.text == spelt.replace("▁", " ").removeprefix(" ")


def test_a_model_is_named_by_its_file_and_has_a_tokenizer_json(tmp_path: Path) -> None:
    there = tmp_path / "there"
    marian_toys.write(there)
    import_folder(there / MODEL, tmp_path / "first")
    held = sentencepiece_file.read(VOCABULARY)
    vocabulary = [[one.text, one.score] for one in held.pieces]
    values = {
        "version": "1.0", "added_tokens": [], "normalizer": None, "post_processor": None,
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always",
                          "split": True},
        "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always",
                    "split": True},
        "model": {"type": "Unigram", "unk_id": held.unknown, "vocab": vocabulary},
    }  # fmt: skip
    (there / "vocab.ende.spm").unlink()
    (there / "tokenizer.json").write_text(json.dumps(values))
    import_folder(there, tmp_path / "second")
    texts = TEXTS[:3]
    first, second = (load(tmp_path / name).predict(texts) for name in ("first", "second"))
    assert [one.tokens for one in first] == [one.tokens for one in second]


def test_a_model_with_attention_becomes_one_of_transformers(tmp_path: Path) -> None:
    marian_toys.write(tmp_path / "there", "npz", **ATTENTION)
    import_folder(tmp_path / "there", tmp_path / "run")
    export_run(tmp_path / "run", tmp_path / "out")
    assert json.loads((tmp_path / "out" / "config.json").read_text())["model_type"] == "marian"
    import_folder(tmp_path / "out", tmp_path / "again")
    first, second = Run(tmp_path / "run"), Run(tmp_path / "again")
    assert first.read_config().model == second.read_config().model
    tensors = read_tensors(second.weights())
    for name, one in read_tensors(first.weights()).items():
        assert torch.equal(one, tensors[name]), name
    export_run(tmp_path / "run", tmp_path / "there2", "ctranslate2")
    import_folder(tmp_path / "there2", tmp_path / "third")
    assert Run(tmp_path / "third").read_config().model == first.read_config().model


def test_two_sides_have_the_numbers_of_a_vocabulary(tmp_path: Path) -> None:
    """As the archives of OPUS-MT: model.npz, decoder.yml, vocab.yml, source.spm, target.spm."""
    there, files = tmp_path / "there", VOCABULARY.parent
    numbers = [*json.loads((files / "vocab.json").read_text())]
    numbers = [one for one in numbers if one not in ("</s>", "<unk>", "<pad>", "<s>")]
    numbers = ["</s>", "<unk>", *numbers]
    own = marian_toys.tensors(False)
    extra = np.random.default_rng(1).normal(0, 0.3, (len(numbers), 16)).astype(np.float32)
    own |= {"Wemb": extra, "decoder_ff_logit_out_b": extra[:, :1].T}
    there.mkdir()
    rows = f"[{len(numbers)}, {len(numbers)}]"
    text = marian_toys.settings_text(dim_vocabs=rows, **ATTENTION)
    (there / "opus.spm32k.npz").write_bytes(marian_toys.npz(own, text))
    quoted = (json.dumps(one, ensure_ascii=place % 2 > 0) for place, one in enumerate(numbers))
    lines = (f"{one}: {place}\n" for place, one in enumerate(quoted))
    (there / "opus.spm32k.vocab.yml").write_text("".join(lines))
    (there / "decoder.yml").write_text(
        "models:\n  - opus.spm32k.npz\nvocabs:\n  - opus.spm32k.vocab.yml\n"
        "  - opus.spm32k.vocab.yml\nbeam-size: 6\nnormalize: 1\n"
    )
    for name in ("source.spm", "target.spm"):
        (there / name).write_bytes((files / name).read_bytes())
    import_folder(there, tmp_path / "run")
    predictor = load(tmp_path / "run")
    source, target = predictor.tokenizers.source, predictor.tokenizers.target
    assert source is not target and Run(tmp_path / "run").read_config().decoding["beams"] == 6
    pieces = {one.text for one in sentencepiece_file.read(VOCABULARY).pieces}
    assert all(numbers[one] in pieces for one in source.encode("the cat sat on the mat"))
    assert target.decode([len(numbers), *target.encode("die Katze")]) == "die Katze"
    assert source.starts() == [len(numbers)]
    reference = Reference(own, 1e-5)
    for text, one in zip(TEXTS, predictor.predict(TEXTS, beams=1, max_length=4), strict=True):
        last = reference.logits(source.source_of(source.encode(text)), list(one.tokens)[:-1])
        last[:, 1] = -np.inf
        assert last.argmax(1).tolist() == list(one.tokens)
        assert one.text == target.decode([len(numbers), *one.tokens])


def test_a_recurrent_decoder_stays_here(tmp_path: Path) -> None:
    marian_toys.write(tmp_path / "there")
    import_folder(tmp_path / "there", tmp_path / "run")
    for kind in ("huggingface", "ctranslate2"):
        with pytest.raises(RunError, match=r"decoder\.self_attention is 'ssru' instead of None"):
            export_run(tmp_path / "run", tmp_path / "out", kind)  # type: ignore[arg-type]


# Bad input ----------------------------------------------------------------------------------------

ROW = ("Wemb", 0x404, (2, 2), bytes(16))


def changed_bytes(content: bytes, place: int, value: int, width: int = 8) -> bytes:
    return content[:place] + value.to_bytes(width, "little") + content[place + width :]


WHOLE = marian_toys.packed([ROW, ("other", 0x404, (1, 2), bytes(8))])
BAD = {  # the bytes of a file -> what is said
    "its end": (WHOLE[:-1], r"ends at byte 536|fewer|ends at byte"),
    "its table": (WHOLE[:40], "names 64 bytes, more than its 40 bytes hold"),
    "too many": (changed_bytes(WHOLE, 8, 1 << 19), "names 16,777,216 bytes"),
    "a long name": (changed_bytes(WHOLE, 16, 900), "more than its"),
    "no name": (changed_bytes(WHOLE, 16, 4), "is not a name"),
    "dimensions": (changed_bytes(WHOLE, 32, 1 << 60), "Wemb has 1152921504606846976 dimensions"),
    "the size": (changed_bytes(WHOLE, 40, 1 << 50), "1,125,899,906,842,624 bytes instead of 16"),
    "a small size": (changed_bytes(WHOLE, 40, 8), "has 8 bytes instead of 16"),
    "more": (WHOLE + b"\0", "goes on for 1 bytes"),
    "a negative shape": (marian_toys.packed([("Wemb", 0x404, (-2, 2), bytes(16))]),
                         r"Wemb has the shape \(-2, 2\)"),
    "a bomb": (marian_toys.packed([("Wemb", 0x404, (1 << 30, 1 << 30), bytes(16))]),
               "has 16 bytes instead of 4,611,686,018,427,387,904"),
    "twice": (marian_toys.packed([ROW, ROW]), "holds Wemb twice"),
    "a packed type": (marian_toys.packed([("Wemb", 0x802, (2, 2), bytes(16))]),
                      r"not read here: packed16 \(Wemb\).*marian-conv"),
    "an unknown type": (marian_toys.packed([("Wemb", 0x777, (2, 2), bytes(16))]),
                        r"not read here: 0x777 \(Wemb\)"),
    "no settings": (WHOLE, "has no special:model.yml"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_no_number_of_a_file_is_believed(tmp_path: Path, case: str) -> None:
    content, said = BAD[case]
    (tmp_path / "model.bin").write_bytes(content)
    with pytest.raises(RunError, match=said):
        marian_files.read_model(tmp_path)


def test_a_multiplier_of_nothing(tmp_path: Path) -> None:
    text = marian_toys.settings_text()
    content, _ = marian_toys.binary(marian_toys.tensors(), "intgemm8", text)
    file = tmp_path / "model.bin"
    file.write_bytes(content)
    held = marian_file.read_file(file)
    start = held.reads["Wemb"].args[2] + ROWS * 16  # type: ignore[attr-defined]
    for value in (0.0, float("nan"), float("inf")):
        file.write_bytes(content[:start] + struct.pack("<f", value) + content[start + 4 :])
        with pytest.raises(RunError, match="Wemb is multiplied by"):
            held.tensor("Wemb")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"dec_cell": "gru"}, "dec-cell is 'gru', not ssru"),
        ({"transformer_decoder_autoreg": "average-attention"}, "average-attention"),
        ({"transformer_preprocess": "n", "ulr": "true"}, "ulr is True.*preprocess is 'n'"),
        ({"tied_embeddings_all": "false"}, "tied-embeddings-all is False"),
        ({"transformer_ffn_activation": "tanh"}, "transformer-ffn-activation is 'tanh'"),
        ({"dim_vocabs": "[43, 80]"}, r"dim-vocabs is \[43, 80\], but Wemb has 43 rows"),
        ({"dim_emb": "big"}, "d_model is 'big'"),
        ({"enc_depth": "1000000000"}, "layers"),
        ({"type": "s2s"}, "type is 's2s'"),
        ({"enc_depth": "4"}, "encoder.layers.3.self_attn.q_proj.weight' is missing"),
        ({"type": "{a: b}"}, "line 20.*not one value"),
        ({"type": "!!python/object:os.system"}, "line 20.*not one value"),
    ],
)
def test_settings_that_do_not_fit(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    there = tmp_path / "there"
    marian_toys.write(there)
    content, _ = marian_toys.binary(
        marian_toys.tensors(), "float32", marian_toys.settings_text(**changed)
    )
    (there / MODEL).write_bytes(content)
    with pytest.raises(RunError, match=said):
        import_folder(there, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_vocabularies_that_do_not_fit(tmp_path: Path) -> None:
    there = tmp_path / "there"
    marian_toys.write(there)
    (there / "config.intgemm8bitalpha.yml").unlink()
    second = there / "trgvocab.spm"
    second.write_bytes(VOCABULARY.read_bytes())
    with pytest.raises(RunError, match=r"two vocabularies, trgvocab.spm, vocab.ende.spm"):
        marian_files.read_model(there)
    second.unlink()
    (there / "vocab.ende.spm").write_bytes((VOCABULARY.parent / "bytes.model").read_bytes())
    with pytest.raises(RunError, match=r"has \d+ tokens, but the model has 43 rows"):
        marian_files.read_model(there)
    (there / "vocab.ende.spm").unlink()
    with pytest.raises(RunError, match="has no vocabulary"):
        marian_files.read_model(there)


def test_pickles_stay_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "marian"}')
    (tmp_path / "tokenizer.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps({"a": 1}))
    assert not marian_files.is_folder(tmp_path)
    with pytest.raises(RunError, match=r"pytorch_model.bin is a pickle, which can run any code"):
        import_folder(tmp_path, tmp_path / "run")


def npz(path: Path, name: str, values: Any, text: str = "type: transformer") -> Path:
    path.write_bytes(marian_toys.npz({name: values}, text))
    return path


def test_bad_npz(tmp_path: Path) -> None:
    file = tmp_path / "model.npz"
    with pytest.raises(RunError, match=r"Wemb.npy .* of type object does not fill"):
        marian_file.read_file(npz(file, "Wemb", np.array([[print]], dtype=object)))
    with pytest.raises(RunError, match=r"not read here: int64 \(Wemb\)"):
        marian_file.read_file(npz(file, "Wemb", np.zeros((2, 2), np.int64)))
    whole = npz(file, "Wemb", np.zeros((4, 4), np.float32)).read_bytes()
    longer = npz(file, "Wemb", np.zeros((4, 4), np.float32))
    with zipfile.ZipFile(longer) as archive:
        own = archive.read("Wemb.npy").replace(b"(4, 4)", b"(4, 9)")
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("Wemb.npy", own)
    with pytest.raises(RunError, match=r"\(4, 9\) of type float32 does not fill"):
        marian_file.read_file(file)
    file.write_bytes(whole[:-30])
    with pytest.raises(RunError, match="cannot be read"):
        marian_file.read_file(file)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("special:model.yml.npy", b"")
        archive.writestr("Wemb.npy", bytes(1 << 20))
    assert marian_files.is_folder(tmp_path)
    with pytest.raises(RunError, match="more than 20 times its size"):
        marian_files.read_model(tmp_path)


def test_flat_yaml() -> None:
    text = '# note\na: 1\nb-c: [1, "x", ]\nd:\n  - -2.5e3\n- \'it\'\'s\'\ne: ""\nf: a: b\n"▁x": ~\n'
    assert read_flat(text, "x.yml") == {
        "a": 1, "b-c": [1, "x", None], "d": [-2500.0, "it's"], "e": "", "f": "a: b", "▁x": None,
    }  # fmt: skip
    for bad in ("a: &x 1", "a: *x", "a:\n  b: 1", "a: |", "- 1", "a: 1\na: 2", "just words",
                "a: 'x", 'a: "\\u12"', "a: 1\n- 2"):  # fmt: skip
        with pytest.raises(RunError, match=r"x.yml, line \d"):
            read_flat(bad, "x.yml")
    assert read_numbers("\"</s>\": 0\n'': 1\n\"\\xE9\": 2\n:: 3\na: 4", "v") == {
        "</s>": 0, "": 1, "é": 2, ":": 3, "a": 4,
    }  # fmt: skip
    for bad in ("a", "a: b", "a: 1\na: 2", '"a: 1'):
        with pytest.raises(RunError, match=r"v, line \d"):
            read_numbers(bad, "v")
    with pytest.raises(RunError, match="larger than 1 MB"):
        read_flat("a" * (1 << 21), "x.yml")
