r"""Let unmodified clients of other services ask a server, and print what they got.

    python benchmarks/clients.py --python VENV/bin/python --node FOLDER --vim FOLDER \
        decoder=RUN chat=RUN translator=RUN encoder=RUN classifier=RUN tagger=RUN

VENV has openai, ollama, huggingface_hub, libretranslatepy, litellm, langchain-openai, llm and
lm-eval; the folder of --node has openai of npm in node_modules; that of --vim is a clone of
ggml-org/llama.vim. Each client asks the runs that it can speak to. A client that is not there is
told with its reason. Nothing is fetched.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FEW = 12  # tokens of an answer
PYTHON = (
    "openai", "ollama", "huggingface_hub", "libretranslatepy", "litellm", "langchain-openai", "llm",
    "lm-eval",
)  # fmt: skip


# Clients in other languages -----------------------------------------------------------------------


def node_client(folder: Path, address: str, runs: list[str]) -> dict[str, Any]:
    """Ask with openai of npm."""
    script = folder / "clients-of-a-server.mjs"
    script.write_text(Path(__file__).with_name("clients.mjs").read_text())
    try:
        return result_of(["node", str(script), address, ",".join(runs)], {})
    finally:
        script.unlink()


def vim_client(folder: Path, program: str, address: str) -> dict[str, Any]:
    """Let llama.vim fill in the middle of a file in a headless Neovim, and accept what it shows."""
    version = subprocess.run(
        ["git", "-C", str(folder), "log", "-1", "--format=%h of %cs"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    calls: dict[str, str | None] = {}
    for name, accept in (("fill in, whole", "full"), ("fill in, a line", "line")):
        with tempfile.TemporaryDirectory() as work:
            file = Path(work) / "story.txt"
            before = "Once upon a time there was a dog.\n\nThe end.\n"
            file.write_text(before)
            settings = (
                f"let g:llama_config = {{'endpoint_fim': '{address}/infill', 'auto_fim': v:false, "
                f"'show_info': 0, 'model_fim': 'decoder', 'n_predict': {FEW}}}"
            )
            # A suggestion is shown in insert mode only, so that all is done by timers.
            steps = {
                500: "llama#fim(-1, -1, v:false, [], v:true)",
                15_000: f"llama#fim_accept('{accept}')",
                15_500: f"execute('write! {file}')",
                16_000: "execute('qall!')",
            }
            command = [program, "--headless", "-u", "NONE", "-i", "NONE", "-n",
                       "--cmd", f"set rtp+={folder}", "--cmd", settings, str(file),
                       "-c", "call llama#init()", "-c", "call cursor(2, 1)"]  # fmt: skip
            for ms, step in steps.items():
                command += ["-c", f"call timer_start({ms}, {{-> {step}}})"]
            command += ["-c", "startinsert"]
            try:
                subprocess.run(command, capture_output=True, text=True, timeout=90, check=True)
                calls[name] = None if file.read_text() != before else "nothing was written"
            except (subprocess.SubprocessError, OSError) as error:
                calls[name] = f"{type(error).__name__}: {error}"[:300]
    return {"version": version, "calls": calls}


# All of them --------------------------------------------------------------------------------------


def result_of(command: list[str], environment: dict[str, str]) -> dict[str, Any]:
    """Return the result that a program prints, or why there is none."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    told = subprocess.run(
        command, capture_output=True, text=True, timeout=900, env={**kept, **environment}
    )
    for line in told.stdout.splitlines():
        if line.startswith("RESULT "):
            return json.loads(line.removeprefix("RESULT "))
    return {"reason": (told.stderr.strip().splitlines() or ["it ended without a result"])[-1][:300]}


@contextlib.contextmanager
def serving(runs: list[str]) -> Iterator[str]:
    """Serve runs; the value is the address."""
    command = [str(Path(sys.executable).parent / "triptych"), "serve", *runs, "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None, "a pipe"
    found = (re.search(r"http://[\d.]+:\d+", line) for line in process.stderr)
    address = next((one[0] for one in found if one), None)
    if address is None:
        raise SystemExit("the server could not start")
    threading.Thread(target=process.stderr.read, daemon=True).start()
    try:
        yield address
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()


def table(found: dict[str, dict[str, Any]]) -> str:
    """Return the results as lines of a Markdown table."""
    lines = ["| client | version | calls | passed | failed |", "|---|---|---|---|---|"]
    for name, one in found.items():
        calls = one.get("calls")
        if calls is None:
            lines.append(f"| {name} | – | – | – | {one['reason']} |")
            continue
        failed = [f"{call}: {why}" for call, why in calls.items() if why is not None]
        told = "; ".join(failed) or "0"
        passed = len(calls) - len(failed)
        lines.append(f"| {name} | {one['version']} | {len(calls)} | {passed} | {told} |")
    return "\n".join(lines)


def main(arguments: argparse.Namespace) -> None:
    names = [one.partition("=")[0] for one in arguments.runs]
    offline = {"HF_DATASETS_OFFLINE": "1", "OPENAI_API_KEY": "none"}
    offline |= {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    found: dict[str, dict[str, Any]] = {}
    with serving(arguments.runs) as address:
        for name in [one for one in PYTHON if one in arguments.clients]:
            script = str(Path(__file__).with_name("clients_python.py"))
            command = [arguments.python, script, name, address, *names]
            found[name] = result_of(command, offline)
        if arguments.node is not None and "openai (npm)" in arguments.clients:
            found["openai (npm)"] = node_client(arguments.node, address, names)
        if arguments.vim is not None and "llama.vim" in arguments.clients:
            found["llama.vim"] = vim_client(arguments.vim, arguments.nvim, address)
        print(table(found), flush=True)
        with urllib.request.urlopen(f"{address}/ready", timeout=60) as answer:
            assert json.load(answer)["ready"], "the server failed"
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("runs", nargs="+", help="NAME=RUN: decoder, chat, translator, encoder, ...")
    parser.add_argument(
        "--python", default=sys.executable, help="of the environment of the clients"
    )
    parser.add_argument("--node", type=Path, help="folder with node_modules/openai")
    parser.add_argument("--vim", type=Path, help="clone of ggml-org/llama.vim; needs nvim and curl")
    parser.add_argument("--nvim", default="nvim", help="Neovim of at least 0.10")
    parser.add_argument("--clients", nargs="*", default=[*PYTHON, "openai (npm)", "llama.vim"])
    parser.add_argument("--out", type=Path)
    main(parser.parse_args())
