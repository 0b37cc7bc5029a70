"""A workflow file as the rehearsal reads it; what it cannot rehearse is refused by name, never skipped over."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

FOLDER = ".github/workflows/"
Scalar = str | int | float | bool | None
Env = Mapping[str, Scalar]


class WorkflowFaultError(Exception):
    """The file is no workflow that the rehearsal can run; the message says where and why."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class StepPlan(_Part):
    """One step as written."""

    id: str | None = None
    name: str | None = None
    condition: Scalar = Field(default=None, alias="if")
    run: str | None = None
    uses: str | None = None
    with_: Env = Field(default={}, alias="with")
    env: Env = {}
    working_directory: str | None = Field(default=None, alias="working-directory")
    shell: str | None = None
    continue_on_error: bool = Field(default=False, alias="continue-on-error")
    timeout_minutes: float | None = Field(default=None, alias="timeout-minutes")

    @property
    def title(self) -> str:
        """What GitHub would call it."""
        return self.name or f"Run {(self.run or self.uses or '').strip().splitlines()[0][:100]}"


class JobPlan(_Part):
    """One job as written. Permissions, environment and runner are recorded, not enforced, by a rehearsal."""

    name: str | None = None
    needs: tuple[str, ...] = ()
    condition: Scalar = Field(default=None, alias="if")
    runs_on: Any = Field(alias="runs-on")
    permissions: Any = None
    environment: Any = None
    concurrency: Any = None
    timeout_minutes: float = Field(default=360, alias="timeout-minutes")
    env: Env = {}
    outputs: Mapping[str, str] = {}
    steps: tuple[StepPlan, ...]

    @field_validator("needs", mode="before")
    @classmethod
    def _several(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value


class Input(_Part):
    """One declared input of workflow_dispatch."""

    description: str = ""
    type: str = "string"
    required: bool = False
    default: Scalar = None
    options: tuple[str, ...] = ()


class Workflow(_Part):
    """One workflow file."""

    name: str | None = None
    run_name: str | None = Field(default=None, alias="run-name")
    on: Mapping[str, Any]
    permissions: Any = None
    concurrency: Any = None
    env: Env = {}
    jobs: Mapping[str, JobPlan]

    @field_validator("on", mode="before")
    @classmethod
    def _events(cls, value: object) -> object:
        if isinstance(value, str):
            return {value: None}
        return dict.fromkeys(value) if isinstance(value, list) else value

    def inputs(self) -> Mapping[str, Input] | None:
        """What a dispatch must carry; None when the workflow cannot be dispatched."""
        if "workflow_dispatch" not in self.on:
            return None
        declared = (self.on["workflow_dispatch"] or {}).get("inputs") or {}
        return {name: Input.model_validate(value or {}) for name, value in declared.items()}

    def ordered(self) -> list[str]:
        """Job ids so that each comes after what it needs. Raises WorkflowFaultError for a circle or a stranger."""
        done: list[str] = []
        left = dict(self.jobs)
        while left:
            ready = [name for name, job in left.items() if set(job.needs) <= set(done)]
            if not ready:
                raise WorkflowFaultError(f"jobs {sorted(left)} need a job that does not exist, or each other")
            done += ready
            left = {name: job for name, job in left.items() if name not in ready}
        return done


class _Loader(yaml.SafeLoader):
    """YAML as Actions reads it: `on`, `off`, `yes`, `no` are words and a date is text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rules if not tag.endswith((":bool", ":timestamp"))]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(true|false)$"), list("tf"))


def parse(data: bytes) -> Workflow:
    """The workflow in these bytes. Raises WorkflowFaultError."""
    try:
        value = yaml.load(data, _Loader)  # noqa: S506 - a SafeLoader without the YAML 1.1 words
        workflow = Workflow.model_validate(value)
        workflow.inputs()
    except yaml.YAMLError as fault:
        raise WorkflowFaultError(f"not YAML: {fault}") from fault
    except ValidationError as fault:
        first = fault.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise WorkflowFaultError(
            f"{place}: {first['msg']} (the sandbox rehearses a subset of Actions)"
        ) from fault
    workflow.ordered()
    return workflow


def is_workflow(path: str) -> bool:
    """Whether Actions would read this file."""
    return (
        path.startswith(FOLDER) and "/" not in path.removeprefix(FOLDER) and path.endswith((".yml", ".yaml"))
    )
