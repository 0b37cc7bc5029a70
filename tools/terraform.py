"""Terraform in a scratch folder that knows nobody: no network, no credentials, providers from a mirror alone.

What it says is a preview and only informs. The plan of record is made by the signed workflow against the real state.
Where Terraform, the mirror or confinement is missing, each step says that it was not run, and why.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import JsonValue, TypeAdapter

from policies.change import Word
from tools import confine

_ENDINGS = (".tf", ".tfvars", ".hcl")
_OUTPUT = 8000
_SAID = 120
_OVERRIDE = """terraform {
  backend "local" {}
}

provider "aws" {
  access_key                  = "preview"
  secret_key                  = "preview"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
}
"""
"""A preview has no state and no account; the file is in the scratch folder only."""


_FRAME = re.compile(r"[\s│╷╵]+")
_NOT_IN_MIRROR = re.compile(
    r"provider registry\.terraform\.io/(\S+) was not found in any of the search locations"
    r"|no available releases match the given constraints"
)
"""Terraform's words for a provider that the mirror lacks: nothing is known of the configuration then."""


class Step(Word):
    """One run of Terraform. `static` means that it was not run; `output` says why."""

    name: Literal["fmt", "init", "validate", "plan"]
    state: Literal["passed", "failed", "static"]
    output: str = ""


class PlannedChange(Word):
    """What a plan would do to one resource: create, update, delete, read."""

    address: str
    actions: tuple[str, ...]


class Preview(Word):
    """The steps as far as they came, and the planned changes where there is a plan."""

    folder: str
    steps: tuple[Step, ...]
    changes: tuple[PlannedChange, ...] = ()

    @property
    def passed(self) -> bool:
        """Every step ran and passed."""
        return all(step.state == "passed" for step in self.steps)

    def line(self) -> str:
        """`infra/a: fmt passed, validate failed (Unsupported argument)`; what could not run says why, once."""
        ran = [f"{step.name} {step.state}{_reason(step)}" for step in self.steps if step.state != "static"]
        why = dict.fromkeys(step.output for step in self.steps if step.state == "static")
        return f"{self.folder}: {', '.join([*ran, *why])}"


_CHANGES = TypeAdapter(list[dict[str, JsonValue]])


@dataclass(frozen=True)
class Workspace:
    """One Terraform folder in a scratch place of its own."""

    terraform: Terraform
    home: Path
    folder: Path

    def fmt(self) -> Step:
        """Whether the files are formatted as Terraform would."""
        return self._step("fmt", "fmt", "-check", "-diff", "-no-color")

    def init(self) -> Step:
        """Install the providers from the mirror, as the lock file says, with a local backend instead of the real one."""
        (self.folder / "countersign_preview_override.tf").write_text(_OVERRIDE, encoding="utf-8")
        step = self._step("init", "init", "-input=false", "-no-color", "-lockfile=readonly")
        lacking = _NOT_IN_MIRROR.search(_FRAME.sub(" ", step.output)) if step.state == "failed" else None
        if lacking is None:
            return step
        provider = lacking[1] or "a fitting version of a provider"
        return Step(
            name="init",
            state="static",
            output=f"the provider mirror lacks {provider}: types and plan not previewed",
        )

    def validate(self) -> Step:
        """Check types, references and required arguments against the provider's schema."""
        return self._step("validate", "validate", "-no-color")

    def plan(self) -> tuple[Step, tuple[PlannedChange, ...]]:
        """What would be made if nothing existed."""
        step = self._step(
            "plan", "plan", "-input=false", "-no-color", "-refresh=false", "-lock=false", "-out=preview"
        )
        if step.state != "passed":
            return step, ()
        shown = self.terraform.run(["show", "-json", "preview"], self)
        try:
            changes = _CHANGES.validate_python(json.loads(shown.stdout).get("resource_changes", []))
        except ValueError as fault:
            return step.model_copy(
                update={"state": "failed", "output": f"the plan cannot be read: {fault}"}
            ), ()
        return step, tuple(_planned(change) for change in changes)

    def _step(self, name: Literal["fmt", "init", "validate", "plan"], *arguments: str) -> Step:
        if missing := self.terraform.missing(name):
            return Step(name=name, state="static", output=missing)
        ran = self.terraform.run(arguments, self)
        if ran.returncode == confine.NO_CONFINEMENT:
            return Step(
                name=name, state="static", output="this platform offers no confinement: previewed statically"
            )
        text = (ran.stdout + ran.stderr).replace(str(self.folder), ".").replace(str(self.home), "~").strip()
        return Step(name=name, state="failed" if ran.returncode else "passed", output=text[-_OUTPUT:])


