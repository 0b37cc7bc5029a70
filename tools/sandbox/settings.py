"""What the sandbox process is told at its start, and what it answers when it is ready."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from policies.change import Word


class SandboxSettings(Word):
    """Where its state lies, which ports it takes (0: any free one), what the machine has."""

    state_dir: Path = Field(description="made with mode 0700; a second start on it finds everything again")
    repository: str = Field(default="acme/platform", pattern=r"^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$")
    default_branch: str = "main"
    reviewers: tuple[str, ...] = Field(
        default=("platform-lead", "security-lead"), description="collaborators who may be asked for review"
    )
    github_port: int = Field(default=0, ge=0, le=65535)
    cluster_port: int = Field(default=0, ge=0, le=65535)
    pins: Path | None = Field(default=None, description="pins.toml: the images that the cluster can pull")
    terraform: Path | None = None
    provider_mirror: Path | None = None
    search_path: str = Field(
        default="/usr/local/bin:/usr/bin:/bin", description="where git and a step's programs are found"
    )
    step_seconds: float = Field(default=600.0, gt=0, description="the longest that a workflow step may take")
    pod_delay: float = Field(default=0.03, ge=0, description="seconds until a scheduled pod runs")
    ready_fd: int | None = Field(
        default=None, description="where the ready line is written; standard output without it"
    )
    die_with_parent: bool = False


class Ready(Word):
    """The one line that a started sandbox writes."""

    github_api: str
    repository: str
    clone_url: str
    github_token_file: Path
    cluster_url: str
    cluster_token_file: Path
    kubeconfig: Path
