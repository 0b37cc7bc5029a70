"""What each process is told, once, at its start: one JSON document through an inherited descriptor.

The launcher builds these; nothing else reads the environment. A process is started as
`python -m tools.gate --settings-fd N`; the descriptor is read to its end and closed.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field

from policies.change import Digest, Word

W = TypeVar("W", bound=Word)


class TraceSettings(Word):
    """Where spans go. `traceparent` joins the run's one trace."""

    traceparent: str | None = None
    file: Path | None = None
    otlp_endpoint: str | None = None


class GitHubSettings(Word):
    """A GitHub: api_url such as https://api.github.com, and where its token is."""

    api_url: str
    repository: str
    base_branch: str = "main"
    token_file: Path


class KubernetesSettings(Word):
    """A cluster: a kubeconfig with a context, or in_cluster."""

    kubeconfig: Path | None = None
    context: str | None = None
    in_cluster: bool = False


class ServerSettings(Word):
    """Another's MCP server behind the gate, from static configuration alone: never from a tool's argument or a repository."""

    adapter: Path
    argv: tuple[str, ...] = Field(min_length=1, description="an absolute program and its arguments")
    program_sha256: Digest | None = Field(default=None, description="of the program, checked at each start")
    env: Mapping[str, str] = Field(default={}, description="its whole environment, but PATH and HOME")
    credentials: Mapping[str, Path] = Field(
        default={}, description="environment variable -> file with its value"
    )
    readable: tuple[Path, ...] = Field(default=(), description="what it reads besides the system")
    performs: tuple[str, ...] = Field(
        default=(), description="verbs that `submit` performs through this server"
    )


class NotarySettings(Word):
    """The notary's: keys, profile, scanner, and its pipes (descriptor numbers)."""

    state_dir: Path = Field(description="per user, 0700; holds keys/ and trust.json")
    profile: Path = Field(description="the active profile's TOML file")
    pins: Path = Field(description="knowledge/pins.toml: image and action facts")
    scanner_python: Path
    rehearsal: bool
    isolation: str
    security_fd: int
    gate_fd: int = Field(description="the notary speaks to the gate here, as role notary")
    plan_fd: int = Field(description="the gate speaks to the notary here: judge_plan")
    request: str | None = Field(
        default=None,
        description="the bundle in which a person asked for this run; without one nothing is judged",
    )
    trace: TraceSettings = TraceSettings()


class GateSettings(Word):
    """The gate's: credentials by file, public keys, journal, and one pipe per role."""

    state_dir: Path
    run_id: str
    profile: Path
    rehearsal: bool
    isolation: str
    github: GitHubSettings | None = None
    kubernetes: KubernetesSettings | None = None
    servers: Mapping[str, ServerSettings] = Field(default={}, description="other people's servers, by name")
    ask_person: bool = Field(description="submit waits until the person confirmed the sign-off")
    dry_run: bool = Field(default=False, description="nothing may be submitted in this run")
    roles: Mapping[str, int] = Field(
        description="role -> descriptor of its pipe: planner devops security sre notary person"
    )
    notary_fd: int
    request: str | None = Field(
        default=None,
        description="the bundle in which a person asked for this run; without one nothing is issued",
    )
    trace: TraceSettings = TraceSettings()


class RemoteSettings(Word):
    """A run's pipes to a gate that stands elsewhere: who is at each pipe, and how that gate is spoken to."""

    url: str = Field(description="such as http://127.0.0.1:7070; `/mcp` and `/runs/RUN/mcp` are below it")
    bearers: Path = Field(description="folder with ROLE.token for each role, 0600")
    run_id: str
    request: str = Field(description="the bundle in which a person asked for this run")
    dry_run: bool = Field(default=False, description="nothing may be submitted in this run")
    gate: Mapping[str, int] = Field(description="role -> descriptor of its pipe to the gate")
    notary: Mapping[str, int] = Field(description="role -> descriptor of its pipe to the notary")
    trace: TraceSettings = TraceSettings()


class GraphSettings(Word):
    """Bolt address and credentials of the graph; None runs without memory until one can be written."""

    uri: str
    user: str
    password: str


class ModelSettings(Word):
    """`offline` or any CrewAI model id, with its address and key."""

    model: str = "offline"
    base_url: str | None = None
    api_key: str | None = None
    timeout_seconds: float = 60.0


class CrewSettings(Word):
    """The crew's: goal, run folder, model, graph, and its pipes."""

    run_id: str
    run_dir: Path
    goal: str
    language: Literal["ko", "en"] | None = None
    profile: Path
    dry_run: bool = False
    review_patience: float = Field(
        default=600.0, ge=0, description="seconds that a run waits for an approving review before it ends"
    )
    model: ModelSettings = ModelSettings()
    graph: GraphSettings | None = None
    waiting: tuple[Path, ...] = Field(
        default=(), description="outcomes of earlier runs that no graph has yet; to be readable too"
    )
    gate: Mapping[str, int] = Field(description="role -> descriptor of that role's pipe to the gate")
    notary_fd: int = Field(description="Security's pipe to the notary")
    progress_fd: int
    terraform: Path | None = None
    provider_mirror: Path | None = None
    trace: TraceSettings = TraceSettings()
    readable: tuple[Path, ...] = Field(
        default=(), description="Landlock: what may be read besides the system and the environments"
    )
    hidden: tuple[Path, ...] = Field(default=(), description="Landlock: folders that must stay unreadable")


def read(kind: type[W], argv: list[str] | None = None) -> W:
    """This process's settings from `--settings-fd N`. Raises pydantic.ValidationError on anything unknown."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--settings-fd", type=int, required=True)
    number = parser.parse_args(argv).settings_fd
    with os.fdopen(number, "rb") as pipe:
        return kind.model_validate_json(pipe.read())
