"""A toy of every task: trained, resumed, and used in every way that its runs can be."""

from __future__ import annotations

import json

import toys
from bench import TINY, Bench, Values
from kinds_dials import BEAMS, PROMPTS, SMALL_RNN, SOURCES
from uses import Action, reader, recipe, translator, writer

import triptych


def _chat(bench: Bench) -> Values:
    """Chat through `predict`, streams and the verb; then learn from preferences."""
    conversation = [
        {"role": "system", "content": "answer in german"},
        {"role": "user", "content": SOURCES[0]},
    ]
    asked = [{"messages": conversation}, {"messages": conversation[1:]}]
    text = recipe("chat", "decoder-tiny", "context = 64", "[decoding]\nmax_length = 10\n")
    found = writer(text, "talks", asked, drafts=False, traced=False)(bench)
    run = bench.work / "run"
    found["talk"] = bench.cli(
        "chat",
        run,
        "--precision",
        bench.precision,
        stdin=f"{SOURCES[0]}\n{SOURCES[1]}\n/reset\nthe cat\n",
    )
    tuned = recipe("preference", "decoder-tiny", "context = 64\nbeta = 0.2", "", f'start = "{run}"')
    tuned = tuned.replace('preset = "decoder-tiny"\n', "")
    found["preferred"] = {}
    for name, dials in {
        "whole": {},
        "adapters": {"model.lora_rank": 2, "model.lora_targets": ["query", "value", "output"]},
    }.items():
        path = bench.toy(name, tuned, "preferences", {"batches.batch_tokens": 256, **dials})
        found["preferred"][name] = {
            "run": bench.files(path),
            "answers": bench.answers(path, asked),
            "scores": bench.scored(path),
        }
    return found


def _masked(bench: Bench) -> Values:
    """Fill in masked words; distil a student; go on to another task in several ways."""
    text = recipe("masked-words", "encoder-tiny", "whole_words = true\nwindow = 32")
    asked = ["the [MASK] sees the dog", "the old [MASK] likes the [MASK]."]
    found = reader(text, "texts", asked, {"model.layers": 3})(bench)
    found["more fillings"] = bench.plain(
        bench.load(bench.work / "run").predict(asked, beams=8, n_best=8)
    )
    run, started = bench.work / "run", f'start = "{bench.work / "run"}"'
    taught = recipe(
        "masked-words",
        "",
        "window = 32",
        f'teacher = "{run}"\n',
        f"{started}\nstart_layers = [0, 2]",
    )
    taught = taught.replace('preset = ""\n', "")
    student = bench.toy("student", taught, "texts", {"batches.batch_tokens": 256})
    found["student"] = {"run": bench.files(student), "answers": bench.answers(student, asked)}
    tuned = recipe("classification", "", "", "", started).replace('preset = ""\n', "")
    for name, dials in {
        "tuned": {"training.layer_decay": 0.8, "training.head_rate": 3.0, "model.dropout": 0.2},
        "adapters": {"model.lora_rank": 2, "model.lora_alpha": 8.0},
        "frozen": {"training.freeze": ["embedding", "encoder.blocks.0"]},
    }.items():
        path = bench.toy(name, tuned, "label", {"batches.batch_tokens": 256, **dials})
        found[name] = {"run": bench.files(path), "answers": bench.answers(path, SOURCES)}
    return found


def _language_model(bench: Bench) -> Values:
    """Write on, fill in, judge labels by their likelihood, and answer after worked examples."""
    text = recipe(
        "language-modelling",
        "decoder-tiny",
        "context = 48\nfill_in_the_middle = 0.5",
        "[decoding]\nmax_length = 10\n",
    )
    more = {
        "stop": {"stop": ["the"], "max_length": 30},
        "long": {"max_length": 70},
        "sampled-long": {"max_length": 70, "temperature": 0.8},
    }
    found = writer(text, "texts", PROMPTS, more=more, traced=False)(bench)
    run = bench.work / "run"
    middle = {"text": "the cat", "suffix": "the dog."}
    found["middle"] = bench.answers(run, [middle], {"sampled": {"temperature": 0.8}, **BEAMS})
    found["streamed middle"] = bench.streams(run, middle, {"greedy": {}})
    shots = toys.table(bench.data, "label")["data.test"]
    found["completed"] = bench.cli("complete", run, PROMPTS[0], "--precision", bench.precision)
    for way in ("sum", "token", "byte", "prior"):
        found[f"judged by {way}"] = bench.cli(
            "evaluate",
            run,
            "--as",
            "classification",
            "--data",
            shots,
            "--normalise",
            way,
            "--json",
            "--precision",
            bench.precision,
        )
    found["shots"] = bench.cli(
        "predict", run, "--examples", shots, "--jsonl", SOURCES[0], "--precision", bench.precision
    )
    return found


