"""The unit and container files say what the promises need: a user of its own, nothing inherited, the agents kept out."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[4]
UNIT = ROOT / "deploy/systemd/countersign-gate.service"
CONTAINER = ROOT / "deploy/container/Containerfile"
SERVED = ["serve", "gate", "--http", "7070", "--separate-user"]


def settings(path: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in path.read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("User", "countersign"), ("Group", "countersign"), ("UMask", "0077"), ("StateDirectoryMode", "0700"),
        ("NoNewPrivileges", "yes"), ("CapabilityBoundingSet", ""), ("ProtectSystem", "strict"), ("ProtectHome", "yes"),
        ("PrivateTmp", "yes"), ("RestrictSUIDSGID", "yes"), ("LimitCORE", "0"), ("KillMode", "control-group"),
        ("SystemCallFilter", "@system-service"), ("RestrictNamespaces", "yes"),
    ],
)  # fmt: skip
def test_the_unit_keeps_its_user_apart(key: str, value: str) -> None:
    assert settings(UNIT)[key] == [value]


def test_the_unit_starts_what_the_command_line_has() -> None:
    [started] = settings(UNIT)["ExecStart"]
    program, *arguments = shlex.split(started)
    assert arguments == SERVED
    assert program == "/opt/countersign/.venv/bin/countersign"
    shown = subprocess.run(
        [sys.executable, ROOT / "main.py", "serve", "--help"], capture_output=True, text=True, check=True
    )
    assert {word for word in SERVED if word.startswith("--")} <= set(re.findall(r"--[a-z-]+", shown.stdout))


def test_the_state_is_where_the_command_looks_for_it() -> None:
    told = settings(UNIT)
    [environment] = [value.partition("=") for value in told["Environment"]]
    assert "XDG_STATE_HOME=/var/lib" in "".join(environment).split()
    assert told["StateDirectory"] == ["countersign"]
    assert "/var/lib/countersign" in (ROOT / "deploy/systemd/countersign.sysusers").read_text()


def test_the_container_names_its_base_by_argument_and_runs_as_nobody_else() -> None:
    lines = [line for line in CONTAINER.read_text().splitlines() if line and not line.startswith("#")]
    words = [line.split(maxsplit=1) for line in lines]
    assert words[:2] == [["ARG", "PYTHON"], ["FROM", "${PYTHON}"]], "no tag that can be moved"
    order = [word for word, _ in words]
    assert order.index("USER") > max(i for i, word in enumerate(order) if word == "RUN")
    assert ["USER", "countersign"] in words
    entry = next(rest for word, rest in words if word == "ENTRYPOINT")
    assert [part.strip(' "') for part in entry.strip("[]").split(",")][1:] == SERVED
    assert all(rest.startswith("[") for word, rest in words if word == "RUN"), "no shell"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_itself_takes_the_unit(tmp_path: Path) -> None:
    here = tmp_path / UNIT.name
    here.write_text(UNIT.read_text().replace("/opt/countersign", str(ROOT)))
    done = subprocess.run(
        ["systemd-analyze", "verify", here], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert UNIT.name not in done.stderr, done.stderr
