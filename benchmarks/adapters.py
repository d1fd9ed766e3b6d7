"""LoRA adapters beside the library peft: what one writes, the other reads, with the same logits.

    pip install --no-deps --target FOLDER peft accelerate psutil
    python benchmarks/adapters.py FOLDER

Bases are a Llama and a GPT-2 (whose query, key and value are one matrix) at toy size, with random
weights. Each line has the largest difference of logits over the largest logit.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "interchange"))
NAMES = {"llama": ["q_proj", "v_proj", "down_proj"], "gpt2": ["c_attn", "c_fc"]}
OTHERS: tuple[dict[str, Any], ...] = (
    {},
    {"use_rslora": True},
    {"target_modules": "all-linear"},
    {"rank_pattern": {"0.*": 2}, "alpha_pattern": {"1.*": 5}},
)


def main() -> None:
    sys.path.insert(0, sys.argv[1])
    import peft  # pyright: ignore[reportMissingImports]
    import transformers

    print(f"peft {peft.__version__}, transformers {transformers.__version__}")
    for kind in NAMES:
        with tempfile.TemporaryDirectory() as place:
            compare(kind, Path(place))


def compare(kind: str, place: Path) -> None:
    """Print a line for each adapter on one base."""
    import peft  # pyright: ignore[reportMissingImports]
    import torch
    from test_peft import IDS, logits, made
    from transformers import AutoModelForCausalLM

    from triptych.convert import export_adapter, import_model
    from triptych.inference.loading import load

    def ours(run: Path) -> torch.Tensor:
        model = load(run, device="cpu").model
        with torch.no_grad():
            states = model(target=IDS[0], target_lengths=torch.tensor([IDS.shape[1]]))
            return model.project(states)

    def apart(one: torch.Tensor, other: torch.Tensor) -> str:
        return f"{float((one - other).abs().max() / one.abs().max()):.0e}"

    base, _, tuned = made(place, kind)
    export_adapter(tuned, place / "adapter")
    plain = AutoModelForCausalLM.from_pretrained(base)
    before = logits(plain)[0]
    read = logits(peft.PeftModel.from_pretrained(plain, str(place / "adapter")))[0]
    moved = f"(the adapter changes them by {apart(read, before)})"
    print(f"{kind}: ours read by peft: {apart(read, ours(tuned))} {moved}")
    for number, more in enumerate(OTHERS):
        torch.manual_seed(number)
        values: dict[str, Any] = {
            "r": 3, "lora_alpha": 7, "target_modules": NAMES[kind], "init_lora_weights": False,
            "task_type": "CAUSAL_LM", "fan_in_fan_out": kind == "gpt2", **more,
        }  # fmt: skip
        start = AutoModelForCausalLM.from_pretrained(base)
        model: Any = peft.get_peft_model(start, peft.LoraConfig(**values))
        model.save_pretrained(place / f"theirs-{number}")
        run = place / f"run-{number}"
        import_model(place / f"theirs-{number}", run, base=base)
        print(f"{kind}: peft's with {more or 'its defaults'}: {apart(logits(model)[0], ours(run))}")


if __name__ == "__main__":
    main()
