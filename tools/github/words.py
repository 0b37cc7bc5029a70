"""What GitHub says, as far as we listen: frozen, unknown fields ignored because they are GitHub's to add."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from policies.change import CommitSha
from tools.verbs import TargetError

S = TypeVar("S", bound="Said")


class Said(BaseModel):
    """A part of GitHub's answer."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Repository(Said):
    """A repository."""

    id: int
    full_name: str
    clone_url: str
    default_branch: str


class Person(Said):
    """Author or committer."""

    name: str
    email: str
    date: datetime


class Linked(Said):
    """An object by id."""

    sha: CommitSha


class Commit(Said):
    """A commit object."""

    sha: CommitSha
    tree: Linked
    parents: tuple[Linked, ...]
    author: Person
    message: str
    html_url: str = ""


class Line(Said):
    """One line of a tree, with its path below that tree."""

    path: str
    mode: str
    type: str
    sha: CommitSha
    size: int = 0


class Tree(Said):
    """A tree."""

    sha: CommitSha
    tree: tuple[Line, ...]
    truncated: bool


class User(Said):
    """Somebody."""

    login: str


class Team(Said):
    """A team."""

    slug: str


class Side(Said):
    """Head or base of a pull request."""

    ref: str
    sha: CommitSha


class Pull(Said):
    """A pull request."""

    number: int
    title: str
    body: str | None = None
    state: str
    html_url: str
    head: Side
    base: Side
    user: User
    draft: bool = False
    merged_at: datetime | None = None
    mergeable_state: str = ""
    changed_files: int = 0
    requested_reviewers: tuple[User, ...] = ()
    requested_teams: tuple[Team, ...] = ()


class Review(Said):
    """A review."""

    id: int
    user: User | None
    state: str
    body: str = ""
    commit_id: str | None = None
    html_url: str
    submitted_at: datetime | None = None


class Run(Said):
    """A workflow run."""

    id: int
    name: str | None = None
    display_title: str
    event: str
    status: str
    conclusion: str | None = None
    head_branch: str | None = None
    head_sha: CommitSha
    path: str
    html_url: str
    created_at: datetime


class Step(Said):
    """A step of a job."""

    number: int
    name: str
    status: str
    conclusion: str | None = None


class Job(Said):
    """A job of a run."""

    id: int
    name: str
    status: str
    conclusion: str | None = None
    labels: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()


class Annotation(Said):
    """A remark on a job."""

    annotation_level: str | None = None
    title: str | None = None
    message: str | None = None


class Artifact(Said):
    """An uploaded artifact."""

    id: int
    name: str
    size_in_bytes: int
    expired: bool
    digest: str | None = None


class Check(Said):
    """A check run."""

    name: str
    status: str
    conclusion: str | None = None
    html_url: str | None = None


class Changed(Said):
    """One changed file."""

    filename: str
    status: str
    additions: int
    deletions: int
    patch: str = ""


class Comparison(Said):
    """Two revisions compared."""

    status: str
    ahead_by: int
    behind_by: int
    files: tuple[Changed, ...] = Field(default=())


def heard(shape: type[S], said: Mapping[str, Any]) -> S:
    """GitHub's answer in that shape. Raises TargetError when it is something else."""
    try:
        return shape.model_validate(said)
    except ValidationError as fault:
        first = fault.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise TargetError(f"GitHub's {shape.__name__.lower()} is unlike its own description at {place}: {first['msg']}") from fault