@dataclass(frozen=True)
class Terraform:
    """A Terraform binary and a filesystem mirror of providers; either may be absent."""

    binary: Path | None
    mirror: Path | None
    deadline: float = 180.0
    """Seconds for one step."""

    def missing(self, step: str) -> str:
        """Why a step cannot run here; empty when it can."""
        if self.binary is None or not self.binary.is_file():
            return "terraform not found: previewed statically"
        if step != "fmt" and (self.mirror is None or not self.mirror.is_dir()):
            return "no provider mirror: previewed statically"
        if step in {"validate", "plan"} and not _unix_sockets():
            return "providers need Unix sockets, which the agents' confinement forbids: types not previewed"
        return ""

    @contextmanager
    def workspace(self, files: Mapping[str, bytes]) -> Iterator[Workspace]:
        """A scratch folder with these files (plain names, one Terraform folder), removed afterwards."""
        with tempfile.TemporaryDirectory(prefix="countersign-terraform-") as scratch:
            home = Path(scratch).resolve()
            folder = home / "folder"
            folder.mkdir()
            for name, data in files.items():
                if PurePosixPath(name).name != name:
                    raise ValueError(f"{name!r} is not the plain name of a file")
                (folder / name).write_bytes(data)
            yield Workspace(self, home, folder)

    def preview(self, folder: str, files: Mapping[str, bytes], *, plan: bool = True) -> Preview:
        """fmt, init, validate and, if asked, plan; stops at the first step that fails or cannot run."""
        steps: list[Step] = []
        with self.workspace(files) as workspace:
            for run in (workspace.fmt, workspace.init, workspace.validate):
                steps.append(run())
                if steps[-1].name != "fmt" and steps[-1].state != "passed":
                    return Preview(folder=folder, steps=tuple(steps))
            if not plan:
                return Preview(folder=folder, steps=tuple(steps))
            step, changes = workspace.plan()
        return Preview(folder=folder, steps=(*steps, step), changes=changes)

    def run(self, arguments: Sequence[str], workspace: Workspace) -> subprocess.CompletedProcess[str]:
        """Run one command, confined to the workspace; past the deadline it is killed and exits with 124."""
        config = workspace.home / "terraform.rc"
        mirror = str(self.mirror) if self.mirror else str(workspace.home)
        config.write_text(
            f"provider_installation {{\n  filesystem_mirror {{\n    path = {json.dumps(mirror)}\n  }}\n}}\n",
            encoding="utf-8",
        )
        environment = {
            "HOME": str(workspace.home),
            "TMPDIR": str(workspace.home),
            "PATH": "/usr/bin:/bin",
            "TF_CLI_CONFIG_FILE": str(config),
            "TF_IN_AUTOMATION": "1",
            "CHECKPOINT_DISABLE": "1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        binary = self.binary or Path("terraform")
        command = confine.command(
            [str(binary), *arguments],
            cwd=workspace.folder,
            readable=[binary.resolve().parent, mirror],
            writable=[workspace.home],
            env=environment,
        )
        return _run(command, self.deadline)


def _run(command: confine.Command, deadline: float) -> subprocess.CompletedProcess[str]:
    with subprocess.Popen(
        command.argv,
        cwd=command.cwd,
        env=dict(command.env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as child:
        try:
            out, err = child.communicate(timeout=deadline)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)  # its providers too
            child.communicate()
            return subprocess.CompletedProcess(
                command.argv, 124, "", f"no answer within {deadline:.0f} seconds"
            )
    return subprocess.CompletedProcess(command.argv, child.returncode, out, err)


def _unix_sockets() -> bool:
    """Whether this process, and so its children, may make one: Terraform speaks to its providers so."""
    try:
        socket.socket(socket.AF_UNIX).close()
    except PermissionError:
        return False
    return True


def _reason(step: Step) -> str:
    """What went wrong, in Terraform's own first words, in brackets; empty when nothing did."""
    if step.state != "failed":
        return ""
    lines = [line.strip(" │╷╵") for line in step.output.splitlines()]
    if step.name == "fmt" and any(line.startswith("+++ ") for line in lines):
        return " (not formatted as terraform fmt would)"
    said = next((line for line in lines if line.startswith("Error:")), next(filter(None, lines), ""))
    return f" ({said.removeprefix('Error:').strip()[:_SAID]})" if said else ""


def _planned(change: Mapping[str, JsonValue]) -> PlannedChange:
    detail = change.get("change")
    actions = detail.get("actions") if isinstance(detail, dict) else None
    listed = actions if isinstance(actions, list) else []
    return PlannedChange(
        address=str(change.get("address", "?")), actions=tuple(str(action) for action in listed)
    )


def folders_of(files: Mapping[str, bytes]) -> Mapping[str, Mapping[str, bytes]]:
    """Repository files by Terraform folder: folder -> name -> bytes."""
    found: dict[str, dict[str, bytes]] = {}
    for path, data in sorted(files.items()):
        pure = PurePosixPath(path)
        if pure.name.endswith(_ENDINGS):
            found.setdefault(str(pure.parent), {})[pure.name] = data
    return {folder: names for folder, names in found.items() if any(name.endswith(".tf") for name in names)}
