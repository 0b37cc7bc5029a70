"""What the rehearsal cluster is told at its start."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from policies.change import Word
from policies.finding import ImageTable


class ClusterSettings(Word):
    """Where the state and the token lie, and what the rehearsal knows of the world outside it."""

    state_dir: Path = Field(
        description="cluster.sqlite lies here; the folder is made, mode 0700, if it is missing"
    )
    token_file: Path = Field(
        description="the bearer token of the administrator; a file that others may read is refused"
    )
    images: ImageTable = Field(
        default={}, description="repositories that can be pulled; any other one is ImagePullBackOff"
    )
    pod_delay: float = Field(default=0.03, ge=0, description="seconds from a pod's scheduling until it runs")
    argocd_namespace: str = "argocd"
    git: str = Field(default="git", description="the git that reads the repositories of Applications")
    poll_seconds: float = Field(
        default=180.0, gt=0, description="how often a moving targetRevision is resolved again"
    )
