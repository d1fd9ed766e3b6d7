"""Test that what `init --exportable` drafts is computed by a class of the library transformers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from exportable_kinds import KINDS, drafted, exported, trained

from triptych.cli.main import run as run_command
from triptych.convert import chat_template, export_run
from triptych.data.batches.encoded import collate
from triptych.data.tokenizers.subwords import Tokenizer
from triptych.inference.loading import load
from triptych.inference.predictor import Predictor
from triptych.model.heads.tokens import output_of
from triptych.recipe.schema import Recipe
from triptych.setup.draft import measured
from triptych.tasks.turns import TEMPLATES, ChatTemplate

Command = Callable[..., SimpleNamespace]
Folders = Callable[[str], tuple[Predictor, Any, Any]]
NEAR = 1e-4
SLOW = pytest.mark.slow  # recipes that another kind has but for a setting


@pytest.fixture(scope="module", autouse=True)
def quick() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            measured, "measured_speed", lambda *given, **named: measured.Measured(1e5, 1.0)
        )
        yield


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """Return a kind's run, and its model and tokenizer in the library transformers."""
    transformers = pytest.importorskip(
        "transformers", reason="transformers, the oracle of exports, is not installed"
    )
    made: dict[str, tuple[Predictor, Any, Any]] = {}

    def call(name: str) -> tuple[Predictor, Any, Any]:
        if name not in made:
            run, there = exported(KINDS[name], tmp_path_factory.mktemp("kinds") / "one")
            model, info = getattr(transformers, KINDS[name].architecture).from_pretrained(
                there, output_loading_info=True
            )
            assert not any(info[key] for key in ("missing_keys", "unexpected_keys")), info
            tokenizer = transformers.AutoTokenizer.from_pretrained(there)
            made[name] = load(run), model.eval(), tokenizer
        return made[name]

    return call


def ours(predictor: Predictor, given: Any) -> tuple[list[int], Any, dict[str, torch.Tensor]]:
    """Return the ids of a text, the output of the head, and its inputs."""
    (one,), _ = predictor.encode(predictor.example(given))
    inputs = collate([one]).inputs
    with torch.no_grad():
        return (
            one.inputs["source"].tolist(),
            output_of(predictor.model, predictor.head, inputs),
            inputs,
        )


def theirs(model: Any, tokenizer: Any, *texts: Any, **how: Any) -> tuple[list[int], Any]:
    """Return the ids of a text there, and the output of the model."""
    # Beside a longer text, so that padding takes part.
    batch = {key: value[0] for key, value in tokenizer(*texts, **how, return_tensors="pt").items()}
    longer = {key: [int(key != "token_type_ids")] * 90 for key in batch}
    padded = tokenizer.pad([batch, longer], return_tensors="pt")
    with torch.no_grad():
        return batch["input_ids"].tolist(), model(**padded)


@pytest.mark.parametrize("name", ["label", pytest.param("labels", marks=SLOW), "value"])
def test_a_class_of_a_text(name: str, folders: Folders) -> None:
    predictor, model, tokenizer = folders(name)
    text = "Zoe met Ivo, 佐 and <end> all"
    ids, found, _ = ours(predictor, text.replace("<end>", "end"))
    there, output = theirs(model, tokenizer, text.replace("<end>", "end"))
    assert ids == there
    assert (found.logits[0] / found.temperature - output.logits[0]).abs().max() < NEAR
    kinds = {"label": "single_label", "labels": "multi_label", "value": "regression"}
    assert model.config.problem_type.startswith(kinds[name])
    if name == "label":
        (answer,) = predictor.predict([text.replace("<end>", "end")])
        chances = output.logits[0].softmax(0)
        assert answer.text == model.config.id2label[int(chances.argmax())]
        assert answer.score == pytest.approx(chances.max().item(), abs=NEAR)


def test_a_class_of_two_texts(folders: Folders) -> None:
    predictor, model, tokenizer = folders("pair")
    ids, found, _ = ours(predictor, {"text": "Mia came", "text_pair": "and Max too"})
    there, output = theirs(model, tokenizer, "Mia came", "and Max too")
    assert ids == there
    assert (found.logits[0] / found.temperature - output.logits[0]).abs().max() < NEAR


