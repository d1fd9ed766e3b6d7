"""Answer /v1/tasks/TASK in the shapes of transformers' pipelines, as InferenceClient reads them.

Among them are the four that version 5 of transformers dropped: translation, summarization,
text2text-generation and question-answering.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import Field

from ..data.example import FIELDS
from ..tasks.masked_words import MARK
from .documents import Documents, sources, suits
from .fields import Body, Name
from .limits import LONGEST_NAME, MOST_ANSWERS, MOST_INPUTS
from .pipeline_parameters import WRITING, flag, text_of, whole, writes_as
from .problems import ApiError, Problem
from .served import Served, ServedRun

Inputs = (
    str
    | Annotated[list[str], Field(fail_fast=True, min_length=1, max_length=MOST_INPUTS)]
    | dict[str, Any]
    | Annotated[list[dict[str, Any]], Field(fail_fast=True, min_length=1, max_length=MOST_INPUTS)]
)
MASKS = ("[MASK]", "<mask>")  # as published models spell them
MOST_LABELS = 64  # candidates of a zero-shot classification
SHARPNESS = 20.0  # of cosines when they become probabilities (CLIP's limit is 100)
PAIR = re.compile(r"(translation)_([\w-]+)_to_([\w-]+)")
ALIASES = {"sentiment-analysis": "text-classification", "ner": "token-classification"}
# Fields that change nothing here: texts are read whole, in windows.
IDLE = {
    "clean_up_tokenization_spaces", "truncation", "truncate", "truncation_direction", "stride",
    "align_to_words", "doc_stride", "max_question_len", "max_seq_len", "use_cache",
    "wait_for_model", "prompt_name",
}  # fmt: skip


class Asked(Body):
    """Hold the body of a request."""

    model: Name | None = None
    inputs: Inputs
    parameters: dict[str, Any] | None = None


def error_body(problem: Problem) -> dict[str, Any]:
    """Return the body of errors."""
    return {"error": problem.text}


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Describe one task.

    Args:
        suits: Tells whether a run can answer it.
        answer: (run, one input, parameters) -> the answer.
        parameters: Their names.
        wraps: A single text's answer stands in a list.
        joins: The answers to several inputs stand in one list, not each in its own.
        from_documents: (documents, run, one input, parameters) -> the answer where there are
            documents to answer from; None: they change nothing.
    """

    suits: Callable[[ServedRun], bool]
    answer: Callable[[ServedRun, Any, Mapping[str, Any]], Awaitable[Any]]
    parameters: frozenset[str]
    wraps: bool = False
    joins: bool = False
    from_documents: (
        Callable[[Documents, ServedRun, Any, Mapping[str, Any]], Awaitable[Any]] | None
    ) = None


def build(served: Served) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/v1/tasks", tags=["tasks"])
    every = _every(served)

    @router.get("")
    async def tasks() -> dict[str, list[str]]:
        """List the tasks, each with the runs that answer it."""
        found = {
            name: [one.name for one in served.that(task.suits)] for name, task in every.items()
        }
        return {name: runs for name, runs in found.items() if runs}

    @router.post("/{task}")
    async def answer(task: str, body: Asked, request: Request) -> JSONResponse:
        """Answer one input, or several."""
        name, given = _named(task, body.parameters or {})
        pipeline = every[name]
        run = _run(served, name, pipeline.suits, body.model or request.query_params.get("model"))
        _refuse_unknown(name, given, pipeline.parameters)
        several = body.inputs if isinstance(body.inputs, list) else [body.inputs]
        _refuse_many(several, given)
        if not isinstance(body.inputs, list):
            found = await pipeline.answer(run, body.inputs, given)
            return JSONResponse([found] if pipeline.wraps else found)
        answers = await asyncio.gather(*(pipeline.answer(run, one, given) for one in several))
        return JSONResponse([one for part in answers for one in part] if pipeline.joins
                            else answers)  # fmt: skip

    return router


