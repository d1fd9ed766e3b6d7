"""LoRA adapters in the form of the library peft, out and in, on models with fused matrices too."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

sys.path.insert(0, str(Path(__file__).parent.parent / "tasks"))
from test_published_chat import folder
from toy_published import tokenizer_of

from triptych.convert import export_adapter, export_run, import_model, open_origin
from triptych.errors import RunError, UsageError
from triptych.interchange.peft import read_adapter
from triptych.model.lora import DOWN, SCALE, UP, merged
from triptych.recipe.schema import ModelTable, Recipe
from triptych.runs.run import Run
from triptych.runs.storage import read_tensors

IDS = torch.arange(5, 29)[None]


def gpt2(path: Path) -> Path:
    tokenizer, backend = tokenizer_of("chatml")
    torch.manual_seed(4)
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=tokenizer.vocabulary_size, n_embd=16, n_head=4, n_layer=2, n_positions=64
        )
    )
    with torch.no_grad():
        for one in model.parameters():
            one.normal_(std=0.3)
    model.config.bos_token_id = model.config.eos_token_id = 0
    model.generation_config.bos_token_id = model.generation_config.eos_token_id = 0
    model.save_pretrained(path)
    backend.save(str(path / "tokenizer.json"))
    return path


def tuned(start: Path, out: Path, targets: tuple[str, ...], seed: int = 1) -> Path:
    """Write a run as training with adapters leaves it, with adapters that are drawn."""
    origin, generator = Run.open(start), torch.Generator().manual_seed(seed)
    run = origin.copy_to(out)
    tensors = read_tensors(origin.weights())
    for name, weight in list(tensors.items()):
        parts = name.split(".")
        if "blocks" in parts and parts[-1] == "weight" and parts[-2] in targets:
            layer = name.removesuffix("weight")
            tensors[layer + DOWN] = torch.randn(3, weight.shape[1], generator=generator)
            tensors[layer + UP] = torch.randn(weight.shape[0], 3, generator=generator)
            tensors[layer + SCALE] = torch.tensor(0.7)
    run.write_model(tensors)
    table = ModelTable(start=str(start), lora_rank=3)
    recipe = Recipe(name="tuned", task={"name": origin.read_config().task}, model=table)
    run.write_recipe(recipe.to_toml())
    return out


def made(tmp_path: Path, kind: str) -> tuple[Path, Path, Path]:
    """Return the folder of the base, the run of it, and a run with adapters."""
    source = gpt2(tmp_path / "base") if kind == "gpt2" else folder(tmp_path / "base")
    import_model(source, tmp_path / "run")
    targets = ("query", "value", "output", "inner")
    return source, tmp_path / "run", tuned(tmp_path / "run", tmp_path / "tuned", targets)


def test_a_finished_run_has_added_its_adapters(tmp_path: Path) -> None:
    _, run, trained = made(tmp_path, "llama")
    whole = merged(read_tensors(Run.open(trained).weights()))
    finished = Run.open(trained).copy_to(tmp_path / "finished")
    finished.write_model(whole)
    export_adapter(finished.path, tmp_path / "adapter")
    import_model(tmp_path / "adapter", tmp_path / "again", base=run)
    held = read_tensors(Run(tmp_path / "again").weights())
    for name, tensor in whole.items():
        torch.testing.assert_close(held[name], tensor, atol=1e-5, rtol=1e-5)
    values = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert values["r"] == 3 and not values["rank_pattern"]
    name = next(one for one in whole if "norm" in one)
    finished.write_model({**whole, name: whole[name] + 1})
    with pytest.raises(RunError, match="more than adapters of rank 3, in .*norm"):
        export_adapter(finished.path, tmp_path / "never")


def with_adapter(source: Path, adapter: Path) -> Any:
    """The base with an adapter added by hand, as peft computes it."""
    model = AutoModelForCausalLM.from_pretrained(source)
    config = json.loads((adapter / "adapter_config.json").read_text())
    held = load_file(adapter / "adapter_model.safetensors")
    weights = dict(model.named_parameters())
    for layer in config["target_modules"]:
        down, up = (held[f"base_model.model.{layer}.lora_{part}.weight"] for part in ("A", "B"))
        rank = config["rank_pattern"].get(layer, config["r"])
        alpha = config["alpha_pattern"].get(layer, config["lora_alpha"])
        assert down.shape[0] == up.shape[1] == rank
        change = alpha / rank * (up @ down)
        weights[f"{layer}.weight"].data += change.T if config["fan_in_fan_out"] else change
    return model


@torch.no_grad()
def logits(model: Any) -> torch.Tensor:
    return model.eval()(input_ids=IDS).logits


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_an_adapter_goes_out_and_comes_in(tmp_path: Path, kind: str) -> None:
    source, run, trained = made(tmp_path, kind)
    notes = export_adapter(trained, tmp_path / "adapter")
    assert str(source) in notes[0]
    export_run(trained, tmp_path / "merged")
    wanted = logits(AutoModelForCausalLM.from_pretrained(tmp_path / "merged"))
    assert (wanted - logits(AutoModelForCausalLM.from_pretrained(source))).abs().max() > 0.1
    added = logits(with_adapter(source, tmp_path / "adapter"))
    torch.testing.assert_close(added, wanted, atol=1e-4, rtol=1e-5)
    # onto the base that it names, and onto the run of the base
    import_model(tmp_path / "adapter", tmp_path / "again")
    import_model(tmp_path / "adapter", tmp_path / "onto", base=run)
    added_up = Run(tmp_path / "merged-run")
    import_model(tmp_path / "merged", added_up.path)
    for one in ("again", "onto"):
        held, whole = (read_tensors(Run(p).weights()) for p in (tmp_path / one, added_up.path))
        assert held.keys() == whole.keys()
        for name, tensor in whole.items():
            torch.testing.assert_close(held[name], tensor, atol=1e-5, rtol=1e-5)
        assert Run.open(tmp_path / one).read_import()["adapter"]["layers"] > 0
    assert open_origin(tmp_path / "adapter", "chat").read_config().task in (
        "chat",
        "language-modelling",
    )


def test_rs_lora_and_patterns_are_read(tmp_path: Path) -> None:
    _, run, trained = made(tmp_path, "llama")
    export_adapter(trained, tmp_path / "adapter")
    path = tmp_path / "adapter" / "adapter_config.json"
    values = json.loads(path.read_text())
    layer = values["target_modules"][0]
    before = read_tensors(Run.open(run).weights())
    import_model(tmp_path / "adapter", tmp_path / "plain")
    path.write_text(json.dumps({**values, "use_rslora": True, "alpha_pattern": {layer: 9.0}}))
    import_model(tmp_path / "adapter", tmp_path / "rooted")
    plain, rooted = (read_tensors(Run(tmp_path / one).weights()) for one in ("plain", "rooted"))
    ratios = {
        round(float((rooted[name] - before[name]).norm() / (plain[name] - before[name]).norm()), 4)
        for name in before
        if not torch.equal(plain[name], before[name])
    }
    assert ratios == {round(math.sqrt(3), 4), round(9 / values["lora_alpha"] * math.sqrt(3), 4)}


def test_patterns_are_expressions_of_which_the_first_counts(tmp_path: Path) -> None:
    """As peft reads them: from the left, or after a dot, to the end of a layer's name."""
    _, _, trained = made(tmp_path, "llama")
    export_adapter(trained, tmp_path / "adapter")
    path = tmp_path / "adapter" / "adapter_config.json"
    values = json.loads(path.read_text())

    def scales(patterns: dict[str, float]) -> dict[str, float]:
        path.write_text(json.dumps({**values, "r": 3, "alpha_pattern": patterns}))
        return {layer: one[2] for layer, one in read_adapter(path.parent).layers.items()}

    usual, found = scales({}), scales({r"1\..*_proj": 6, "layers.*q_proj": 9, "_proj": 30})
    for layer, scale in found.items():
        wanted = 2.0 if ".1." in layer else 3.0 if "q_proj" in layer else usual[layer]
        assert scale == pytest.approx(wanted), layer
    for hostile in ("(a+)+", "(.*)*b", r"(a)\1", ".*" * 9, "(", "[", "a{2}{3}{4}{5}{6}"):
        with pytest.raises(RunError, match="alpha_pattern names layers by"):
            scales({hostile: 1})