@pytest.mark.parametrize(
    "name",
    [
        "spans",
        pytest.param("parts of speech", marks=SLOW),
        pytest.param("glued words", marks=SLOW),
        "characters",
    ],
)
def test_tags_of_words(name: str, folders: Folders) -> None:
    predictor, model, tokenizer = folders(name)
    if predictor.labels["spaces"] == "text":  # words without spaces between them: a text as it is
        text = "U.S. Zoe's met, can't (Tom), 米山來了Zoe 雨 a.b@c.org 10:30."
        ids, found, inputs = ours(predictor, text)
        there, output = theirs(model, tokenizer, text)
    else:
        words = ["Zoe", "met", "unhappy", "Mia", "."]
        ids, found, inputs = ours(predictor, " ".join(words))
        there, output = theirs(model, tokenizer, words, is_split_into_words=True)
    starts = inputs["word_starts"].bool()
    assert ids == there and int(starts.sum()) > 4
    assert (found.scores - output.logits[0][: len(ids)][starts]).abs().max() < NEAR
    assert list(model.config.id2label.values()) == predictor.labels["names"]


@pytest.mark.parametrize("name", ["questions", pytest.param("questions by character", marks=SLOW)])
def test_a_span_of_a_passage(name: str, folders: Folders) -> None:
    predictor, model, tokenizer = folders(name)
    question, passage = "Who met Lea 莉?", "At noon 中午的時候 Tom met Lea."
    ids, found, _ = ours(predictor, {"question": question, "passage": passage})
    there, output = theirs(model, tokenizer, question, passage)
    assert ids == there
    possible = found.isfinite().all(-1)
    both = torch.stack([output.start_logits[0], output.end_logits[0]], -1)[: len(ids)]
    assert int(possible.sum()) > 9 and (found - both)[possible].abs().max() < NEAR


def test_words_that_are_masked(folders: Folders) -> None:
    predictor, model, tokenizer = folders("masked words")
    ids, found, inputs = ours(predictor, "Tom met [MASK] at noon")
    there, output = theirs(model, tokenizer, f"Tom met{tokenizer.mask_token} at noon")
    assert ids == there
    masked = output.logits[0][: len(ids)][inputs["masked"].bool()]
    assert len(masked) == 1 and (found.logits - masked).abs().max() < NEAR


def written_there(model: Any, ids: list[int], **how: Any) -> list[int]:
    """Return the greedy continuation there."""
    with torch.no_grad():
        made = model.generate(torch.tensor([ids]), do_sample=False, num_beams=1, **how)[0].tolist()
    return made if model.config.is_encoder_decoder else made[len(ids) :]


def written_here(predictor: Predictor, ids: list[int], most: int) -> list[int]:
    """Return the greedy continuation here, begin token and end included."""
    memory, made = None, ids
    if predictor.task.spec.architecture == "encoder-decoder":
        inputs = {"source": torch.tensor(ids), "source_lengths": torch.tensor([len(ids)])}
        memory, made = predictor.model.encode(inputs), [0]
    state, first = predictor.model.start(memory, 1), len(made)
    with torch.no_grad():
        logits, state = predictor.model.step(torch.tensor([made]), state)
        while len(made) - first < most and made[first:][-1:] != [1]:
            made = [*made, int(logits[0, -1].argmax())]
            logits, state = predictor.model.step(torch.tensor([made[-1:]]), state)
    return made[0 if memory is not None else first :]


@pytest.mark.parametrize(
    "name", ["translation", "two scripts", pytest.param("summarization", marks=SLOW)]
)
def test_a_text_from_a_text(name: str, folders: Folders) -> None:
    predictor, model, tokenizer = folders(name)
    text = "Max met Zoe at noon."
    (one,), _ = predictor.encode(predictor.example(text))
    ids, target = one.inputs["source"], torch.tensor([0, 270, 41, 7])
    assert ids.tolist() == tokenizer(text)["input_ids"]
    with torch.no_grad():
        found = predictor.model.project(
            predictor.model(
                torch.from_numpy(ids), torch.tensor([len(ids)]), target, torch.tensor([4])
            )
        )
        given = torch.from_numpy(ids)[None]
        output = model(input_ids=given, decoder_input_ids=target[None]).logits[0]
    assert (found - output).abs().max() < NEAR
    there = written_there(model, ids.tolist(), max_new_tokens=30)
    assert there == written_here(predictor, ids.tolist(), 30) and len(there) > 2
    answer = "Max met Zoe at noon."
    spelt = predictor.tokenizers.target.encode(answer)
    assert tokenizer.decode([0, *spelt, 1], skip_special_tokens=True) == answer
    assert model.generation_config.max_length == 1024  # not the 20 of the library


