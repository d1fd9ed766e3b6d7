"""An instruct model comes in as a chat with its own template, is tuned, and goes out again."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

sys.path.insert(0, str(Path(__file__).parent.parent / "tasks"))
from toy_published import STYLES, tokenizer_of

import triptych
from triptych.convert import export_run, import_folder
from triptych.errors import RunError, UsageError
from triptych.runs.run import Run

TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "hello <|im_end|> there"},
]


def folder(
    path: Path, style: str = "chatml", template: Any = None, place: str = "config", **config: Any
) -> Path:
    """Write a Llama as transformers does, with a tokenizer and a chat template."""
    text, *_, begin, ends = STYLES[style]
    tokenizer, backend = tokenizer_of(style)
    torch.manual_seed(3)
    numbers = list(tokenizer.end_ids)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=tokenizer.vocabulary_size,
            hidden_size=16,
            intermediate_size=24,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=256,
            bos_token_id=tokenizer.begin_id,
            eos_token_id=numbers if len(numbers) > 1 else numbers[0],
            tie_word_embeddings=True,
        )
    )
    with torch.no_grad():
        for name, one in model.named_parameters():
            one.normal_(std=0.3)
            if one.dim() == 1:
                one += 1
            elif "embed" in name:
                one *= 3
    model.save_pretrained(path)
    backend.save(str(path / "tokenizer.json"))
    values: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": begin,
        "eos_token": {"content": ends[0], "__type": "AddedToken"},
        **config,
    }
    if place == "config":
        values["chat_template"] = template or text
    else:
        (path / "chat_template.jinja").write_text(template or text)
    (path / "tokenizer_config.json").write_text(json.dumps(values))
    return path


@pytest.mark.parametrize(
    ("style", "place"), [("chatml", "config"), ("llama3", "file"), ("gemma", "config")]
)
def test_an_instruct_model_answers_as_there(tmp_path: Path, style: str, place: str) -> None:
    source = folder(tmp_path / "there", style, place=place)
    import_folder(source, tmp_path / "run")
    predictor = triptych.load(tmp_path / "run")
    assert predictor.task.name == "chat" and "system" in predictor.labels["roles"]
    model: Any = AutoModelForCausalLM.from_pretrained(source)
    tokenizer = AutoTokenizer.from_pretrained(source)
    talk = TALK if style == "llama3" else [*TALK[:1], {"role": "user", "content": "hello"}]
    if style == "llama3":  # what is typed is a text there too
        ids = tokenizer.apply_chat_template(
            talk, add_generation_prompt=True, return_dict=False, sanitize_control_tokens=True
        )
    else:
        ids = tokenizer.apply_chat_template(talk, add_generation_prompt=True, return_dict=False)
    with torch.no_grad():
        whole = model.generate(
            torch.tensor([ids]), max_new_tokens=24, do_sample=False, pad_token_id=0
        )[0].tolist()
    answer = predictor.predict([{"messages": talk}], max_length=24)[0]
    theirs = [one for one in whole[len(ids) :] if one not in predictor.tokenizers.target.end_ids]
    assert answer.tokens == theirs
    out = tmp_path / "out"
    export_run(tmp_path / "run", out)
    again = AutoTokenizer.from_pretrained(out)
    shown = [one.apply_chat_template(talk, tokenize=False) for one in (tokenizer, again)]
    assert shown[0] == shown[1]
    import_folder(out, tmp_path / "again")
    assert Run.open(tmp_path / "again").read_labels() == Run.open(tmp_path / "run").read_labels()


def test_the_token_after_an_answer_ends_it(tmp_path: Path) -> None:
    """Check a folder whose config.json names another end than the template writes."""
    source = folder(tmp_path / "there")
    for name in ("config.json", "generation_config.json"):
        values = json.loads((source / name).read_text())
        (source / name).write_text(json.dumps({**values, "eos_token_id": values["bos_token_id"]}))
    import_folder(source, tmp_path / "run")
    target = triptych.load(tmp_path / "run").tokenizers.target
    assert target.pieces(list(target.end_ids)) == ["<|endoftext|>", "<|im_end|>"]


def test_a_chat_is_tuned_with_an_adapter_and_goes_out(tmp_path: Path) -> None:
    import_folder(folder(tmp_path / "there"), tmp_path / "run")
    data = tmp_path / "talks.jsonl"
    answer = [{"role": "user", "content": "how are you?"}, {"role": "assistant", "content": "fine"}]
    data.write_text("".join(json.dumps({"messages": answer}) + "\n" for _ in range(4)))
    recipe = triptych.Recipe.parse(
        f"""
        [task]
        name = "chat"
        context = 128
        [data]
        train = "{data}"
        validation = "{data}"
        [model]
        start = "{tmp_path / "run"}"
        lora_rank = 6
        [batches]
        batch_tokens = 512
        [training]
        steps = 50
        learning_rate = 0.03
        schedule = "cosine"
        warmup_steps = 1
        """
    )
    for _ in triptych.train(recipe, out=tmp_path / "tuned"):
        pass
    tuned = triptych.load(tmp_path / "tuned")
    assert tuned.labels["template"]["jinja"] == STYLES["chatml"][0]
    assert tuned.predict([{"messages": answer[:1]}])[0].text == "fine"
    export_run(tmp_path / "tuned", tmp_path / "out")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    model: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    ids = tokenizer.apply_chat_template(answer[:1], add_generation_prompt=True, return_tensors="pt")
    with torch.no_grad():
        whole = model.generate(**ids, max_new_tokens=8, do_sample=False, pad_token_id=0)[0]
    assert tokenizer.decode(whole[ids["input_ids"].shape[1] :]) == "fine<|im_end|>"


def test_several_templates_and_those_that_are_wrong(tmp_path: Path) -> None:
    tools = "{{ 'tools ' + tools | tojson }}" + STYLES["chatml"][0]
    several = [
        {"name": "default", "template": STYLES["chatml"][0]},
        {"name": "tool_use", "template": tools},
    ]
    source = folder(tmp_path / "several", template=several)
    import_folder(source, tmp_path / "run")
    held = Run.open(tmp_path / "run").read_labels()["template"]
    assert held["jinja.tools"] == tools and held["eos_token"] == "<|im_end|>"
    predictor = triptych.load(tmp_path / "run")
    given = {"messages": TALK, "tools": [{"name": "x"}]}
    example = predictor.example(given, "x")
    (one,) = predictor.task.encode(example, predictor.tokenizers, predictor.labels, "use", None)
    shown = "".join(predictor.tokenizers.target.pieces(one.inputs["target"].tolist()[:20]))
    assert "tools" in shown
    for number, (template, fault) in enumerate(
        {
            "a\n{% if %}": r"tokenizer_config\.json is not valid Jinja at line 2",
            "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}": (
                "is stopped because it takes more than 1,000,000 steps"
            ),
            "a\n\n{{ none.x.y }}": "failed at line 3",
        }.items()
    ):
        wrong = folder(tmp_path / f"wrong{number}", template=template)
        with pytest.raises(RunError, match=fault):
            import_folder(wrong, tmp_path / "never")
        assert not (tmp_path / "never").exists()
    import_folder(wrong, tmp_path / "plain", "language-modelling")
    assert triptych.load(tmp_path / "plain").task.name == "language-modelling"
    ambiguous = [{**one, "name": one["name"] + "x"} for one in several]
    with pytest.raises(RunError, match="none is named default"):
        import_folder(folder(tmp_path / "two", template=ambiguous), tmp_path / "never")
    (source / "tokenizer_config.json").write_text("{}")
    with pytest.raises(UsageError, match="has no chat template"):
        import_folder(source, tmp_path / "never", "chat")
