"""Import models from wherever they are, with a LoRA adapter on them or without; export adapters."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import RunError, UsageError, brief
from ..interchange import gguf, huggingface
from ..interchange import llama2c as llama_file
from ..interchange.families import READ
from ..interchange.name_map import Certificate
from ..interchange.peft import DOWN, SCALE, UP, is_adapter, read_adapter, write_adapter
from ..recipe.schema import Recipe
from ..runs.run import Run
from ..runs.storage import read_tensors, whole_folder
from ..tasks.specs import SPECS
from . import hub
from .classes import Form, export_class, refusals
from .imports import import_folder, refuse_taken
from .published_chat import NEXT_TOKENS
from .shared import IMPORT, MASKED, VECTORS

if TYPE_CHECKING:
    from torch import Tensor


def import_model(
    source: str | Path,
    out: str | Path,
    task: str | None = None,
    allow_nonfinite: bool = False,
    base: str | Path | None = None,
    offline: bool = False,
    report: hub.Report = str,
) -> Certificate:
    """Import a folder, a model of the hub (`hub.FORM`), or an adapter on its base.

    Args:
        source: The folder, or the model's name on the hub.
        out: The run folder to write.
        task: As `import_folder` takes it.
        allow_nonfinite: Accept weights that are NaN or infinite.
        base: Of an adapter, if it is not the one that its adapter_config.json names.
        offline: Read a model of the hub from its cache alone.
        report: Receives what is fetched, and how large it is.

    Raises:
        RunError: As `import_folder` and `hub.fetch`; or an adapter does not fit its base.
        UsageError: As `import_folder` and `hub.fetch`; or a base is missing, or given in vain.
    """
    refuse_taken(Path(out))
    fetched = hub.fetch(str(source), report, offline) if hub.is_reference(source) else None
    path = Path(source) if fetched is None else fetched.path
    if not is_adapter(path):
        if base is not None:
            raise UsageError("--base is for an adapter, and {source} holds a model.", source=source)
        return import_folder(path, out, task, allow_nonfinite, fetched)
    adapter = read_adapter(path)
    under = str(base or adapter.base)
    if base is None and fetched is not None and not Path(under).exists():
        under = f"{hub.PREFIX}{under}" + (f"@{adapter.revision}" if adapter.revision else "")
    with tempfile.TemporaryDirectory(prefix="triptych-") as held:
        run = _base_run(under, Path(held) / "base", task, offline, report, path)
        tensors = adapter.added(read_tensors(run.weights()), export_class(_form(run)).names)
        record = run.read_import()
        record |= {
            "adapter": {
                "source": str(path.resolve()) if fetched is None else fetched.source,
                "layers": len(adapter.layers),
            }
        }
        with whole_folder(Path(out)) as aside:
            made = run.copy_to(aside)
            made.write_model(tensors)
            made.write_json(IMPORT, record)
            made.write_card(
                f"{run.read_card().rstrip()}\n\n## Adapter\n\n{len(adapter.layers)} layers of "
                f"{record['adapter']['source']} are added to the weights.\n"
            )
    fields = Certificate.__dataclass_fields__
    return Certificate(**{key: value for key, value in record.items() if key in fields})


def _base_run(
    under: str, held: Path, task: str | None, offline: bool, report: hub.Report, path: Path
) -> Run:
    """Return the run of an adapter's base, imported where it is not one."""
    if hub.is_reference(under) or huggingface.is_folder(under):
        import_model(under, held, task, offline=offline, report=report)
        return Run(held)
    if not under or not (Path(under) / IMPORT).is_file():
        raise UsageError(
            "{path} is an adapter of {base}, which is not a folder here. Name its base with "
            "--base: a folder, hf:org/name, or an imported run.",
            path=path,
            base=under or "no model that it names",
        )
    return Run.open(under)


def _form(run: Run, kind: str | None = None) -> Form:
    """Return what decides about the names of a run's tensors. Raise RunError for no class."""
    config = run.read_config()
    before = run.read_import() if (run.path / IMPORT).is_file() else {}
    form = Form(
        config.task,
        config.options,
        config.model,
        len(config.tokenizers),
        kind or before.get("model_type"),
    )
    problems = refusals(form)
    if problems:
        raise RunError(
            "{path} has no class in the library transformers: {problems}.",
            path=run.path,
            problems="; ".join(problems),
        )
    return form


def export_adapter(path: str | Path, dest: str | Path) -> list[str]:
    """Write the LoRA adapter of a run as the library peft reads it.

    Returns:
        What is worth knowing about the export, one sentence each.

    Raises:
        RunError: The run has no adapter, did not start from an imported model, or differs from its
            start by more.
        UsageError: `dest` is not empty.
    """
    run, dest = Run.open(path), Path(dest)
    refuse_taken(dest)
    tensors, table = read_tensors(run.weights()), Recipe.load(run.path).model
    start = table.start
    if table.lora_rank is None:
        raise RunError(
            "{path} has no adapter: it was not trained with model.lora_rank. Export the whole "
            "model, without --adapter.",
            path=run.path,
        )
    base, revision, kind = _origin(start, run)
    if start is not None and not any(name.endswith(f".{DOWN}") for name in tensors):
        origin = open_origin(start, run.read_config().task)  # deleted with the name
        before = read_tensors(origin.weights())
        tensors = _factored(tensors, before, table.lora_rank, run)
    names = export_class(_form(run, kind)).names
    card = (
        f"# {run.read_config().name}\n\nA LoRA adapter for {base}, written by `triptych export "
        "--adapter` for the library peft.\n"
    )
    with whole_folder(dest) as aside:
        layers = write_adapter(aside, tensors, names, base, revision, card)
    return [f"{layers} adapted layers, for the base {base}."]