def _answering(bench: Bench) -> Values:
    """Point at answers in a passage, and in a folder of documents."""
    passage = "the cat sees the dog. the old teacher likes the river. a quiet house"
    asked = [
        {"question": "what stands before sees", "passage": passage},
        {"question": "who", "passage": passage * 6},
    ]
    text = recipe(
        "question-answering",
        "encoder-tiny",
        "window = 64\nstride = 16\nlongest_question = 16\nmatch_feature = true",
    )
    found = reader(
        text,
        "questions",
        asked,
        {"model.segments": 5},
        words=["what stands before sees", "--passage", passage],
    )(bench)
    folder = bench.work / "documents"
    folder.mkdir()
    for number, one in enumerate((passage, "the strange bird follows the child.", passage[::-1])):
        (folder / f"{number}.txt").write_text(one, encoding="utf-8")
    run = bench.work / "run"
    found["documents"] = bench.cli(
        "answer",
        run,
        "what stands before sees",
        "--documents",
        folder,
        "--jsonl",
        "--precision",
        bench.precision,
    )
    return found


def _words(bench: Bench) -> Values:
    """Find the words of a text without spaces, and tag raw text by a run that finds its words."""
    text = recipe(
        "tagging", "encoder-tiny", 'unit = "character"\nword_dropout = 0.1\nbigrams = 512'
    )
    found = reader(text, "characters", [toys.CHINESE[:7], "狗貓樹"])(bench)
    tagged = recipe("tagging", "encoder-tiny", f'words = "{bench.work / "run"}"')
    path = bench.toy("tagger", tagged, "tags", TINY)
    found["tagger"] = {
        "run": bench.files(path),
        "answers": bench.answers(path, [toys.CHINESE[:5], SOURCES[0]]),
    }
    return found


def _large(bench: Bench) -> Values:
    """Print a table of the data of each toy set, as `data stats` and `data check` see it."""
    found: Values = {}
    for name in toys.FILES:
        file = toys.table(bench.data, name)["data.train"]
        found[name] = {verb: bench.cli("data", verb, file, "--json") for verb in ("stats", "check")}
        for problem in found[name]["check"].get("json", []):
            if "reason" in problem:  # its kind; the sentence after it may be written anew
                problem["reason"] = problem["reason"].partition(":")[0]
    return found


def _recipes(bench: Bench) -> Values:
    """Return every key of every packaged recipe as it is resolved."""
    listed = bench.cli("info", "--json")["json"][0]
    names, presets = (str(listed[key]).split(", ") for key in ("recipes", "presets"))
    return {
        "recipes": {name: bench.cli("train", name, "--print-config") for name in names},
        "texts": {name: triptych.Recipe.load(name).to_toml().splitlines() for name in names},
        "presets": {name: bench.cli("info", name, "--json") for name in presets},
    }


