"""What an agent of somebody else hands in, and what it gets back: a sign-off with its grants, or objections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, JsonValue

from policies.change import ChangeId, Digest, Name, Phase, RepoPath, Word
from policies.finding import Severity
from tools.gate.words import GrantState, SignoffState

FILE_LIMIT = 1024 * 1024


class ProposedFile(Word):
    """A whole file, or its deletion when `text` is absent."""

    path: RepoPath
    text: str | None = Field(
        default=None, max_length=FILE_LIMIT, description="the whole new text; null deletes"
    )
    mode: Literal["100644", "100755"] = "100644"


class ObjectMeta(Word):
    """The part of `metadata` that names an object."""

    name: str = Field(min_length=1, max_length=253)
    namespace: Name | None = None


class ObjectHead(Word):
    """The part of an object that names it."""

    apiVersion: str = Field(min_length=1, max_length=100)  # noqa: N815 - Kubernetes' own spelling
    kind: str = Field(pattern=r"^[A-Z][A-Za-z0-9]{0,62}$")
    metadata: ObjectMeta


def head_of(found: Mapping[str, Any]) -> ObjectHead:
    """Raises ValueError for what is no Kubernetes object with a fixed name."""
    meta = found.get("metadata")
    if not isinstance(meta, Mapping) or "generateName" in meta:
        raise ValueError("an object has apiVersion, kind and metadata with a fixed name")
    named = {key: meta[key] for key in ("name", "namespace") if key in meta}
    head = {key: found[key] for key in ("apiVersion", "kind") if key in found}
    return ObjectHead.model_validate({**head, "metadata": named})


def _named(found: dict[str, JsonValue]) -> dict[str, JsonValue]:
    head_of(found)
    return found


ProposedObject = Annotated[dict[str, JsonValue], AfterValidator(_named)]
Step = Literal["push_commit", "open_pull_request", "request_reviewers", "advance_base", "plan", "apply_plan",
               "apply", "sync_application"]  # fmt: skip
STEPS: Mapping[Phase, tuple[Step, ...]] = {
    Phase.PUBLISH: ("push_commit", "open_pull_request", "request_reviewers"),
    Phase.RELEASE: ("advance_base", "plan", "apply_plan"),
    Phase.DEPLOY: ("apply", "sync_application"),
}
"""The steps of each phase, in their order; a change may end early and leaves none out in between."""


class ProposeChange(Word):
    """One phase of a change. Change id, destination, branch, effect keys and arguments are ours to write."""

    goal: str = Field(
        max_length=20_000,
        description="what the person wants, in the person's own words; the same in every phase",
    )
    phase: Phase = Field(
        description="publish: files in a commit and a pull request. release: the published commit onto the base, then its "
        "Terraform plan and apply. deploy: Kubernetes objects."
    )  # fmt: skip
    title: str = Field(
        default="",
        max_length=70,
        pattern=r"^[^\x00-\x1f\x7f]*$",
        description="publish: the commit's first line",
    )
    summary: str = Field(
        default="", max_length=4000, description="publish: for the reviewer of the pull request"
    )
    files: tuple[ProposedFile, ...] = Field(default=(), max_length=200, description="publish only")
    objects: tuple[ProposedObject, ...] = Field(
        default=(), max_length=100, description="deploy only, as JSON objects"
    )
    steps: tuple[Step, ...] = Field(
        default=(), description="the phase's steps, from its first on; absent: all that apply"
    )  # fmt: skip
    published: Digest | None = Field(
        default=None,
        description="release, and deploy of an Application: the sign-off whose commit this builds on",
    )
    phases: tuple[Phase, ...] = Field(
        default=(), description="every phase that the goal needs; absent: this one"
    )


class OpenRun(Word):
    """Begin a run here that a person asked for elsewhere."""

    run_id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")
    request: str = Field(max_length=65536, description="the bundle in which the person signed the goal")


class RunOpened(Word):
    """It is at `/runs/RUN/mcp` now."""

    run_id: str
    goal_digest: Digest


class Objection(Word):
    """What stands against a signature, and what would satisfy."""

    rule: str
    severity: Severity
    where: str
    why: str
    remedy: str


class Proposal(Word):
    """What became of a proposal. With objections nothing was signed: mend them and propose the phase again."""

    run: str = Field(description="the run of this goal; it has `/runs/RUN/mcp` to itself")
    change_id: ChangeId
    signed: bool
    signoff: Digest | None = Field(
        default=None, description="what `submit` wants, with the number of a grant"
    )
    state: str = Field(
        default="", description="open: submit now. awaiting_person: a person must confirm first"
    )
    expires: str = ""
    grants: tuple[GrantState, ...] = ()
    objections: tuple[Objection, ...] = ()
    notes: tuple[Objection, ...] = Field(default=(), description="findings that do not block")

    @classmethod
    def of(cls, run: str, state: SignoffState, notes: tuple[Objection, ...]) -> Proposal:
        """The answer to a change that was signed."""
        return cls(
            run=run,
            change_id=state.change_id,
            signed=True,
            signoff=state.signoff,
            state=state.state,
            expires=state.expires,
            grants=state.grants,
            notes=notes,
        )
