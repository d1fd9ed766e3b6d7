"""A model in llama2.c's format as a run: the same numbers, the same ids, a real one that tells its
story; broken files are named.
"""

from __future__ import annotations

import os
import random
import struct
from pathlib import Path

import pytest
import torch
from torch.nn import functional

import toy_llama
from triptych.convert import export_run, import_folder, open_origin
from triptych.data.tokenizers import loading
from triptych.data.tokenizers.imported import ImportedTokenizer
from triptych.errors import RunError, UsageError
from triptych.inference.loading import load
from triptych.inference.predictor import Predictor
from triptych.interchange.llama2c import read_folder
from triptych.recipe.schema import Recipe
from triptych.runs.run import Run
from triptych.setup.job import prepare

STORY = (
    "Once upon a time, there was a little girl named Lily. She loved to play outside in the park. "
    "One day, she saw a big, red ball"
)
TEXTS = [
    "the cat and the cat",
    "",
    " ",
    "the  cat",
    "cat",
    "貓 the 狗",
    "a\tb\n<s> </s> <0x0A>",
    "thethethe hehe",
    "ndndnd and",
    "🙂",
]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return toy_llama.write(tmp_path / "toy")


def tokenizer_of(run: Path) -> ImportedTokenizer:
    found = loading.load(run / "tokenizer.json")
    assert isinstance(found, ImportedTokenizer)
    return found


