"""Writes docs/presets.md: every preset with its family, paper, sizes and needs of memory.

    python docs/make_presets.py

tests/presets/test_published_sizes.py fails where the page is not what this writes.
"""

from __future__ import annotations

from pathlib import Path

from triptych.model.config import AnyConfig, RecurrentConfig
from triptych.presets import FAMILIES, active_parameter_count, counted, parameter_count
from triptych.presets.estimate import estimated_memory
from triptych.presets.published import OWN
from triptych.runs.sizes import bytes_needed

PAGE = Path(__file__).with_name("presets.md")
BATCH_TOKENS = 4096
PANELS = {
    "encoder": "Encoders: understand",
    "decoder": "Decoders: write",
    "encoder-decoder": "Encoder-decoders: turn one text into another",
}
HEAD = f"""# Presets

<!-- written by docs/make_presets.py -->

A preset is a published model as numbers: `model.preset = "NAME"` in a recipe trains one of that
size from scratch, and any dial may be changed (`--model.encoder.layers 4`). `triptych info NAME`
shows all of its dials. Weights come by `triptych import`, which needs no preset.

- **Layers, heads**: of encoder + decoder; fewer key heads in brackets.
- **Vocabulary**: as published; in a training it is the tokenizer's.
- **Parameters**: without heads and without BERT's pooler, as
  `tests/presets/test_published_sizes.py` has them; in brackets those that one token uses.
- **Use**: memory of the weights in float32 (half of it in bfloat16), with the largest activation.
- **Train**: estimate for AdamW and {BATCH_TOKENS:,} tokens a micro-batch.

Not the same as published: `bart-base` has no two rows of positions before the first, which are
never read. `meena-2.6b` is a plain Transformer of Meena's width and heads, with two blocks for each
Evolved Transformer block, whose convolutions the core does not have: 2.9 instead of 2.6 billion
parameters. The 13 B size of GPT-3 has the width 5,120 of 40 heads of 128, where its table says
5,140. Llama 2 and 3 share `llama`'s blocks; T5 1.1 and Flan-T5 are one shape, as are Qwen2 and
Qwen2.5 where both have a size.
"""


def page() -> str:
    """Return the text of the page."""
    lines = {panel: [] for panel in [*PANELS, OWN]}
    for family in FAMILIES:
        for name in family.sizes:
            config = counted(name)
            panel = "encoder-decoder" if isinstance(config, RecurrentConfig) else (
                config.architecture)  # fmt: skip
            own = family.family == OWN
            cells = [f"`{name}`", *([] if own else [family.family, family.paper]), *_cells(config)]
            lines[OWN if own else panel].append(f"| {' | '.join(cells)} |")
    numbers = ["layers", "width", "heads", "vocabulary", "parameters", "use", "train"]
    parts = [HEAD]
    for panel, rows in lines.items():
        columns = ["preset", *([] if panel == OWN else ["family", "paper"]), *numbers]
        title = "Sizes of our own, for two CPU cores" if panel == OWN else PANELS[panel]
        align = ["---"] * (len(columns) - 7) + ["---:"] * 7
        table = [f"| {' | '.join(columns)} |", f"| {' | '.join(align)} |", *rows]
        parts.append(f"## {title}\n\n" + "\n".join(table) + "\n")
    return "\n".join(parts)


def _cells(config: AnyConfig) -> list[str]:
    """Return the numbers of a row."""
    count, active = parameter_count(config), active_parameter_count(config)
    train = estimated_memory(config, BATCH_TOKENS, 0, average=False)
    if isinstance(config, RecurrentConfig):
        shape = ["1 + 1", f"{config.width:,}", "1" if config.attention else "0"]
    else:
        stacks = list(config.stacks.values())
        several = dict.fromkeys((one.heads, one.key_heads or one.heads) for one in stacks)
        heads = " + ".join(
            f"{one}" + (f" ({keys})" if keys != one else "") for one, keys in several
        )
        shape = [" + ".join(str(one.layers) for one in stacks), f"{stacks[-1].width:,}", heads]
    used = f" ({active:,})" if active < count else ""
    return [*shape, f"{config.vocabulary_size:,}", f"{count:,}{used}", _size(bytes_needed(config)),
            _size(train)]  # fmt: skip


def _size(count: float) -> str:
    for unit, name in ((1e12, "TB"), (1e9, "GB")):
        if count >= unit:
            return f"{count / unit:,.{1 if count < 10 * unit else 0}f} {name}"
    return f"{count / 1e6:,.0f} MB"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