def test_a_text_that_goes_on(folders: Folders) -> None:
    predictor, model, tokenizer = folders("plain text")
    text = "Lea met"
    ids = tokenizer(text)["input_ids"]
    assert ids == predictor.tokenizers.target.prompt(text)
    with torch.no_grad():
        states = predictor.model(target=torch.tensor(ids), target_lengths=torch.tensor([len(ids)]))
        output = model(torch.tensor([ids])).logits[0]
    assert (predictor.model.project(states) - output).abs().max() < NEAR
    there = written_there(model, ids, max_new_tokens=25)
    assert there == written_here(predictor, ids, 25) and len(there) > 3


TALK = [
    {"role": "system", "content": "Be kind.\n"},
    {"role": "user", "content": " Did Mia meet Tom? "},
    {"role": "assistant", "content": 'Yes, "she" did {it} \\n: 是的。'},
    {"role": "user", "content": "When?\n\nWhere?"},
]


@pytest.mark.parametrize("messages", [TALK[1:2], TALK[:2], TALK[1:], TALK], ids=len)
def test_a_conversation_there_has_the_ids_that_it_has_here(
    messages: list[dict[str, str]], folders: Folders
) -> None:
    predictor, model, tokenizer = folders("chat")
    template = ChatTemplate(predictor.labels["template"])
    wanted, _ = template.conversation(messages, predictor.tokenizers.target, 512).prompt()
    found = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    tags = predictor.tokenizers.target.tags
    assert found == wanted and wanted[0] == 0 and wanted[-1] == tags["assistant"]
    assert set(tags.values()) <= set(tokenizer.all_special_ids)
    there = written_there(model, found, max_new_tokens=20)
    assert there == written_here(predictor, found, 20)


def test_a_mark_that_a_user_spells_stays_text_here(folders: Folders) -> None:
    """The library reads its special tokens anywhere, which the export says."""
    predictor, _, tokenizer = folders("chat")
    ours, mark = predictor.tokenizers.target, tokenizer.convert_ids_to_tokens(2)
    messages = [{"role": "user", "content": f"{mark} or <user>"}]
    template = ChatTemplate(predictor.labels["template"])
    wanted, _ = template.conversation(messages, ours, 512).prompt()
    special = set(ours.tags.values())
    assert [one for one in wanted if one in special] == [ours.tags["user"], ours.tags["assistant"]]
    assert ours.decode(wanted) == f"{mark} or <user>"
    there = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    assert len([one for one in there if one in special]) == 3


def test_a_role_without_a_form_is_refused_there(folders: Folders) -> None:
    _, _, tokenizer = folders("chat")
    with pytest.raises(Exception, match="No form for the role tool"):
        tokenizer.apply_chat_template([{"role": "tool", "content": "4"}])


@pytest.mark.parametrize(("kind", "joins"), [("code", True), ("bpe", False)])
def test_marks_that_join_with_a_text_are_told(kind: Any, joins: bool) -> None:
    """Signs beside each other are one piece of code: ")" of a text and "!" of a form."""
    tokenizer = Tokenizer.train(["a (why)! b (so)! c"] * 9, kind, 320)
    forms = {**TEMPLATES["text"], "user": "{content}!\n"}
    written = tokenizer.to_huggingface(end=False)
    assert chat_template.differs(forms, tokenizer, written) is joins
    assert not chat_template.differs(TEMPLATES["text"], tokenizer, written)