CLASSIFIER = recipe(
    "classification", "encoder-tiny", "token_dropout = 0.1\nlabel_smoothing = 0.1\ndropout = 0.2"
)
PLAIN_CLASSIFIER = recipe("classification", "encoder-tiny")
WAYS_TO_CLASSIFY: dict[str, Values] = {
    "shortcut": {
        "task.shortcut": True,
        "task.bigrams": 512,
        "task.r_drop": 1.0,
        "batches.bpe_dropout": 0.1,
    },
    "first": {"task.pooling": "first", "task.hidden": True},
    "max": {"task.pooling": "max", "task.calibrate": False, "task.positive": "cat"},
    "windows": {"task.window": 16, "task.stride": 8},
}
WAYS_TO_TAG: dict[str, Values] = {
    "crf": {"task.scheme": "bioes", "task.decoding": "crf"},
    "constrained": {"task.scheme": "bio", "task.pooling": "mean", "task.label_smoothing": 0.1},
    "greedy": {
        "task.decoding": "greedy",
        "task.word_dropout": 0.2,
        "task.bigrams": 512,
        "task.window": 10,
        "task.stride": 6,
    },
}
MASKED = ["the [MASK] sees the dog", "the old [MASK] likes [MASK]."]
PAIR = {"text": SOURCES[0], "text_pair": SOURCES[1]}
ASKED = {"question": "what stands before sees", "passage": "the cat sees the dog. a quiet house."}
ENDS = "[decoding]\nmax_length = 10\n"

KINDS: dict[str, Action] = {
    "task-translation": translator(
        recipe("translation", "transformer-tiny", "label_smoothing = 0.1", ENDS), {}
    ),
    "task-translation-rnn": translator(
        recipe("translation", "recurrent-small", "", ENDS, ""),
        SMALL_RNN,
        drafts=False,
    ),
    "task-labels": reader(
        recipe("classification", "encoder-tiny", 'learn = "labels"'), "labels", SOURCES
    ),
    "task-label": reader(CLASSIFIER, "label", SOURCES, target="other"),
    **{
        f"task-label-{name}": reader(PLAIN_CLASSIFIER, "label", SOURCES, dials)
        for name, dials in WAYS_TO_CLASSIFY.items()
    },
    "task-value": reader(
        recipe(
            "classification",
            "encoder-tiny",
            'learn = "value"\npair = true\npooling = "compare"\nshortcut = true',
        ),
        "value",
        [PAIR, {"text": "the cat", "text_pair": "the cat"}],
        words=[json.dumps(PAIR)],
    ),
    "task-tags": reader(recipe("tagging", "encoder-tiny"), "tags", SOURCES),
    **{
        f"task-spans-{name}": reader(recipe("tagging", "encoder-tiny"), "spans", SOURCES, dials)
        for name, dials in WAYS_TO_TAG.items()
    },
    "task-words": _words,
    "task-parsing": reader(
        recipe(
            "parsing", "encoder-tiny", "word_dropout = 0.1\narc_width = 24\nrelation_width = 16"
        ),
        "trees",
        SOURCES,
    ),
    "task-question-answering": _answering,
    "task-generative-answering": writer(
        recipe("generative-answering", "transformer-tiny", "longest_source = 64", ENDS),
        "questions",
        [ASKED],
    ),
    "task-question-generation": writer(
        recipe("question-generation", "transformer-tiny", "longest_source = 64", ENDS),
        "questions",
        [ASKED["passage"]],
    ),
    "task-summarization": writer(
        recipe("summarization", "transformer-tiny", "longest_source = 64\nr_drop = 1.0", ENDS),
        "summaries",
        SOURCES[:2],
    ),
    "task-text-to-text": writer(
        recipe("text-to-text", "transformer-tiny", 'prefix = "tag"', ENDS),
        "tasks",
        [
            {"source": SOURCES[0], "target_language": "translate"},
            {"source": SOURCES[0], "target_language": "shorten"},
        ],
    ),
    "task-span-corruption": writer(
        recipe("span-corruption", "transformer-tiny", "window = 32", ENDS), "texts", MASKED
    ),
    "task-span-corruption-whole": writer(
        recipe(
            "span-corruption", "transformer-tiny", 'window = 32\ntarget = "whole"\nrate = 0.3', ENDS
        ),
        "texts",
        MASKED[:1],
        drafts=False,
    ),
    "task-masked-words": _masked,
    "task-language-modelling": _language_model,
    "task-code": writer(
        recipe(
            "language-modelling",
            "decoder-tiny",
            "context = 64",
            ENDS + '[tokenizer]\nkind = "code"\n',
        ),
        "code",
        ["def sees(cat):"],
        more={"dedent": {"stop_at_dedent": True, "max_length": 40}},
        drafts=False,
        traced=False,
    ),
    "task-chat": _chat,
    "data-toys": _large,
    "recipes": _recipes,
}