def _every(served: Served) -> Mapping[str, Pipeline]:
    """Return the tasks; where there are documents, a question needs no context."""
    documents = served.documents
    if documents is None:
        return ALL
    return {name: _with_documents(one, documents) for name, one in ALL.items()}


def _with_documents(own: Pipeline, documents: Documents) -> Pipeline:
    if own.from_documents is None:
        return own
    return replace(
        own,
        suits=lambda run: own.suits(run) or suits(run),
        answer=partial(own.from_documents, documents),
    )


def _named(task: str, given: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the name of a task and its parameters; "translation_en_to_de" has two in its name."""
    found = {name: value for name, value in given.items() if value is not None}
    if pair := PAIR.fullmatch(task):
        task, found = pair[1], {"src_lang": pair[2], "tgt_lang": pair[3], **found}
    name = ALIASES.get(task, task)
    if name not in ALL:
        raise ApiError(
            "There is no task '{name}'. There is: {known}.",
            name=task[:LONGEST_NAME], known=", ".join(sorted(ALL)),
        ).at(404)  # fmt: skip
    return name, found


def _run(
    served: Served, task: str, fits: Callable[[ServedRun], bool], wanted: str | None
) -> ServedRun:
    """Return the run that answers a task: the one that is wanted, or the first that can."""
    if wanted is not None:
        run = served.get(wanted)
        if not fits(run):
            raise ApiError(
                "'{name}' is a run for {own}, which does not answer {task}.",
                name=run.name, own=run.spec.name, task=task,
            ).at(400, "model")  # fmt: skip
        return run
    found = served.that(fits)
    if not found:
        raise ApiError("No run that answers {task} is served here.", task=task).at(404)
    return found[0]


def _refuse_many(several: Sequence[Any], given: Mapping[str, Any]) -> None:
    """Raise ApiError, 413, for more texts than are read for one request, labels included."""
    labels = given.get("candidate_labels")
    each = len(labels) + 1 if isinstance(labels, list) else 1
    count = each * len(several)
    for one in several:
        more = one.get("sentences") if isinstance(one, Mapping) else None
        count += len(more) if isinstance(more, list) else 0
    if count > MOST_INPUTS:
        raise ApiError(
            "The request has {count:,} texts; the most is {most:,}.", count=count, most=MOST_INPUTS
        ).at(413, "inputs")


def _refuse_unknown(task: str, given: Mapping[str, Any], known: frozenset[str]) -> None:
    for name in given:
        if name not in known and name not in IDLE:
            raise ApiError(
                "parameters.{name} is not known for {task}. There is: {known}.",
                name=name[:LONGEST_NAME], task=task, known=", ".join(sorted(known)) or "none",
            ).at(400, "parameters")  # fmt: skip


# Reading ------------------------------------------------------------------------------------------


async def classify(run: ServedRun, given: Any, parameters: Mapping[str, Any]) -> Any:
    """Return [{label, score}], the most probable first; of several labels, of each."""
    pair = isinstance(given, Mapping) and "text_pair" in given
    values: Any = {"text": given.get("text"), "text_pair": given["text_pair"]} if pair else given
    example = run.predictor.example(values if pair else text_of(given), "inputs")
    details = (await run.answer(example)).details
    if "value" in details:
        return [{"label": "value", "score": details["value"]}]
    table: dict[str, float] = details.get("probabilities", {})
    most = whole(parameters, "top_k", len(table) or 1, 2**31 - 1)
    return [{"label": name, "score": chance} for name, chance in [*table.items()][:most]]


async def tag(run: ServedRun, given: Any, parameters: Mapping[str, Any]) -> Any:
    """Return the entities, or each word's tag where aggregation_strategy is "none"."""
    details = (await run.answer(run.predictor.example(text_of(given), "inputs"))).details
    left_out = parameters.get("ignore_labels", ["O"])
    if "entities" in details and parameters.get("aggregation_strategy", "simple") != "none":
        return [
            {"entity_group": one["label"], "score": one["score"], "word": one["text"],
             "start": one["start"], "end": one["end"]}
            for one in details["entities"] if one["label"] not in left_out
        ]  # fmt: skip
    words = zip(details.get("words", []), details.get("offsets", []), details.get("tags", []),
                strict=True)  # fmt: skip
    return [
        {"entity": name, "score": None, "index": place, "word": word, "start": start, "end": end}
        for place, (word, (start, end), name) in enumerate(words, 1)
        if name not in left_out
    ]


async def answer_question(run: ServedRun, given: Any, parameters: Mapping[str, Any]) -> Any:
    """Return {answer, score, start, end}, or a list of them where top_k is more than 1."""
    if not isinstance(given, Mapping) or not {"question", "context"} <= given.keys():
        raise ApiError("inputs must have question and context.").at(400, "inputs")
    values = {"question": given["question"], "passage": given["context"]}
    prediction = await run.answer(run.predictor.example(values, "inputs"))
    most = whole(parameters, "top_k", 1, MOST_ANSWERS)
    details = prediction.details
    if "candidates" not in details:  # it writes its answers
        return {"answer": prediction.text, "score": prediction.score, "start": None, "end": None}
    found = [
        {"answer": one["text"], "score": one["probability"], "start": one["start"],
         "end": one["end"]}
        for one in details["candidates"]
    ]  # fmt: skip
    none = {"answer": "", "score": prediction.score, "start": 0, "end": 0}
    if flag(parameters, "handle_impossible_answer", True) and details["start"] is None:
        found = [none, *found]
    found = found or [none]
    return found[0] if most == 1 else found[:most]


async def answer_from(
    documents: Documents, run: ServedRun, given: Any, parameters: Mapping[str, Any]
) -> Any:
    """Return as `answer_question` does; without a context, the answer from the documents."""
    question = given.get("question") if isinstance(given, Mapping) else None
    if not isinstance(question, str) or given.get("context"):
        return await answer_question(run, given, parameters)
    whole(parameters, "top_k", 1, 1)
    found = await documents.answer(run, question)
    start, end = (
        (0, 0) if not found.citations else (found.citations[0].start, found.citations[0].end)
    )
    return {"answer": found.answer, "score": found.score, "start": start, "end": end,
            "sources": sources(found)}  # fmt: skip


async def fill(run: ServedRun, given: Any, parameters: Mapping[str, Any]) -> Any:
    """Return [{sequence, token_str, score}] for a mask, a list of these for several masks."""
    text = text_of(given)
    for spelling in MASKS:
        text = text.replace(spelling, MARK)
    if MARK not in text:
        raise ApiError("inputs has no {mark}.", mark=MASKS[0]).at(400, "inputs")
    masks = (await run.answer(run.predictor.example(text, "inputs"))).details["masks"]
    most = whole(parameters, "top_k", 5, MOST_ANSWERS)
    found = [
        [
            {"score": one["probability"], "token_str": one["text"], "token": None,
             "sequence": text[: mask["start"]] + one["text"] + text[mask["end"] :]}
            for one in mask["fillings"][:most]
        ]
        for mask in masks
    ]  # fmt: skip
    return found[0] if len(found) == 1 else found


async def embed(run: ServedRun, given: Any, parameters: Mapping[str, Any]) -> Any:
    """Return the vector of a text, of length 1."""
    if not flag(parameters, "normalize", True):
        raise ApiError("parameters.normalize must be true.").at(400, "parameters.normalize")
    return (await run.embed(text_of(given)))[0]


async def compare(run: ServedRun, given: Any, parameters: Mapping[str, Any]) -> Any:
    """Return the cosine of a sentence with each of some others."""
    if not isinstance(given, Mapping) or not isinstance(given.get("sentences"), list):
        raise ApiError("inputs must have source_sentence and sentences.").at(400, "inputs")
    texts = [text_of(one) for one in (given.get("source_sentence"), *given["sentences"])]
    first, *others = await _vectors(run, texts)
    return [float(first @ one) for one in others]


async def _vectors(run: ServedRun, texts: Sequence[str]) -> list[np.ndarray]:
    """Return vectors of length 1."""
    found = await asyncio.gather(*map(run.embed, texts))
    vectors = [np.array(vector) for vector, _ in found]
    return [one / max(float(np.linalg.norm(one)), 1e-12) for one in vectors]


async def zero_shot(run: ServedRun, given: Any, parameters: Mapping[str, Any]) -> Any:
    """Return [{label, score}] for labels that no one trained, by the cosines of vectors."""
    labels = parameters.get("candidate_labels")
    labels = labels.split(",") if isinstance(labels, str) else labels
    if not isinstance(labels, list) or not 1 <= len(labels) <= MOST_LABELS:
        raise ApiError(
            "parameters.candidate_labels must be a list of 1 to {most} labels.", most=MOST_LABELS
        ).at(400, "parameters.candidate_labels")
    template = parameters.get("hypothesis_template", "This example is {}.")
    if not isinstance(template, str) or "{}" not in template:
        raise ApiError("parameters.hypothesis_template must hold {{}}.").at(400, "parameters")
    names = [text_of(one).strip() for one in labels]
    text, *others = await _vectors(
        run, [text_of(given), *(template.replace("{}", n) for n in names)]
    )
    cosines = np.array([float(text @ one) for one in others])
    if flag(parameters, "multi_label", False):
        chances = (1 + cosines) / 2
    else:
        powers = np.exp(SHARPNESS * (cosines - cosines.max()))
        chances = powers / powers.sum()
    order = np.argsort(-chances, kind="stable")
    return [{"label": names[place], "score": float(chances[place])} for place in order]


def _encodes(run: ServedRun) -> bool:
    return run.spec.architecture == "encoder"


def _answers_from_passage(run: ServedRun) -> bool:
    return "passage" in run.predictor.task.needs and "question" in run.predictor.task.needs


def _one_text(run: ServedRun) -> bool:
    """Tell whether a run writes an answer to one text."""
    inputs = [name for name in run.predictor.task.needs if FIELDS[name].role == "input"]
    return run.spec.architecture == "encoder-decoder" and run.predictor.task.input in inputs[:1]


ALL: dict[str, Pipeline] = {
    "text-classification": Pipeline(
        lambda run: run.spec.head == "classifier", classify,
        frozenset({"top_k"}), wraps=True,
    ),
    "token-classification": Pipeline(
        lambda run: run.spec.head == "tagger", tag,
        frozenset({"aggregation_strategy", "ignore_labels"}),
    ),
    "question-answering": Pipeline(
        _answers_from_passage, answer_question,
        frozenset({"top_k", "handle_impossible_answer"}), from_documents=answer_from,
    ),
    "fill-mask": Pipeline(
        lambda run: run.spec.head == "masked-tokens", fill, frozenset({"top_k"})
    ),
    "feature-extraction": Pipeline(_encodes, embed, frozenset({"normalize"})),
    "sentence-similarity": Pipeline(_encodes, compare, frozenset()),
    "zero-shot-classification": Pipeline(
        _encodes, zero_shot, frozenset({"candidate_labels", "multi_label", "hypothesis_template"})
    ),
    "translation": Pipeline(
        lambda run: run.spec.targets == "languages", writes_as("translation_text"),
        frozenset({*WRITING, "src_lang", "tgt_lang"}), joins=True,
    ),
    "summarization": Pipeline(
        lambda run: "summarize" in run.spec.verbs, writes_as("summary_text"), frozenset(WRITING),
        joins=True,
    ),
    "text2text-generation": Pipeline(
        _one_text, writes_as("generated_text"), frozenset(WRITING), joins=True
    ),
    "text-generation": Pipeline(
        lambda run: run.spec.continues, writes_as("generated_text", before=True),
        frozenset({*WRITING, "return_full_text"}),
    ),
}  # fmt: skip
