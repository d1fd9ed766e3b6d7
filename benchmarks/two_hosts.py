"""One training over two hosts: two network namespaces joined by a virtual cable (root on Linux).

    python benchmarks/two_hosts.py [--parallel ddp|fsdp] [--steps 4] [--batch-tokens 300]

Each namespace has its own loopback and one address, so that the processes can reach each other by
the cable alone. `torchrun --nnodes 2` is started in both and trains the phrasebook, one process
each; then the same is trained by two processes of one host. Prints one JSON object; exit code 1
where the weights differ by more than rounding. The namespaces are removed at the end.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from safetensors.numpy import load_file

ROOT = Path(__file__).resolve().parents[1]
HOSTS = {"triptych-a": "10.199.0.1", "triptych-b": "10.199.0.2"}
CABLES = ("triptych-va", "triptych-vb")  # interfaces have at most 15 letters


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


@contextlib.contextmanager
def two_hosts() -> Iterator[None]:
    """Make two namespaces with a cable between them while the body runs."""
    try:
        for host in HOSTS:
            ip("netns", "add", host)
        ip("link", "add", CABLES[0], "type", "veth", "peer", "name", CABLES[1])
        for (host, address), cable in zip(HOSTS.items(), CABLES, strict=True):
            ip("link", "set", cable, "netns", host)
            ip("-n", host, "addr", "add", f"{address}/24", "dev", cable)
            ip("-n", host, "link", "set", cable, "up")
            ip("-n", host, "link", "set", "lo", "up")
        yield
    finally:
        for host in HOSTS:
            subprocess.run(["ip", "netns", "del", host], check=False)


def command(out: Path, given: argparse.Namespace, *launch: str) -> list[str]:
    return [
        *(sys.executable, "-m", "torch.distributed.run", *launch),
        *("-m", "triptych", "train", "phrasebook", "--out", str(out)),
        *("--training.parallel", given.parallel, "--training.optimizer", "adamw"),
        *("--batches.accumulate", "2", "--batches.batch_tokens", str(given.batch_tokens)),
        *("--training.steps", str(given.steps), "--training.minutes", "none"),
        *("--training.precision", "float32", "--validation.examples", "2"),
    ]


def finish(processes: list[subprocess.Popen[str]], seconds: float) -> None:
    told = [process.communicate(timeout=seconds)[0] for process in processes]
    if any(process.returncode for process in processes):
        raise SystemExit("\n".join(text[-3000:] for text in told))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--parallel", choices=["ddp", "fsdp"], default="fsdp")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--batch-tokens", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=400)
    given = parser.parse_args()
    common = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder, two_hosts():
        one, two = Path(folder) / "one", Path(folder) / "two"
        began = time.monotonic()
        processes: list[subprocess.Popen[str]] = []
        for rank, (host, cable) in enumerate(zip(HOSTS, CABLES, strict=True)):
            launch = (
                *("--nnodes", "2", "--nproc-per-node", "1", "--node-rank", str(rank)),
                *("--master-addr", HOSTS["triptych-a"], "--master-port", "29511"),
            )
            processes.append(
                subprocess.Popen(
                    ["ip", "netns", "exec", host, *command(two, given, *launch)],
                    env={**environment, "GLOO_SOCKET_IFNAME": cable},
                    **common,  # type: ignore[arg-type]
                )
            )
        finish(processes, given.seconds)
        lasted = time.monotonic() - began
        launch = ("--standalone", "--nproc-per-node", "2")
        finish(
            [subprocess.Popen(command(one, given, *launch), env=environment, **common)],  # type: ignore[arg-type]
            given.seconds,
        )
        wanted, found = (load_file(run / "model.safetensors") for run in (one, two))
        most = max(float(abs(wanted[name] - found[name]).max()) for name in wanted)
    told = {
        "parallel": given.parallel,
        "steps": given.steps,
        "seconds": round(lasted, 1),
        "largest_difference": most,
    }
    print(json.dumps(told))
    raise SystemExit(0 if most < 1e-4 else 1)


if __name__ == "__main__":
    main()
