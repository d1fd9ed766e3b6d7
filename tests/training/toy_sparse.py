"""The small job of toy_training.py with experts in every second block, for tests; as a script."""

from __future__ import annotations

import toy_training

from triptych.model.config import ModelConfig, StackConfig


def model_config() -> ModelConfig:
    stack = StackConfig(
        layers=2,
        width=32,
        heads=2,
        inner_width=64,
        norm_placement="pre",
        dropout=0.1,
        by_block={"experts": [0, 4]},
        expert_capacity_factor=1.25,
        expert_jitter=0.01,
        expert_dropout=0.1,
    )
    return ModelConfig(encoder=stack, decoder=stack, vocabulary_size=20)


if __name__ == "__main__":
    toy_training.model_config = model_config
    toy_training.main()
