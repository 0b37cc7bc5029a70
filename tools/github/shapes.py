"""What we read of GitHub's answers: only the fields in use; whatever else is there is ignored."""

from __future__ import annotations

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from policies.change import CommitSha


class Shape(BaseModel):
    """A frozen part of an answer."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Repository(Shape):
    """GET /repos/{owner}/{repo}."""

    id: int
    full_name: str
    clone_url: str
    default_branch: str


class Oid(Shape):
    """Names a git object."""

    sha: CommitSha


class Ref(Shape):
    """A git reference."""

    object: Oid


class Signature(Shape):
    """Who and when."""

    name: str
    email: str
    date: AwareDatetime


class GitCommit(Shape):
    """A commit of the Git database API."""

    sha: CommitSha
    html_url: str = ""
    message: str
    author: Signature
    committer: Signature
    tree: Oid
    parents: tuple[Oid, ...]


class Entry(Shape):
    """One line of a tree; `size` of blobs alone."""

    path: str
    mode: str
    type: str
    sha: CommitSha
    size: int = 0


class Tree(Shape):
    """A tree, every level of it when asked so."""

    sha: CommitSha
    tree: tuple[Entry, ...]
    truncated: bool = False


class Blob(Shape):
    """A blob's bytes in Base64."""

    sha: CommitSha
    content: str
    encoding: str


class User(Shape):
    """An account."""

    login: str


class Team(Shape):
    """A team."""

    slug: str


class Numbered(Shape):
    """Whatever has an id."""

    id: int


class Side(Shape):
    """Head or base of a pull request; `repo` is None when its fork is gone."""

    ref: str
    sha: CommitSha
    repo: Numbered | None = None


class Pull(Shape):
    """A pull request."""

    number: int
    html_url: str
    state: str
    title: str
    body: str | None = None
    draft: bool = False
    merged_at: str | None = None
    user: User | None = None
    head: Side
    base: Side
    requested_reviewers: tuple[User, ...] = ()
    requested_teams: tuple[Team, ...] = ()


class Commit(Shape):
    """A commit of the repositories API."""

    sha: CommitSha
    parents: tuple[Oid, ...] = ()


class ChangedFile(Shape):
    """One file of a pull request or a comparison."""

    filename: str
    status: str
    additions: int = 0
    deletions: int = 0
    previous_filename: str | None = None


class Comparison(Shape):
    """Three dots between two revisions."""

    status: str
    ahead_by: int
    behind_by: int
    total_commits: int
    commits: tuple[Commit, ...]
    files: tuple[ChangedFile, ...] = ()


class Review(Shape):
    """A review; `user` is None when the account is gone."""

    id: int
    user: User | None = None
    state: str
    body: str | None = None
    commit_id: str | None = None
    submitted_at: str | None = None


class Comment(Shape):
    """A comment of the conversation."""

    id: int
    html_url: str
    body: str | None = None


class CheckRun(Shape):
    """A check of a commit."""

    name: str
    status: str
    conclusion: str | None = None
    html_url: str | None = None


class Run(Shape):
    """A workflow run."""

    id: int
    name: str | None = None
    html_url: str
    event: str
    status: str
    conclusion: str | None = None
    display_title: str = ""
    head_branch: str | None = None
    head_sha: CommitSha
    created_at: str = ""


class Step(Shape):
    """One step of a job."""

    number: int
    name: str
    status: str
    conclusion: str | None = None


class Job(Shape):
    """One job of a run."""

    id: int
    name: str
    status: str
    conclusion: str | None = None
    steps: tuple[Step, ...] = ()
    labels: tuple[str, ...] = ()


class Annotation(Shape):
    """A remark on a job."""

    title: str | None = None
    message: str | None = None


class Artifact(Shape):
    """An uploaded artifact."""

    id: int
    name: str
    size_in_bytes: int = Field(ge=0)
    expired: bool = False
