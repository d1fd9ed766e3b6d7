"""Serve a toy with two worker processes; the first line of stdout is the port."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "inference"))

import torch
from toy_runs import translator, writer

from triptych.inference.engine.engine import Engine
from triptych.serving.security import Security
from triptych.serving.server import Listening

torch.set_num_threads(1)
models = {"lm": Engine(writer()), "translator": Engine(translator())}
weights = torch.ones(int(sys.argv[1]) << 18)  # megabytes that the workers share
for engine in models.values():
    engine.check()
listening = Listening("127.0.0.1", 0)
print(listening.port, flush=True)
listening.serve(models, Security(), log_json=True, drain_seconds=5.0, workers=2)
