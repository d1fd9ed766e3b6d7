"""Continue prompts with llama.cpp, token by token the most probable one."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ...decoding.hypothesis import Hypothesis
from ...decoding.requests import DecodedText, DecodingRequest
from ...decoding.settings import DecodingSettings
from ...decoding.text import reader
from ...decoding.writing import decode, decoded
from ...errors import RunError, brief
from ...messages import message

if TYPE_CHECKING:
    from ...data.batches.encoded import Encoded
    from ..loaded import LoadedModel

MODEL = "model.gguf"
SILENT = -1


class ContinuationRuntime:
    """Answer requests that continue a prompt; see `runtime.Runtime`."""

    def __init__(self, folder: Path, loaded: LoadedModel) -> None:
        import xllamacpp

        library: Any = xllamacpp
        parameters: Any = library.CommonParams()
        parameters.model.path = str(folder / MODEL)
        parameters.cpuparams.n_threads = torch.get_num_threads()
        parameters.n_parallel = 1
        parameters.n_ctx = 0  # that of the model
        parameters.warmup = False
        parameters.verbosity = SILENT
        self.loaded = loaded
        self.server: Any = library.Server(parameters)
        self.lock = threading.Lock()  # it computes one prompt at a time, on all threads
        # One that was never asked can wait for ever when it is closed: its thread may begin to
        # work only after it was told to end.
        first = {"prompt": [loaded.tokenizers.target.begin_id], "n_predict": 1}
        self.server.handle_completions(first)

    def refusal(self, settings: DecodingSettings) -> str | None:
        """Return a sentence about a setting that is not asked of llama.cpp, or None."""
        usual = DecodingSettings()
        if settings.temperature > 0:
            return message("llama.cpp does not draw as decoding.seed says")
        own = (
            "beams",
            "repetition_penalty",
            "no_repeat_ngram_size",
            "suppress_tokens",
            "min_length",
            "stop",  # what it leaves out of an answer cannot be told from its ids
            "stop_at_dedent",
        )
        for name in own:
            if getattr(settings, name) != getattr(usual, name):
                return message("llama.cpp answers without decoding.{name}", name=name)
        return None

    def answer(self, encoded: list[Encoded], settings: DecodingSettings, start: int) -> list[Any]:
        """Return the continuation of each prompt of a batch."""
        found: list[Any] = []
        for one in encoded:
            request = dataclasses.replace(
                self.loaded.request(one, settings), index=start + one.index
            )
            if len(request.shown) + request.new_tokens > request.context:
                # past the context, half of it is read again
                found += decode(self.loaded.model, [request], self.loaded.tokenizers.target)
            else:
                found.append([self._continued(request)])
        return found

    def _continued(self, request: DecodingRequest) -> DecodedText:
        settings, tokenizer = request.settings, self.loaded.tokenizers.target
        asked = {
            "prompt": list(request.shown),
            "n_predict": request.new_tokens,
            "temperature": 0.0,
            "top_k": 1,
            "n_probs": 1,  # without it the answer has no ids
            "cache_prompt": False,
        }
        with self.lock:
            result = self.server.handle_completions(asked)
        try:
            choice: Any = result["choices"][0]
            written: list[Any] = (choice["logprobs"] or {"content": []})["content"]
        except (KeyError, IndexError, TypeError):
            raise RunError("llama.cpp did not answer: {problem}.", problem=brief(result)) from None
        tokens = [int(one["id"]) for one in written]
        each = [float(one["logprob"]) for one in written] if settings.scores else []
        ended = choice["finish_reason"] == "stop"
        while tokens and tokens[-1] in tokenizer.end_ids:
            tokens.pop()
        prefix = list(request.shown[1:])
        one = Hypothesis([*prefix, *tokens], 0.0, sum(each), [*([0.0] * len(prefix)), *each], ended)
        own = reader(tokenizer, request.prompt)
        return decoded(one, len(prefix), settings, own, None, request.truncated)