def test_what_is_not_such_an_adapter_is_refused(tmp_path: Path) -> None:
    source, run, trained = made(tmp_path, "llama")
    adapter = tmp_path / "adapter"
    export_adapter(trained, adapter)
    path, weights = adapter / "adapter_config.json", adapter / "adapter_model.safetensors"
    values, held = json.loads(path.read_text()), load_file(weights)

    def refused(kind: type[Exception] = RunError, **more: Any) -> str:
        with pytest.raises(kind) as caught:
            import_model(adapter, tmp_path / "never", **more)
        assert not (tmp_path / "never").exists()
        return str(caught.value)

    for key, value in {"use_dora": True, "bias": "all", "peft_type": "IA3"}.items():
        path.write_text(json.dumps({**values, key: value}))
        assert f"{key} is {value!r}" in refused()
    path.write_text(json.dumps({**values, "lora_alpha": "much"}))
    assert "lora_alpha" in refused()
    path.write_text(json.dumps({**values, "base_model_name_or_path": "org/none"}))
    assert "adapter of org/none" in refused(UsageError)
    path.write_text(json.dumps(values))
    first = next(name for name in held if "lora_A" in name)
    save_file({name: one for name, one in held.items() if name != first}, weights)
    assert "pairs of lora_A and lora_B" in refused()
    save_file({**held, first: torch.randn(3, 5)}, weights)
    assert "5, in the base of" in refused()
    renamed = {name.replace("layers.0", "layers.7"): one for name, one in held.items()}
    save_file(renamed, weights)
    assert "layers.7.mlp" in refused() and "is not a layer of the base" in refused()
    weights.rename(adapter / "adapter_model.bin")
    assert "pickle" in refused()
    with pytest.raises(UsageError, match="--base is for an adapter"):
        import_model(source, tmp_path / "never", base=run)
    with pytest.raises(RunError, match="has no adapter"):
        export_adapter(run, tmp_path / "never")
    # a run that did not start from an imported model
    (run / "import.json").unlink()
    with pytest.raises(RunError, match="is not an imported model"):
        export_adapter(trained, tmp_path / "never")


