"""The launch files: their commands can be typed, and linters and schemas accept them.

bash is always there. shellcheck, the models of Kubeflow Trainer (pip install kubeflow-trainer-api)
and SkyPilot (pip install skypilot) are used where they are installed.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from triptych.cli.main import build_app, split_overrides
from triptych.inference.shares import Share, share_of
from triptych.recipe.schema import nested

LAUNCH = Path(__file__).parent.parent.parent / "deploy" / "launch"
SCRIPTS = sorted([*LAUNCH.glob("*.sh"), *LAUNCH.glob("*.sbatch")])
YAMLS = sorted(LAUNCH.glob("*.yaml"))


def read(name: str) -> dict[str, Any]:
    return yaml.safe_load((LAUNCH / name).read_text(encoding="utf-8"))


def shell_of(path: Path) -> str:
    """Return the shell script in a launch file."""
    if path in SCRIPTS:
        return path.read_text(encoding="utf-8")
    values = read(path.name)
    if path.name == "sky.yaml":
        return values["run"]
    if path.name == "trainjob.yaml":
        return values["spec"]["trainer"]["command"][-1]
    (container,) = values["spec"]["template"]["spec"]["containers"]
    return shlex.join(container["command"])


def command_of(script: str) -> list[str]:
    """Return the arguments of `triptych` in a script, with values in place of variables."""
    joined = script.replace("\\\n", " ")
    line = next(
        one for one in joined.split("\n") if re.match(r"[^#]*triptych (?:train|predict) ", one)
    )
    line = re.sub(r'"?\$\{more\[@\]\}"?', "--resume", line)
    line = re.sub(r'"\$\(\(.*?\)\)"', "8", line)
    line = re.sub(r'"\$\{SHARD:-auto\}"', "auto", line).replace('"$SLURM_CPUS_PER_TASK"', "4")
    line = re.sub(r'"\$(\w+)"', lambda found: f"/data/{found[1].lower()}.toml", line)
    return shlex.split(re.sub(r"^.*triptych (?=train |predict )", "", line).removesuffix("&"))


@pytest.mark.parametrize("path", [*SCRIPTS, *YAMLS], ids=lambda path: path.name)
def test_the_command_can_be_typed(path: Path) -> None:
    words = command_of(shell_of(path))
    assert words[0] == ("predict" if "predict" in path.name else "train")
    at = words.index("--threads") if "--threads" in words else len(words)
    rest, overrides = split_overrides(words[:at] + words[at + 2 :])
    app = build_app({words[0]})
    _, bound, _ = app.parse_args(rest, exit_on_error=False, print_error=False)
    assert set(nested(overrides)) <= {"batches"}
    if words[0] == "train":
        # no fewer micro-batches than processes, and what was stopped continues
        assert "batches.accumulate" in overrides and bound.arguments["resume"]
    else:
        assert bound.arguments["filing"].shard == "auto" and bound.arguments["filing"].out


@pytest.mark.parametrize("path", [*SCRIPTS, *YAMLS], ids=lambda path: path.name)
def test_bash_reads_it(path: Path) -> None:
    done = subprocess.run(["bash", "-n"], input=shell_of(path), text=True, capture_output=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
@pytest.mark.parametrize("path", [*SCRIPTS, *YAMLS], ids=lambda path: path.name)
def test_shellcheck_finds_nothing(path: Path) -> None:
    command = ["shellcheck", "--shell", "bash", "--format", "gcc", "-"]
    done = subprocess.run(command, input=shell_of(path), text=True, capture_output=True)
    assert done.returncode == 0, done.stdout


def test_slurm_gives_every_task_its_share() -> None:
    text = (LAUNCH / "slurm-predict.sbatch").read_text(encoding="utf-8")
    found = re.search(r"^#SBATCH --array=(\d+)-(\d+)$", text, re.MULTILINE)
    assert found is not None, "the tasks are numbered"
    first, last = int(found[1]), int(found[2])
    count = str(last - first + 1)
    shares = {
        share_of(
            {
                "SLURM_ARRAY_TASK_ID": str(number),
                "SLURM_ARRAY_TASK_COUNT": count,
                "SLURM_ARRAY_TASK_MIN": str(first),
            }
        )[0]
        for number in range(first, last + 1)
    }
    assert shares == {Share(number, last + 1) for number in range(last + 1)}


def test_an_indexed_job_tells_its_pods_how_many_they_are() -> None:
    spec = read("predict-job.yaml")["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    told = {one["name"]: one["value"] for one in container["env"]}
    assert spec["completionMode"] == "Indexed"
    assert told["JOB_COMPLETIONS"] == str(spec["completions"]) and spec["parallelism"] > 1
    assert container["securityContext"]["readOnlyRootFilesystem"] is True


def test_a_train_job_has_a_micro_batch_for_every_process() -> None:
    trainer = read("trainjob.yaml")["spec"]["trainer"]
    words = command_of(shell_of(LAUNCH / "trainjob.yaml"))
    processes = trainer["numNodes"] * trainer["numProcPerNode"]
    assert int(words[words.index("--batches.accumulate") + 1]) == processes
    assert trainer["resourcesPerNode"]["limits"]["nvidia.com/gpu"] == str(trainer["numProcPerNode"])


@pytest.mark.parametrize(
    ("name", "model"),
    [("trainjob.yaml", "TrainerV1alpha1TrainJob"), ("predict-job.yaml", "IoK8sApiBatchV1Job")],
)
def test_kubernetes_would_keep_every_key(name: str, model: str) -> None:
    """What the models of the interface do not know, they drop."""
    models = pytest.importorskip("kubeflow_trainer_api.models")
    values = read(name)
    found = getattr(models, model).from_dict(values)
    assert found.to_dict() == values


def test_skypilot_accepts_its_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SKYPILOT_DISABLE_USAGE_COLLECTION", "1")
    schemas = pytest.importorskip("sky.utils.schemas")
    jsonschema = pytest.importorskip("jsonschema")
    values = read("sky.yaml")
    jsonschema.validate(values, schemas.get_task_schema())
    jsonschema.validate(values["resources"], schemas.get_resources_schema())
    for one in values["file_mounts"].values():
        jsonschema.validate(one, schemas.get_storage_schema())
