"""The container, the compose file and the service: their commands exist, and they are as safe as
they say.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from triptych.cli.main import build_app

ROOT = Path(__file__).parent.parent.parent
DEPLOY = ROOT / "deploy"


def dockerfile() -> list[tuple[str, str]]:
    """Return the instructions of the Dockerfile with their arguments."""
    text = re.sub(r"\\\n\s*", "", (DEPLOY / "Dockerfile").read_text(encoding="utf-8"))
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in lines)]


def of(name: str) -> list[str]:
    return [rest for own, rest in dockerfile() if own == name]


def service() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in (DEPLOY / "triptych.service").read_text(encoding="utf-8").splitlines():
        if line and line[0] not in "#[":
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def composed() -> dict[str, Any]:
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))


def typed(arguments: list[str]) -> dict[str, Any]:
    """Return what the command line makes of arguments. Fails for a flag that is not there."""
    app = build_app({"serve"})
    _, bound, _ = app.parse_args(["serve", *arguments], exit_on_error=False, print_error=False)
    return dict(bound.arguments)


def test_the_commands_can_be_typed() -> None:
    (entry,), (command,) = of("ENTRYPOINT"), of("CMD")
    assert json.loads(entry) == ["triptych", "serve"]
    unit = shlex.split(service()["ExecStart"][0])
    assert unit[:2] == ["/opt/triptych/bin/triptych", "serve"]
    for arguments in (json.loads(command), composed()["services"]["triptych"]["command"], unit[2:]):
        found = typed(arguments)
        assert found["run"].startswith("model=") and found["port"] == 8000
        assert found["access"].api_key_file is not None and found["access"].api_key is None


def test_a_wrong_flag_is_seen() -> None:
    with pytest.raises(Exception, match="api-keys"):
        typed(["runs/mine", "--api-keys", "a"])


def test_the_container_is_small_and_not_root() -> None:
    assert of("USER") == ["10001"] and len(of("FROM")) == 2
    assert all(re.fullmatch(r"python:3\.1\d-slim-\w+( AS build)?", one) for one in of("FROM"))
    installs = [one for one in of("RUN") if "pip install" in one]
    assert "whl/cpu" in installs[0] and "constraints.txt" in installs[0]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert '".[serve]"' in installs[1] and "serve" in project["optional-dependencies"]
    assert composed()["services"]["triptych"]["image"] == f"triptych:{project['version']}"
    (check,) = of("HEALTHCHECK")
    code = json.loads(check[check.index("[") :])
    assert "127.0.0.1:8000/ready" in code[2]
    compile(code[2], "healthcheck", "exec")
    for source in (one.split()[:-1] for one in of("COPY") if "--from" not in one):
        assert all((ROOT / name).exists() for name in source)
    kept = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").split()
    assert kept[0] == "*" and {"!constraints.txt", "!src"} <= set(kept)


def test_the_composed_service_can_write_nothing() -> None:
    found = composed()["services"]["triptych"]
    assert found["read_only"] and found["cap_drop"] == ["ALL"]
    assert found["volumes"][0]["read_only"] and found["volumes"][0]["target"] == "/runs/model"
    assert found["ports"] == ["127.0.0.1:8000:8000"]
    assert found["secrets"] == list(composed()["secrets"])
    path = found["command"][found["command"].index("--api-key-file") + 1]
    assert path == f"/run/secrets/{found['secrets'][0]}"
    assert (DEPLOY / found["build"]["dockerfile"].removeprefix("deploy/")).exists()


def test_the_service_is_hardened() -> None:
    found = service()
    for name in ("DynamicUser", "NoNewPrivileges", "PrivateTmp", "ProtectHome", "PrivateDevices"):
        assert found[name] == ["yes"], name
    assert found["ProtectSystem"] == ["strict"] and found["CapabilityBoundingSet"] == [""]
    assert found["LoadCredential"] == ["key:/etc/triptych/key"]
    assert "${CREDENTIALS_DIRECTORY}/key" in found["ExecStart"][0]


def test_systemd_accepts_the_service(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")
    text = (DEPLOY / "triptych.service").read_text(encoding="utf-8")
    copy = tmp_path / "triptych.service"
    copy.write_text(text.replace("/opt/triptych/bin/triptych", sys.executable), encoding="utf-8")
    told = subprocess.run(
        [program, "verify", str(copy)], capture_output=True, text=True, timeout=30
    )
    assert not [line for line in told.stderr.splitlines() if copy.name in line], told.stderr
