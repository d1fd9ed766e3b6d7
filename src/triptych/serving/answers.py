"""Describe what each path answers, for the OpenAPI description (`description.py`).

The answers themselves are plain dictionaries; a test asks 200 random requests and holds every
answer against these shapes.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict


class Shape(BaseModel):
    """Hold the fields that an answer always has; it may have others."""

    model_config = ConfigDict(extra="allow")


# OpenAI -------------------------------------------------------------------------------------------


class ModelCard(Shape):
    """Describe a run that is served."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    task: str


class ModelList(Shape):
    """Describe the runs that are served."""

    object: Literal["list"]
    data: list[ModelCard]


class Usage(Shape):
    """Describe how many tokens were read and written."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class TokenLogprobs(Shape):
    """Describe the log-probabilities of tokens, in nats."""

    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None] | None
    text_offset: list[int]


class TextChoice(Shape):
    """Describe one of the answers to prompts."""

    index: int
    text: str
    finish_reason: Literal["stop", "length"]
    logprobs: TokenLogprobs | None


class TextCompletion(Shape):
    """Describe the answers to prompts."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[TextChoice]
    usage: Usage


class AssistantMessage(Shape):
    """Describe a turn of the assistant."""

    role: Literal["assistant"]
    content: str
    refusal: None


class ChatChoice(Shape):
    """Describe one of the answers to a conversation."""

    index: int
    message: AssistantMessage
    finish_reason: Literal["stop", "length"]
    logprobs: dict[str, Any] | None


class ChatCompletion(Shape):
    """Describe the answers to a conversation."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: Usage


class Vector(Shape):
    """Describe the vector of a text."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class VectorUsage(Shape):
    """Describe how many tokens were read."""

    prompt_tokens: int
    total_tokens: int


class Vectors(Shape):
    """Describe the vectors of texts."""

    object: Literal["list"]
    data: list[Vector]
    model: str
    usage: VectorUsage


class OpenAIErrorDetails(Shape):
    """Describe what is wrong."""

    message: str
    type: str
    param: str | None
    code: int


class OpenAIError(Shape):
    """Describe an error as clients of OpenAI read it."""

    error: OpenAIErrorDetails


# Others -------------------------------------------------------------------------------------------


class PlainError(Shape):
    """Describe an error in one sentence."""

    error: str


class LlamaErrorDetails(Shape):
    """Describe what is wrong, without the field."""

    code: int
    message: str
    type: str


class LlamaError(Shape):
    """Describe an error as clients of llama.cpp read it."""

    error: LlamaErrorDetails


class RunMetrics(Shape):
    """Describe losses and scores of a training, by step."""

    model: str
    metrics: list[dict[str, Any]]


class LanguageCard(Shape):
    """Describe a language that is read."""

    code: str
    name: str
    targets: list[str]


class Confidence(Shape):
    """Describe how likely a language is, in percent."""

    confidence: float
    language: str


class Translated(Shape):
    """Describe one or several translations."""

    translatedText: str | list[str]


class TranslatedFile(Shape):
    """Describe the address of a translated file."""

    translatedFileUrl: str


class FrontendSettings(Shape):
    """Describe what clients may ask for."""

    charLimit: int
    keyRequired: bool
    language: dict[str, Any]
    supportedFilesFormat: list[str]


class OllamaModel(Shape):
    """Describe a run as Ollama lists it."""

    name: str
    model: str
    modified_at: str
    size: int
    digest: str
    details: dict[str, Any]


class OllamaModels(Shape):
    """Describe the runs as Ollama lists them."""

    models: list[OllamaModel]


class OllamaShown(Shape):
    """Describe one run as Ollama shows it."""

    details: dict[str, Any]
    model_info: dict[str, Any]
    capabilities: list[str]


class OllamaGenerated(Shape):
    """Describe an answer of /api/generate."""

    model: str
    created_at: str
    response: str
    done: bool


class OllamaMessage(Shape):
    """Describe a turn of the assistant as Ollama has it."""

    role: Literal["assistant"]
    content: str


