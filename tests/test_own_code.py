"""Code of one's own is given on each call, stored by its hash, and never read from a run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import triptych
from triptych import own_code
from triptych.cli.main import run as command
from triptych.errors import RunError, UsageError
from triptych.model.build import build
from triptych.model.config import ModelConfig, StackConfig
from triptych.model.padded_attention import PaddedAttention

EXAMPLES = Path(__file__).parent.parent / "examples"
REVERSAL, OFF_BY_ONE = EXAMPLES / "reversal_task.py", EXAMPLES / "off_by_one_attention.py"
TINY = ["--model.preset", "transformer-tiny", "--model.width", "16", "--model.heads", "2",
        "--model.inner_width", "32", "--model.layers", "1", "--training.steps", "3"]  # fmt: skip
WORDS = ["red", "green", "blue", "dog", "cat", "tree"]


class Usual(PaddedAttention):
    """Weigh keys as the package does, the slow way."""

    def weigh(self, query, key, hidden, bias, scale):  # type: ignore[no-untyped-def]
        scores = scale * query @ key.transpose(2, 3)
        scores = scores if bias is None else scores + bias
        scores = scores if hidden is None else scores.masked_fill(hidden, float("-inf"))
        return scores.softmax(-1).nan_to_num(nan=0.0)


def config(positions: str = "rotary", **dials: object) -> ModelConfig:
    stack = StackConfig(layers=2, width=32, heads=4, key_heads=2, inner_width=48, dropout=0.0,
                        positions=positions, **dials)  # type: ignore[arg-type]  # fmt: skip
    return ModelConfig(encoder=stack, decoder=stack, vocabulary_size=40)


def inputs() -> dict[str, torch.Tensor]:
    lengths = {"source_lengths": torch.tensor([5, 3]), "target_lengths": torch.tensor([4, 6])}
    draw = torch.Generator().manual_seed(1)
    ids = {
        side: torch.randint(3, 40, (int(lengths[f"{side}_lengths"].sum()),), generator=draw)
        for side in ("source", "target")
    }
    return ids | lengths


@pytest.mark.parametrize("positions", ["rotary", "relative", "alibi"])
@pytest.mark.parametrize("window", [None, 3])
def test_an_own_attention_that_does_the_usual_equals_it(positions: str, window: int | None) -> None:
    shape = config(positions, attention_window=window)
    torch.manual_seed(2)
    usual, own = build(shape), build(shape, Usual)
    own.load_state_dict(usual.state_dict())
    for model in (usual, own):
        model(**inputs()).square().mean().backward()
    assert torch.allclose(usual(**inputs()), own(**inputs()), atol=1e-5)
    for (name, one), two in zip(usual.named_parameters(), own.parameters(), strict=True):
        if one.grad is not None:
            assert two.grad is not None and torch.allclose(one.grad, two.grad, atol=1e-5), name
    for kind in ("encoder", "decoder", "cross"):
        weights = [model.attention_weights(kind, **inputs()) for model in (usual, own)]  # type: ignore[arg-type]
        assert torch.allclose(weights[0], weights[1], atol=1e-5)


@pytest.mark.parametrize("positions", ["sinusoidal", "relative"])
def test_cached_steps_of_an_own_attention_equal_its_forward(positions: str) -> None:
    attention = own_code.read(OFF_BY_ONE).attention
    torch.manual_seed(3)
    model = build(config(positions, attention_window=3), attention).eval()  # type: ignore[arg-type]
    given = inputs()
    with torch.no_grad():
        whole = model.project(model(**given))
        memory = model.encode({name: given[name] for name in ("source", "source_lengths")})
        rows = torch.tensor([0, 0, 1, 1])  # two beams of each source
        state, first = model.start(memory, rows), 0
        for row, length in enumerate(given["target_lengths"].tolist()):
            del state
            state = model.start(memory, rows)
            for place in range(length):
                tokens = given["target"][first + place].expand(4, 1)
                logits, state = model.step(tokens, state)  # type: ignore[arg-type]
                for beam in (2 * row, 2 * row + 1):
                    assert torch.allclose(logits[beam, 0], whole[first + place], atol=1e-4)
            first += length


def test_weights_of_the_example_sum_to_less_than_one_and_hide_what_is_hidden() -> None:
    own = own_code.read(OFF_BY_ONE).attention
    assert own is not None
    module = own(StackConfig(width=8, heads=2))
    query = torch.randn(1, 2, 3, 4)
    hidden = torch.tensor([[False, True, True], [False, False, True], [True, True, True]])
    weights = module.weigh(query, query, hidden, None, 0.5)
    scores = 0.5 * query @ query.transpose(2, 3)
    wanted = scores[0, 0, 1, :2].exp() / (1 + scores[0, 0, 1, :2].exp().sum())
    assert torch.allclose(weights[0, 0, 1, :2], wanted) and not weights[..., hidden].any()


@pytest.fixture(scope="module")
def reversed_(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a task of one's own, and return its run."""
    folder = tmp_path_factory.mktemp("own")
    lines = [f"{a} {b} {c}\t{c} {b} {a}" for a in WORDS for b in WORDS for c in WORDS[:3]]
    (folder / "r.tsv").write_text("source\ttarget\n" + "\n".join(lines) + "\n")
    (folder / "r.toml").write_text(
        '[task]\nname = "reversal"\n[data]\ntrain = "r.tsv"\n[tokenizer]\nvocabulary_size = 300\n'
    )
    run = ["train", str(folder / "r.toml"), "--code", str(REVERSAL), "--out", str(folder / "run")]
    assert command([*run, *TINY]) == 0
    return folder / "run"