def test_peft_reads_and_writes_the_same(tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    for kind in ("llama", "gpt2"):
        source, run, trained = made(tmp_path / kind, kind)
        export_adapter(trained, tmp_path / kind / "adapter")
        export_run(trained, tmp_path / kind / "merged")
        wanted = logits(AutoModelForCausalLM.from_pretrained(tmp_path / kind / "merged"))
        base = AutoModelForCausalLM.from_pretrained(source)
        model = peft.PeftModel.from_pretrained(base, tmp_path / kind / "adapter")
        torch.testing.assert_close(logits(model), wanted, atol=1e-4, rtol=1e-5)
        # and one that peft writes
        targets = ["c_attn", "c_proj"] if kind == "gpt2" else ["q_proj", "down_proj"]
        config = peft.LoraConfig(
            r=2, lora_alpha=5, target_modules=targets, fan_in_fan_out=kind == "gpt2",
            init_lora_weights=False, task_type="CAUSAL_LM",
        )  # fmt: skip
        theirs = peft.get_peft_model(AutoModelForCausalLM.from_pretrained(source), config)
        theirs.save_pretrained(tmp_path / kind / "theirs")
        import_model(tmp_path / kind / "theirs", tmp_path / kind / "read", base=run)
        export_run(tmp_path / kind / "read", tmp_path / kind / "out")
        ours = logits(AutoModelForCausalLM.from_pretrained(tmp_path / kind / "out"))
        torch.testing.assert_close(ours, logits(theirs), atol=1e-4, rtol=1e-5)