class OllamaChatted(Shape):
    """Describe an answer of /api/chat."""

    model: str
    created_at: str
    message: OllamaMessage
    done: bool


class OllamaEmbedded(Shape):
    """Describe the vectors of /api/embed."""

    model: str
    embeddings: list[list[float]]


class OllamaVector(Shape):
    """Describe the vector of /api/embeddings."""

    model: str
    embedding: list[float]


class Version(Shape):
    """Describe a version."""

    version: str


class Filled(Shape):
    """Describe what stands between two texts."""

    content: str
    stop: bool
    tokens_predicted: int


class TokenizerInfo(Shape):
    """Describe the special tokens of a run."""

    eos_token: str | None
    bos_token: str | None
    pad_token: str | None
    chat_template: str | None


class Tokenized(Shape):
    """Describe the tokens of a text."""

    tokens: list[int]
    count: int
    max_model_len: int | None


class Detokenized(Shape):
    """Describe the text of tokens."""

    prompt: str


class Health(Shape):
    """Describe whether each run computes."""

    status: Literal["ok", "failed"]
    models: dict[str, str]


class RunCard(Shape):
    """Describe a run to the page."""

    name: str
    task: str
    architecture: str
    writes: bool
    recurrent: bool
    sources: list[str]
    targets: list[str]


class RunCards(Shape):
    """Describe the runs that are served to the page."""

    runs: list[RunCard]


class Ready(Shape):
    """Describe whether requests are taken."""

    ready: bool


STREAM = "text/event-stream"
LINES = "application/x-ndjson"


class Transcribed(Shape):
    """Describe what a sound says; with "verbose_json", its segments too."""

    text: str


# path -> the shape of its answer as JSON, and the type of its answer in another form
ANSWERS: dict[str, tuple[Any, str | None]] = {
    "/v1/models": (ModelList, None),
    "/v1/models/{name}": (ModelCard, None),
    "/v1/completions": (TextCompletion, STREAM),
    "/v1/chat/completions": (ChatCompletion, STREAM),
    "/v1/embeddings": (Vectors, None),
    "/v1/audio/transcriptions": (Transcribed, "text/plain"),
    "/v1/audio/translations": (Transcribed, "text/plain"),
    "/v1/tasks/automatic-speech-recognition": (Transcribed, None),
    "/v1/tasks": (dict[str, list[str]], None),
    "/v1/tasks/{task}": (list[Any] | dict[str, Any], None),
    "/v1/trace": (dict[str, Any], None),
    "/v1/trees": (dict[str, Any], None),
    "/v1/interventions": (dict[str, Any], None),
    "/v1/hearing": (dict[str, Any], None),
    "/v1/runs": (RunCards, None),
    "/v1/runs/{name}/metrics": (RunMetrics, None),
    "/v1/runs/{name}/inspection": (dict[str, Any], None),
    "/languages": (list[LanguageCard], None),
    "/detect": (list[Confidence], None),
    "/translate": (Translated, None),
    "/translate_file": (TranslatedFile, None),
    "/download_file/{key}": (None, "text/plain"),
    "/frontend/settings": (FrontendSettings, None),
    "/api/tags": (OllamaModels, None),
    "/api/ps": (OllamaModels, None),
    "/api/version": (Version, None),
    "/api/show": (OllamaShown, None),
    "/api/generate": (OllamaGenerated, LINES),
    "/api/chat": (OllamaChatted, LINES),
    "/api/embed": (OllamaEmbedded, None),
    "/api/embeddings": (OllamaVector, None),
    "/infill": (Filled, STREAM),
    "/tokenizer_info": (TokenizerInfo, None),
    "/tokenize": (Tokenized, None),
    "/detokenize": (Detokenized, None),
    "/health": (Health, None),
    "/ready": (Ready, None),
    "/metrics": (None, "text/plain"),
    "/version": (Version, None),
}
UNWELL: dict[str, Any] = {"/health": Health, "/ready": Ready}  # what 503 answers there
