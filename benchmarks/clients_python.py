"""Make the calls of one client in Python, in the environment that has it: for clients.py.

    python benchmarks/clients_python.py CLIENT ADDRESS RUN ...

It imports nothing but the client, and prints its version and what became of each call.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

HELLO: Any = [{"role": "user", "content": "Say hello."}]
FEW = 12  # tokens of an answer
Calls = dict[str, Callable[[], Any]]  # name of a call -> what makes it; a false value is a failure


# Clients in Python --------------------------------------------------------------------------------


def openai_calls(address: str, runs: list[str]) -> Calls:
    import openai

    client: Any = openai.OpenAI(
        base_url=f"{address}/v1", api_key="none", max_retries=0, timeout=120
    )
    found: Calls = {"models": lambda: {one.id for one in client.models.list()} == set(runs)}
    for run in {"decoder", "translator"} & set(runs):
        given = {"model": run, "prompt": "Good morning. ", "max_tokens": FEW}
        found[f"completions {run}"] = lambda given=given: (
            client.completions.create(**given).choices[0].finish_reason
        )
        found[f"completions {run}, stream"] = lambda given=given: (
            "".join(one.choices[0].text for one in client.completions.create(**given, stream=True))
            == client.completions.create(**given).choices[0].text
        )
    if "decoder" in runs:
        found["completions decoder, echo and logprobs"] = lambda: (
            client.completions.create(
                model="decoder", prompt="Good morning", max_tokens=1, echo=True, logprobs=2
            ).choices[0].logprobs.token_logprobs[0] is None
        )  # fmt: skip
    for run in {"chat", "translator"} & set(runs):
        given = {"model": run, "messages": HELLO, "max_tokens": FEW}
        found[f"chat {run}"] = lambda given=given: (
            client.chat.completions.create(**given).choices[0].message.role == "assistant"
        )
        found[f"chat {run}, stream"] = lambda given=given: [
            one.choices[0].delta.content
            for one in client.chat.completions.create(**given, stream=True)
        ]
    if "encoder" in runs:
        found["embeddings encoder"] = lambda: (
            len(client.embeddings.create(model="encoder", input=["a", "b c"]).data) == 2
        )
    return found


def ollama_calls(address: str, runs: list[str]) -> Calls:
    import ollama

    client: Any = ollama.Client(host=address, timeout=120)
    options = {"num_predict": FEW, "temperature": 0}
    found: Calls = {
        "list": lambda: len(client.list().models) == len(runs),
        "ps": lambda: client.ps().models,
        "show": lambda: client.show(runs[0]).modelinfo,
    }
    for run in {"decoder", "translator"} & set(runs):
        found[f"generate {run}"] = lambda run=run: (
            client.generate(run, "Good morning.", options=options).done
        )
        found[f"generate {run}, stream"] = lambda run=run: (
            list(client.generate(run, "Good morning.", options=options, stream=True))[-1].done
        )
    if "chat" in runs:
        found["chat chat"] = lambda: client.chat("chat", HELLO, options=options).message.role
        found["chat chat, stream"] = lambda: (
            list(client.chat("chat", HELLO, options=options, stream=True))[-1].done
        )
    if "encoder" in runs:
        found["embed encoder"] = lambda: len(client.embed("encoder", ["a", "b"]).embeddings) == 2
    return found


def hub_calls(address: str, runs: list[str]) -> Calls:
    from huggingface_hub import InferenceClient

    def at(task: str) -> Any:
        return InferenceClient(model=f"{address}/v1/tasks/{task}", timeout=120)

    every: dict[str, tuple[str, Callable[[], Any]]] = {
        "text generation": (
            "decoder",
            lambda: at("text-generation").text_generation("Good", max_new_tokens=FEW) is not None,
        ),
        "translation": (
            "translator", lambda: at("translation").translation("Good morning.").translation_text
        ),
        "text classification": (
            "classifier", lambda: at("text-classification").text_classification("fine")[0].label
        ),
        "token classification": (
            "tagger",
            lambda: at("token-classification").token_classification("Ada met Al in Rome")
            is not None,
        ),
        "feature extraction": (
            "encoder", lambda: at("feature-extraction").feature_extraction("hello").size
        ),
        "sentence similarity": (
            "encoder",
            lambda: len(at("sentence-similarity").sentence_similarity("a", ["a", "b"])) == 2,
        ),
        "zero-shot classification": (
            "encoder",
            lambda: at("zero-shot-classification").zero_shot_classification("a", ["b", "c"])[0],
        ),
        "chat completion": (
            "chat",
            lambda: InferenceClient(base_url=f"{address}/v1", api_key="none", timeout=120)
            .chat_completion(HELLO, model="chat", max_tokens=FEW).choices[0].message.role,
        ),
    }  # fmt: skip
    return {f"{name} {run}": call for name, (run, call) in every.items() if run in runs}


def libretranslate_calls(address: str, runs: list[str]) -> Calls:
    if "translator" not in runs:
        return {}
    from libretranslatepy import LibreTranslateAPI

    client: Any = LibreTranslateAPI(f"{address}/")
    languages = client.languages()
    source = languages[0]["code"]
    target = next(one for one in languages[0]["targets"] if one != source)
    return {
        "languages": client.languages,
        "detect": lambda: client.detect("Good morning, my friend.")[0]["language"],
        "translate translator": lambda: client.translate("Good morning.", source, target),
        "translate translator, auto": lambda: client.translate("Good morning.", "auto", target),
    }


def litellm_calls(address: str, runs: list[str]) -> Calls:
    import litellm  # type: ignore[import-not-found]

    litellm.telemetry = False
    given: dict[str, Any] = {"api_base": f"{address}/v1", "api_key": "none", "timeout": 120}
    found: Calls = {}
    for run in {"decoder", "translator"} & set(runs):
        found[f"text completion {run}"] = lambda run=run: litellm.text_completion(
            model=f"text-completion-openai/{run}", prompt="Good morning.", max_tokens=FEW, **given
        ).choices[0].finish_reason  # fmt: skip
    if "chat" in runs:
        found["completion chat"] = lambda: litellm.completion(
            "openai/chat", messages=HELLO, max_tokens=FEW, **given
        ).choices[0].message.role  # fmt: skip
        found["completion chat, stream"] = lambda: list(
            litellm.completion("openai/chat", messages=HELLO, max_tokens=FEW, stream=True, **given)
        )
        found["completion chat by Ollama"] = lambda: litellm.completion(
            "ollama_chat/chat", messages=HELLO, max_tokens=FEW, api_base=address, timeout=120
        ).choices[0].message.role  # fmt: skip
    if "encoder" in runs:
        found["embedding encoder"] = lambda: (
            len(litellm.embedding("openai/encoder", input=["a", "b"], **given).data) == 2
        )
    return found


def langchain_calls(address: str, runs: list[str]) -> Calls:
    from langchain_openai import ChatOpenAI, OpenAI, OpenAIEmbeddings  # type: ignore[import-not-found]

    given: Any = {"base_url": f"{address}/v1", "api_key": "none", "max_retries": 0}
    found: Calls = {}
    for run in {"decoder", "translator"} & set(runs):
        model = OpenAI(model=run, max_tokens=FEW, **given)
        found[f"OpenAI {run}"] = lambda model=model: isinstance(model.invoke("Good morning."), str)
        found[f"OpenAI {run}, batch"] = lambda model=model: len(model.batch(["Good", "A"])) == 2
    if "chat" in runs:
        chat = ChatOpenAI(model="chat", max_tokens=FEW, **given)
        found["ChatOpenAI chat"] = lambda: chat.invoke("Say hello.").content
        found["ChatOpenAI chat, stream"] = lambda: list(chat.stream("Say hello."))
    if "encoder" in runs:
        vectors = OpenAIEmbeddings(model="encoder", check_embedding_ctx_length=False, **given)
        found["OpenAIEmbeddings encoder"] = lambda: len(vectors.embed_documents(["a", "b"])) == 2
    return found


def llm_calls(address: str, runs: list[str]) -> Calls:
    """The command line of llm, with models of the file that it documents for other servers."""
    home = Path(tempfile.mkdtemp())
    entries = [
        f"- model_id: {run}\n  model_name: {run}\n  api_base: {address}/v1\n"
        f"  completion: {str(run != 'chat').lower()}\n"
        for run in ("decoder", "translator", "chat") if run in runs
    ]  # fmt: skip
    (home / "extra-openai-models.yaml").write_text("".join(entries))
    environment = {**os.environ, "LLM_USER_PATH": str(home), "OPENAI_API_KEY": "none"}
    program = str(Path(sys.executable).parent / "llm")

    def ask(run: str, *more: str) -> bool:
        command = [program, "-m", run, "Good morning.", "-o", "max_tokens", str(FEW), *more]
        subprocess.run(command, env=environment, check=True, capture_output=True, timeout=120)
        return True

    found: Calls = {}
    for run in [one for one in ("decoder", "translator", "chat") if one in runs]:
        found[f"prompt {run}, stream"] = lambda run=run: ask(run)
        found[f"prompt {run}"] = lambda run=run: ask(run, "--no-stream")
    return found


def lm_eval_calls(address: str, runs: list[str]) -> Calls:
    """Log-likelihoods and a continuation; benchmarks/lm_eval_http.py compares the figures."""
    if "decoder" not in runs:
        return {}
    from lm_eval.api.instance import Instance  # type: ignore[import-not-found]
    from lm_eval.models.openai_completions import (  # type: ignore[import-not-found]
        LocalCompletionsAPI,
    )

    model: Any = LocalCompletionsAPI(
        base_url=f"{address}/v1/completions", model="decoder", max_length=128, max_gen_toks=FEW
    )

    def one(kind: str, *arguments: Any) -> list[Any]:
        return [Instance(request_type=kind, doc={}, arguments=arguments, idx=0)]  # type: ignore[arg-type]

    text = "Once upon a time there was a dog."
    return {
        "loglikelihood": lambda: (
            model.loglikelihood(one("loglikelihood", text, " It ran."))[0][0] < 0
        ),
        "loglikelihood_rolling": lambda: (
            model.loglikelihood_rolling(one("loglikelihood_rolling", text))[0] < 0
        ),
        "generate_until": lambda: isinstance(
            model.generate_until(one("generate_until", text, {"until": ["\n"]}))[0], str
        ),
    }


PYTHON: dict[str, Callable[[str, list[str]], Calls]] = {
    "openai": openai_calls, "ollama": ollama_calls, "huggingface_hub": hub_calls,
    "libretranslatepy": libretranslate_calls, "litellm": litellm_calls,
    "langchain-openai": langchain_calls, "llm": llm_calls, "lm-eval": lm_eval_calls,
}  # fmt: skip


def inside(name: str, address: str, runs: list[str]) -> None:
    """Make the calls of one client in this interpreter, and print what became of them."""
    version = importlib.metadata.version(name)
    results = {}
    for call, make in PYTHON[name](address, runs).items():
        try:
            results[call] = None if make() not in (False, None) else "not what was expected"
        except Exception as error:  # whatever a client raises is a failure of its call
            results[call] = f"{type(error).__name__}: {error}"[:300]
    print("RESULT " + json.dumps({"version": version, "calls": results}))


if __name__ == "__main__":
    inside(sys.argv[1], sys.argv[2], sys.argv[3:])