def plain_logits(held: dict[str, torch.Tensor], ids: list[int]) -> torch.Tensor:
    """The forward pass of run.c, position by position: neighbours are turned, not halves."""
    width, _, layers, heads, key_heads, vocabulary, _ = toy_llama.HEADER
    head = width // heads

    def norm(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return weight * x / torch.sqrt((x * x).mean() + 1e-5)

    def turn(x: torch.Tensor, position: int) -> torch.Tensor:
        x = x.clone()
        for i in range(0, len(x), 2):
            angle = torch.tensor(position * 10000.0 ** (-(i % head) / head))
            a, b = x[i].clone(), x[i + 1].clone()
            x[i], x[i + 1] = a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()
        return x

    cache: list[list[tuple[torch.Tensor, torch.Tensor]]] = [[] for _ in range(layers)]
    rows = []
    for position, token in enumerate(ids):
        x = held["token_embedding_table"][token]
        for layer in range(layers):
            y = norm(x, held["rms_att_weight"][layer])
            query = turn(held["wq"][layer] @ y, position).view(heads, head)
            cache[layer].append(
                (
                    turn(held["wk"][layer] @ y, position).view(key_heads, head),
                    (held["wv"][layer] @ y).view(key_heads, head),
                )
            )
            mixed = []
            for number in range(heads):
                shared = number // (heads // key_heads)
                scores = torch.stack(
                    [query[number] @ key[shared] / head**0.5 for key, _ in cache[layer]]
                ).softmax(0)
                mixed.append(
                    sum(
                        score * value[shared]
                        for score, (_, value) in zip(scores, cache[layer], strict=True)
                    )
                )
            x = x + held["wo"][layer] @ torch.cat(mixed)  # type: ignore[arg-type]
            y = norm(x, held["rms_ffn_weight"][layer])
            x = x + held["w2"][layer] @ (
                functional.silu(held["w1"][layer] @ y) * (held["w3"][layer] @ y)
            )
        rows.append(
            held.get("wcls", held["token_embedding_table"]) @ norm(x, held["rms_final_weight"])
        )
    assert rows[0].shape == (vocabulary,)
    return torch.stack(rows)


@pytest.mark.parametrize("shared", [True, False])
def test_it_computes_what_run_c_computes(tmp_path: Path, shared: bool) -> None:
    source = toy_llama.write(tmp_path / "toy", shared)
    certificate = import_folder(source, tmp_path / "run")
    assert certificate.mapped == 9 * 2 + (2 if shared else 3) and set(certificate.ignored) == {
        "freq_cis_real",
        "freq_cis_imag",
    }
    predictor, ids = load(tmp_path / "run"), [1, 5, 260, 261, 270, 3, 262]
    with torch.no_grad():
        states = predictor.model(target=torch.tensor(ids), target_lengths=torch.tensor([len(ids)]))
        found = predictor.model.project(states)
    expected = plain_logits(toy_llama.tensors(shared), ids)
    assert (found - expected).abs().max() < 1e-4 * expected.abs().max()
    assert predictor.task.name == "language-modelling" and predictor.task.options["context"] == 32
    assert (
        Recipe.load(tmp_path / "run").model.config().decoder  # type: ignore[union-attr]
        == Run(tmp_path / "run").read_config().model.decoder  # type: ignore[union-attr]
    )


def test_tensors_come_back_bit_for_bit(source: Path, tmp_path: Path) -> None:
    held = read_folder(source)
    import_folder(source, tmp_path / "run")
    from triptych.runs.storage import read_tensors

    ours = read_tensors(tmp_path / "run" / "model.safetensors")
    there = held.names.to_theirs(ours)
    assert all(torch.equal(there[name], held.tensors[name]) for name in there) and len(there) == 20
    assert not torch.equal(
        ours["decoder.blocks.0.self_attention.query.weight"], held.tensors["wq.0"]
    )


def test_ids_are_those_of_the_greedy_merge(source: Path, tmp_path: Path) -> None:
    import_folder(source, tmp_path / "run")
    tokenizer, held, generator = (
        tokenizer_of(tmp_path / "run"),
        toy_llama.pieces(),
        random.Random(4),
    )
    drawn = [
        "".join(generator.choices("the andc\n貓狗é", k=generator.randrange(30))) for _ in range(200)
    ]
    for text in [*TEXTS, *drawn]:
        ids = tokenizer.encode(text)
        assert ids == toy_llama.encode(text, held), text
        assert tokenizer.decode([tokenizer.begin_id, *ids]) == text
        assert tokenizer.decode(ids) == (f" {text}" if text else "")
    assert tokenizer.begin_id == tokenizer.end_id == 1 and tokenizer.vocabulary_size == 276
    again = ImportedTokenizer.from_json(tokenizer.to_json())
    assert again.encode(TEXTS[0]) == tokenizer.encode(TEXTS[0]) and again.decode(
        [1, 271]
    ) == tokenizer.decode([1, 271])


def test_training_can_start_from_it(source: Path) -> None:
    assert open_origin(source, "language-modelling").read_config().task == "language-modelling"


def test_what_its_tokenizer_cannot_do_is_set_aside_and_said(source: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(
        "\n\n".join(f"the cat and {number}" for number in range(60)), encoding="utf-8"
    )
    values = {
        "task": {"name": "language-modelling", "context": 16},
        "data": {"train": str(tmp_path / "a.txt")},
        "model": {"start": str(source)},
        "batches": {"bpe_dropout": 0.1},
        "training": {"steps": 1},
    }
    for _ in range(2):  # the second goes on with the first
        said: list[str] = []
        prepared = prepare(
            Recipe.from_values(values),
            tmp_path / "run",
            resume=(tmp_path / "run").exists(),
            report=said.append,
        )
        assert prepared.recipe.batches.bpe_dropout == 0 and "bpe_dropout has no effect" in " ".join(
            said
        )
    for table, change in (
        ("task", {"fill_in_the_middle": 0.5, "context": 32}),
        ("model", {"start_layers": [0]}),
    ):
        wrong = {**values, table: {**values[table], **change}}
        with pytest.raises(
            UsageError,
            match=f"{source}( has no tag for prefix, suffix, middle| has no Transformer encoder)",
        ):
            # by the name that was given, not that of the copy that is read
            prepare(Recipe.from_values(wrong), tmp_path / "other")


def test_broken_files_are_named(source: Path, tmp_path: Path) -> None:
    model, tokenizer = source / "toy.bin", source / "tok276.bin"
    whole, pieces = model.read_bytes(), tokenizer.read_bytes()

    def refused(said: str) -> None:
        with pytest.raises(RunError, match=said):
            import_folder(source, tmp_path / "run")
        assert not (tmp_path / "run").exists()

    model.write_bytes(whole[:20])
    refused("toy.bin has 20 bytes, too few for its header")
    model.write_bytes(whole[:-600])
    refused(
        r"toy.bin \(.*\) is cut off within (rms_final_weight|w3|freq_cis_real) .*by its header it "
        r"has"
    )
    model.write_bytes(whole + b"1234")
    refused("4 more than the")
    model.write_bytes(struct.pack("<7i", 16, 24, 2, 3, 2, 276, 32) + whole[28:])
    refused("its header has width 16, inner width 24, layers 2, heads 3")
    model.write_bytes(struct.pack("<2i", 0x616B3432, 2) + whole[8:])
    refused("is of version 2 of this format; triptych reads version 0")
    model.write_bytes(whole)
    tokenizer.write_bytes(pieces[:-3])
    refused("tok276.bin ends within token 275 of 276")
    tokenizer.write_bytes(pieces[: pieces.index(b" cat") - 8])
    refused("tok276.bin ends after 265 of the model's 276 tokens")
    tokenizer.write_bytes(pieces + b"x")
    refused("continues for 1 bytes after the model's 276 tokens")
    tokenizer.write_bytes(pieces.replace(b" cat", b"\xff\xfe\xfd\xfc"))
    refused("token 265 is not UTF-8")
    tokenizer.write_bytes(toy_llama.tokenizer_bytes([*toy_llama.pieces()[:-1], (b" cat", 0.0)]))
    refused("holds 1 tokens twice, first ' cat'")
    model.unlink()
    refused("must hold one model and one tokenizer .*it holds tok276.bin")


def test_what_cannot_be_asked_of_it(source: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--task embedding is for an encoder"):
        import_folder(source, tmp_path / "run", "embedding")


# The real one -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stories(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(os.environ.get("TRIPTYCH_DATA", "nowhere")) / "stories260k"
    if not folder.is_dir():
        pytest.skip(
            "TRIPTYCH_DATA names no folder with stories260k, a pretrained model in llama2.c's "
            "format."
        )
    out = tmp_path_factory.mktemp("runs") / "stories260k"
    import_folder(folder, out)
    return out


@pytest.fixture(scope="module")
def teller(stories: Path) -> Predictor:
    return load(stories)


def test_it_tells_its_story(teller: Predictor) -> None:
    assert "".join(teller.stream("", max_length=200)).startswith(STORY)
    (written,) = teller.predict([""], max_length=40)
    assert STORY.startswith(written.text) and len(written.text) > 60
    cut = STORY.index(" play")
    (further,) = teller.predict([STORY[:cut]], max_length=12)
    assert STORY[cut:].startswith(further.text) and further.text.startswith(" play")


def test_its_ids_are_those_of_the_greedy_merge(stories: Path) -> None:
    held = toy_llama.read_pieces(Path(os.environ["TRIPTYCH_DATA"]) / "stories260k" / "tok512.bin")
    tokenizer, generator = tokenizer_of(stories), random.Random(5)
    letters = (
        "".join(sorted({character for piece, _ in held[259:] for character in piece.decode()}))
        + "  eeaatt貓"
    )
    drawn = ["".join(generator.choices(letters, k=generator.randrange(60))) for _ in range(150)]
    for text in [STORY, *TEXTS, *drawn, "............", "aaaaaaa", "loooool!!!!"]:
        assert tokenizer.encode(text) == toy_llama.encode(text, held), text


def test_the_library_transformers_tells_the_same(
    stories: Path, teller: Predictor, tmp_path: Path
) -> None:
    transformers = pytest.importorskip(
        "transformers", reason="transformers, the oracle of imports, is not installed"
    )
    assert export_run(stories, tmp_path / "out")[0] == "47 tensors as LlamaForCausalLM."
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out").eval()
    there = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    ids = there(STORY, return_tensors="pt")["input_ids"]
    assert ids[0].tolist() == [1, *teller.tokenizers.target.encode(STORY)]
    with torch.no_grad():
        expected = model(ids).logits[0]
        found = teller.model.project(
            teller.model(target=ids[0], target_lengths=torch.tensor([ids.shape[1]]))
        )
    assert (found - expected).abs().max() < 1e-4
    written = there.decode(
        model.generate(ids[:, :1], max_new_tokens=40, do_sample=False)[0], skip_special_tokens=True
    )
    assert written == teller.predict([""], max_length=40)[0].text