@pytest.fixture
def said(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    def call(*arguments: object) -> tuple[int, str]:
        code = command([str(one) for one in arguments])
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        return code, out + err

    return call


def test_a_task_of_one_s_own_is_trained_scored_and_used_with_its_file(
    reversed_: Path, said: Callable[..., tuple[int, str]]
) -> None:
    code, text = said("evaluate", reversed_, "--json", f"--code={REVERSAL}")
    line = next(line for line in text.splitlines() if line.startswith("{"))
    assert code == 0 and json.loads(line)["task"] == "reversal"
    assert said("predict", reversed_, "red dog", "--code", REVERSAL)[0] == 0
    model = triptych.load(reversed_, code=REVERSAL)
    assert model.task.name == "reversal" and own_code.current() is None
    stored = json.loads((reversed_ / "config.json").read_text())["code"]
    assert stored["file"] == "reversal_task.py" and len(stored["sha256"]) == 64


def test_a_run_with_own_code_is_refused_without_the_file_and_with_another(
    reversed_: Path, tmp_path: Path, said: Callable[..., tuple[int, str]]
) -> None:
    code, text = said("predict", reversed_, "red dog")
    assert code == 1 and "trained with the code of reversal_task.py" in text
    assert "--code reversal_task.py" in text
    changed = tmp_path / "reversal_task.py"
    changed.write_text(REVERSAL.read_text() + "# changed\n")
    code, text = said("predict", reversed_, "red dog", "--code", changed)
    assert code == 1 and "has the SHA-256" in text
    with pytest.raises(RunError, match=r"reversal_task\.py"):
        triptych.load(reversed_)
    code, text = said("train", reversed_, "--resume", "--training.steps", 4)
    assert code == 2 and "Unknown task 'reversal'" in text and "--code FILE.py" in text


def test_code_beside_a_run_or_named_in_a_recipe_is_never_executed(
    reversed_: Path, tmp_path: Path, said: Callable[..., tuple[int, str]]
) -> None:
    mark = tmp_path / "executed"
    run = tmp_path / "run"
    shutil.copytree(reversed_, run)
    evil = f"open({str(mark)!r}, 'w').close()\n" + REVERSAL.read_text()
    for name in ("reversal_task.py", "code.py", "modeling.py"):
        (run / name).write_text(evil)
    assert said("predict", run, "red dog")[0] == 1
    recipe = tmp_path / "r.toml"
    recipe.write_text(f'code = "{run / "reversal_task.py"}"\n')
    code, text = said("train", recipe, "--out", tmp_path / "x")
    assert code == 2 and "code" in text
    assert not mark.exists()


def test_own_attention_needs_its_file_again_and_has_no_effect_elsewhere(
    tmp_path: Path, said: Callable[..., tuple[int, str]]
) -> None:
    run, plain = tmp_path / "run", tmp_path / "plain"
    small = [*TINY, "--data.examples", "60", "--validation.examples", "4"]
    assert said("train", "phrasebook", "--code", OFF_BY_ONE, "--out", run, *small)[0] == 0
    assert said("translate", run, "The cat sleeps.", "--code", OFF_BY_ONE)[0] == 0
    assert "trained with the code of off_by_one_attention.py" in said("translate", run, "A cat.")[1]
    code, text = said("export", run, tmp_path / "out", "--code", OFF_BY_ONE)
    assert code == 1 and "no class" in text
    assert said("train", "phrasebook", "--out", plain, *small)[0] == 0
    code, text = said("translate", plain, "The cat sleeps.", "--code", OFF_BY_ONE)
    assert code == 0 and "had no effect" in text
    again = ["train", "phrasebook", "--out", plain, *small, "--resume", "--training.steps", "4"]
    code, text = said(*again, "--code", OFF_BY_ONE)
    assert code == 2 and "trained without code of your own" in text
    data = tmp_path / "few.tsv"
    data.write_text("source\ttarget\nThe cat sleeps.\t貓睡覺。\n")
    code, text = said(
        "compare", plain, run, "--code", OFF_BY_ONE, "--data", data, "--to", "zh-Hant"
    )
    assert code == 0, text
    compiled = ["translate", run, "A cat.", "--code", OFF_BY_ONE, "--decoding.compile", "true"]
    assert "not with one of your own" in said(*compiled)[1]


@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        ("a.txt", "", "must be Python code and end in .py"),
        ("a.py", "x = (\n", r"a\.py:1: the file cannot be run: SyntaxError"),
        ("a.py", "x = 1\n\n1 / 0\n", r"a\.py:3: the file cannot be run: ZeroDivisionError"),
        ("a.py", "import nowhere_at_all\n", r"a\.py:1: .*ModuleNotFoundError"),
        ("a.py", "x = 1\n", "gives neither TASKS"),
        ("a.py", "TASKS = ['reversal']\n", "TASKS must be a list of TaskSpec"),
        ("a.py", "ATTENTION = print\n", "ATTENTION must be a subclass of PaddedAttention"),
        ("a.py", "class A: ...\nATTENTION = A\n", "must be a subclass of PaddedAttention"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_its_line(
    tmp_path: Path, name: str, text: str, wanted: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=wanted), own_code.given(tmp_path / name):
        pass


def test_missing_files_values_and_taken_names_are_told(
    tmp_path: Path, said: Callable[..., tuple[int, str]]
) -> None:
    assert "cannot be read" in said("info", "--code", tmp_path / "none.py")[1]
    assert said("info", "--code")[1].startswith("triptych: --code needs a file")
    taken = tmp_path / "taken.py"
    taken.write_text(REVERSAL.read_text().replace('"reversal"', '"translation"'))
    code, text = said("train", "phrasebook", "--code", taken, "--print-config")
    assert code == 2 and "a task is called 'translation', as one of triptych" in text


def test_text_after_two_hyphens_is_no_option(
    reversed_: Path, said: Callable[..., tuple[int, str]]
) -> None:
    assert said("predict", reversed_, "--code", REVERSAL, "--", "--code", "x.py")[0] == 0


def test_a_file_that_ends_the_program_or_needs_another_is_explained(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("x = 1\n")
    for text, wanted in (
        ("import sys\n\nsys.exit(0)\n", r"a\.py:3: .*it ends the program \(sys\.exit\)"),
        ("raise SystemExit\n", r"a\.py:1: .*under if __name__ =="),
        (
            "import helper\n",
            r"a\.py:1: .*helper is beside the file.*Move what is needed into a\.py",
        ),
    ):
        (tmp_path / "a.py").write_text(text)
        with pytest.raises(UsageError, match=wanted), own_code.given(tmp_path / "a.py"):
            pass


def test_what_a_file_prints_stays_out_of_the_results(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    loud = REVERSAL.read_text() + "\nimport sys\nprint('loading')\nsys.stdout.write('still\\n')\n"
    (tmp_path / "loud.py").write_text(loud)
    capfd.readouterr()
    assert command(["info", "gpt2", "--json", "--code", str(tmp_path / "loud.py")]) in (0, 2)
    captured = capfd.readouterr()
    assert "loading" in captured.err and "still" in captured.err
    assert "loading" not in captured.out and "still" not in captured.out
    with own_code.given(tmp_path / "loud.py"):  # in a program, print is print
        assert "loading" in capfd.readouterr().out


def test_an_error_within_the_file_is_not_called_ours(
    reversed_: Path, said: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    code = own_code.read(REVERSAL, aside=True)
    (spec,) = code.tasks.values()
    scope = next(one for one in vars(spec).values() if hasattr(one, "__globals__")).__globals__

    def fail(*values: object, **more: object) -> None:
        exec("def inner():\n    1 / 0\ninner()", scope)

    monkeypatch.setattr("triptych.inference.predictor.Predictor.answer", fail)
    status, text = said("predict", reversed_, "red dog", "--code", REVERSAL)
    assert status == 1 and "ZeroDivisionError" in text and "The file of --code failed" in text


def test_a_file_given_twice_is_refused(said: Callable[..., tuple[int, str]]) -> None:
    status, text = said("info", "--code", REVERSAL, f"--code={OFF_BY_ONE}")
    assert status == 2 and "--code is given several times" in text
    assert f"{REVERSAL} and {OFF_BY_ONE}" in text
    status, text = said("info", "--code", "--code", OFF_BY_ONE)
    assert status == 2 and "--code" in text


def test_python_is_told_how_to_give_the_file(reversed_: Path) -> None:
    with pytest.raises(RunError, match=r"in Python: code='reversal_task\.py'"):
        triptych.load(reversed_)