def _factored(
    tensors: Mapping[str, Tensor], before: Mapping[str, Tensor], rank: int, run: Run
) -> dict[str, Tensor]:
    """Return weights with the adapters that a finished run has added to them as matrices again.

    The change of a weight has the adapter's rank, so its first singular vectors are all of it.
    """
    import torch

    found, wrong = dict(tensors), list[str]()
    for name, weight in tensors.items():
        old = before.get(name)
        if old is not None and torch.equal(old, weight):
            continue
        if old is None or old.shape != weight.shape or weight.dim() != 2:
            wrong.append(name)
            continue
        up, sizes, down = torch.linalg.svd((weight - old).double(), full_matrices=False)
        if len(sizes) > rank and sizes[rank] > 1e-3 * sizes[0]:
            wrong.append(name)
            continue
        layer, root = name.removesuffix("weight"), sizes[:rank].sqrt()
        found[layer + UP] = (up[:, :rank] * root).float()
        found[layer + DOWN] = (root[:, None] * down[:rank]).float()
        found[layer + SCALE] = torch.tensor(1.0)
    if wrong:
        raise RunError(
            "{path} differs from its start by more than adapters of rank {rank}, in {names}: the "
            "start has changed since. Export the whole model, without --adapter.",
            path=run.path,
            rank=rank,
            names=brief(", ".join(wrong)),
        )
    return found


def _origin(start: str | None, run: Run) -> tuple[str, str | None, str | None]:
    """Return the model that a run started from: its place or name, its revision, its model_type."""
    record: Mapping[str, Any] = {}
    if hub.is_reference(start):
        record = open_origin(str(start), run.read_config().task).read_import()
        return record["hub"]["name"], record["hub"]["revision"], record["model_type"]
    if start is not None and huggingface.is_folder(start):
        return str(Path(start).resolve()), None, str(_model_type(Path(start)))
    record = {}
    if start is not None and (Run.open(start).path / IMPORT).is_file():
        record = Run.open(start).read_import()
    if not record or "adapter" in record:
        raise RunError(
            "{path} started from {start}, which is not an imported model, so its adapter has no "
            "base in the library transformers. Export the whole model, without --adapter.",
            path=run.path,
            start=start or "nothing",
        )
    held = record.get("hub")
    if held:
        return held["name"], held["revision"], record["model_type"]
    return record["source"], None, record["model_type"]


def open_origin(path: str | Path, task: str, report: hub.Report = str) -> Run:
    """Open the run of `model.start`: a run, or a folder or model of the hub of another library.

    The latter two are imported into a run that is deleted with the process; so is an adapter, on
    its base. `task` is the task to be trained; a head for masked words is imported only for that
    task. `report` receives how much is fetched.
    """
    if hub.is_reference(path):
        fetched = hub.fetch(str(path), report)
        return _origin_of(fetched.path, task, fetched)
    return _origin_of(path, task)


def _origin_of(path: str | Path, task: str, fetched: hub.Fetched | None = None) -> Run:
    """Open the run that a path stands for. See `open_origin`."""
    in_one_file = llama_file.is_folder(path) or gguf.is_gguf(path)
    if is_adapter(path):
        return _imported(Path(path), None, None, fetched)
    if not in_one_file and not huggingface.is_folder(path):
        return Run.open(path)
    kind = "" if in_one_file else str(_model_type(Path(path)))
    writes = in_one_file or (kind in READ and READ[kind].architecture != "encoder")
    wanted = VECTORS if not writes and task != MASKED else None
    if writes and task == NEXT_TOKENS and (in_one_file or READ[kind].architecture == "decoder"):
        wanted = NEXT_TOKENS  # no chat template is needed
    trained = None if writes or task not in SPECS else task
    return _imported(Path(path), wanted, trained, fetched)


def _model_type(path: Path) -> object:
    return huggingface.read_json(path / "config.json").get("model_type")


def _imported(
    path: Path, task: str | None, trained: str | None, fetched: hub.Fetched | None
) -> Run:
    """Import a folder of another library into a run that is deleted with the process.

    trained: The task that an encoder will be trained for. fetched: From where on the hub it came.
    """
    held = Path(tempfile.mkdtemp(prefix="triptych-"))
    path = path.resolve() if fetched is None else path
    run = Run(held / (path.name if fetched is None else fetched.name.split("/")[1]))
    weakref.finalize(run, shutil.rmtree, held, True)
    if trained is None:
        import_model(path if fetched is None else fetched.source, run.path, task)
    else:
        import_folder(path, run.path, task, fetched=fetched, trained=trained)
    return run