def test_a_template_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    code, recipe = drafted(KINDS["chat"], tmp_path)
    assert code == 0
    forms = 'system_form = "[{content}] 🙂\\n"\nuser_form = "Q \\"you\\": {content}\\n"'
    text = recipe.read_text(encoding="utf-8").replace('name = "chat"', f'name = "chat"\n{forms}')
    recipe.write_text(text, encoding="utf-8")
    run = trained(recipe, tmp_path / "run")
    assert run_command(["export", str(run), str(tmp_path / "there")]) == 0
    assert "borders of turns" not in capsys.readouterr().err
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "there")
    predictor = load(run)
    template = ChatTemplate(predictor.labels["template"])
    wanted, _ = template.conversation(TALK, predictor.tokenizers.target, 512).prompt()
    found = tokenizer.apply_chat_template(TALK, add_generation_prompt=True, return_dict=False)
    assert found == wanted


# What init says ----------------------------------------------------------------------------------


def about_export(recipe: Path) -> list[str]:
    return [line for line in recipe.read_text("utf-8").splitlines() if "triptych export" in line]


@pytest.mark.parametrize("name", list(KINDS))
def test_init_says_what_export_loses_and_no_more(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    kind = KINDS[name]
    code, recipe = drafted(kind, tmp_path)
    lines = [one for one in capfd.readouterr().err.splitlines() if one.startswith("Export: ")]
    assert code == 0
    if not kind.lost:
        assert not lines and not about_export(recipe)
    else:
        (line,), (comment,) = lines, about_export(recipe)
        assert kind.lost in comment and "--exportable" in comment
        assert "--exportable" in line and len(line) < 170  # the reasons are in the recipe
    recipe.unlink()
    code, recipe = drafted(kind, tmp_path, "--exportable")
    assert code == 0 and "Export: " not in capfd.readouterr().err
    assert about_export(recipe) == [
        f"# triptych export RUN FOLDER writes its run as {kind.architecture}."
    ]
    assert Recipe.load(recipe).model.config()


def test_a_task_without_a_class(triptych: Command, tmp_path: Path) -> None:
    file = tmp_path / "d.conllu"
    file.write_text(
        "".join(
            f"1\tRain{n}\t_\tNOUN\t_\t_\t2\tnsubj\t_\t_\n2\tfell\t_\tVERB\t_\t_\t0\troot\t_\t_\n\n"
            for n in range(40)
        )
    )
    given = ["init", "parsing", "--train", file, "--out", tmp_path / "d.toml"]
    done = triptych(*given, "--exportable")
    assert done.code == 2 and "no class for parsing" in done.err and "--exportable" in done.err
    assert not (tmp_path / "d.toml").exists()
    done = triptych(*given)
    assert done.code == 0 and "transformers has no class for parsing" in done.err
    assert "# triptych export cannot write a run" in (tmp_path / "d.toml").read_text()


def test_from_a_model_that_is_there_already(triptych: Command, tmp_path: Path) -> None:
    """Fine-tuning has a class where its start has one; a start without one is refused."""
    kind = KINDS["label"]
    (tmp_path / "base").mkdir()
    code, recipe = drafted(KINDS["masked words"], tmp_path / "base")
    run = trained(recipe, tmp_path / "base" / "run")
    assert code == 0
    code, recipe = drafted(kind, tmp_path, "--exportable", "--start", str(run))
    assert code == 0
    table = Recipe.load(recipe).task
    assert (table["pooling"], table["hidden"]) == ("first", True)
    recipe.unlink()
    config = json.loads((run / "config.json").read_text())
    config["model"]["encoder"]["gated"] = True
    (run / "config.json").write_text(json.dumps(config))
    code, recipe = drafted(kind, tmp_path, "--exportable", "--start", str(run))
    assert code == 2 and not recipe.exists()


def test_what_is_post_norm_is_a_marian(tmp_path: Path) -> None:
    """transformer-base, which init takes for very many pairs."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    code, recipe = drafted(KINDS["translation"], tmp_path)
    assert code == 0
    text = recipe.read_text("utf-8").replace("transformer-tiny", "transformer-base")
    recipe.write_text(text, encoding="utf-8")
    run = trained(recipe, tmp_path / "run")
    assert "MarianMTModel" in export_run(run, tmp_path / "there")[0]
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "there").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "there")
    ids = tokenizer("Tom met Mia.")["input_ids"]
    there = written_there(model, ids, max_new_tokens=12)
    assert there == written_here(load(run), ids, 12)
