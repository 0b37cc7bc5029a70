"""What the verbs' signed arguments look like, parsed at the edge, and where they may go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, TypeVar

from pydantic import AwareDatetime, Field, JsonValue, ValidationError

from policies.change import ChangeId, CommitSha, Digest, Operation, RepoPath, RepositoryTarget, Word
from tools.github.repository import LiveRepository
from tools.verbs import Call, TargetError

Branch = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_./-]{0,199}$")]
Login = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$")]
Slug = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")]
Number = Annotated[int, Field(ge=1, strict=True)]
W = TypeVar("W", bound=Word)


class Signed(Word):
    """An artifact in a call: its bytes are in the call's content under the digest."""

    path: RepoPath
    digest: Digest


class PushedFile(Word):
    """One path of the commit; `file` is None for a delete."""

    path: RepoPath
    operation: Operation
    mode: Literal["100644", "100755"] = "100644"
    file: Signed | None = None


class Author(Word):
    """Author and committer of the commit."""

    name: str = Field(min_length=1, max_length=200)
    email: str = Field(min_length=3, max_length=200)


class PushCommitArguments(Word):
    """`github.push_commit`: one commit on the signed base, at the head of a new branch."""

    branch: Branch
    base_commit: CommitSha
    message: str = Field(min_length=1, max_length=20_000)
    author: Author
    date: AwareDatetime
    files: tuple[PushedFile, ...] = Field(min_length=1)


class OpenPullRequestArguments(Word):
    """`github.open_pull_request`: from the change's branch into the base branch."""

    head: Branch
    base: Branch
    title: str = Field(min_length=1, max_length=256)
    body: str = Field(default="", max_length=65_000)


class RequestReviewersArguments(Word):
    """`github.request_reviewers`."""

    number: Number
    reviewers: tuple[Login, ...] = ()
    team_reviewers: tuple[Slug, ...] = ()


class AdvanceBaseArguments(Word):
    """`github.advance_base`: the base branch moves forward from one commit to another."""

    branch: Branch
    origin: CommitSha = Field(alias="from")
    to: CommitSha


class DispatchWorkflowArguments(Word):
    """`github.dispatch_workflow`: a file in .github/workflows, a branch, and the inputs, `change_id` among them."""

    workflow: str = Field(pattern=r"^(\.github/workflows/)?[A-Za-z0-9_.-]{1,100}\.ya?ml$")
    ref: Branch
    inputs: Mapping[str, str]


class CommentArguments(Word):
    """`github.comment`: a remark in a pull request's conversation."""

    number: Number
    body: str = Field(min_length=1, max_length=60_000)


class MarkedInputs(Word):
    """What a dispatched run can be found again by; the other inputs are the workflow's own."""

    change_id: ChangeId
    mode: str | None = None
    commit: CommitSha | None = None


def parsed(kind: type[W], call: Call, repository: LiveRepository) -> tuple[W, RepositoryTarget]:
    """The arguments, and the signed destination. Raises TargetError when either is not for this repository."""
    target = call.destination.repository
    if target is None:
        raise TargetError(
            f"{call.verb} has no repository in its signed destination: sign a change that names one"
        )
    here = (repository.client.host, repository.full_name.lower())
    if (target.host, target.full_name.lower()) != here:
        raise TargetError(
            f"{call.verb} was signed for {target.host}/{target.full_name}, this is {'/'.join(here)}: run again on this one"
        )
    try:
        return kind.model_validate(dict(call.arguments)), target
    except ValidationError as fault:
        first = fault.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise TargetError(
            f"the arguments of {call.verb} are not as its contract says: {where}: {first['msg']}"
        ) from fault


def place(target: RepositoryTarget) -> dict[str, JsonValue]:
    """`owner` and `repo` as a tool of another's server wants them."""
    owner, _, repo = target.full_name.partition("/")
    return {"owner": owner, "repo": repo}
