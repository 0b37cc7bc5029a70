"""What a change is: artifacts, destination and the only calls that it may unlock.

Everything digested is RFC 8785 JSON. A ChangeSet holds names and digests; its bytes travel beside it
as `Content`, keyed by digest, so that what is signed is never typed again.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

import rfc8785
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, model_validator

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
ChangeId = Annotated[str, Field(pattern=r"^cs-[0-9a-f]{16}$")]
CommitSha = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
Content = Mapping[str, bytes]
"""Digest -> the bytes with that digest."""


def canonical(value: Any) -> bytes:  # noqa: ANN401 - any JSON value
    """The RFC 8785 form of a JSON value; raises rfc8785.CanonicalizationError for anything else."""
    return rfc8785.dumps(value)


def digest_of(data: bytes) -> str:
    """`sha256:` and 64 hex digits."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _plain_path(path: str) -> str:
    pure = PurePosixPath(path)
    odd = (
        pure.is_absolute()
        or ".." in pure.parts
        or str(pure) != path
        or ".git" in (p.lower() for p in pure.parts)
    )
    if odd or re.search(r"[\x00-\x1f\x7f\\:]", path) or len(path) > 400 or path in {"", "."}:
        msg = f"{path!r} is not a plain relative path"
        raise ValueError(msg)
    return path


RepoPath = Annotated[str, AfterValidator(_plain_path)]


class Word(BaseModel):
    """A frozen value that refuses unknown fields: the base of every shared word."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def canonical(self) -> bytes:
        """This value as RFC 8785 JSON."""
        return canonical(self.model_dump(mode="json"))

    def sha256(self) -> str:
        """sha256 of the canonical form."""
        return digest_of(self.canonical())


class Phase(StrEnum):
    """The row of a run: each drafted from the receipts of the one before, each signed by itself."""

    PUBLISH = "publish"
    RELEASE = "release"
    DEPLOY = "deploy"


class Operation(StrEnum):
    """What happens to a path."""

    ADD = "add"
    MODIFY = "modify"
    DELETE = "delete"


class Artifact(Word):
    """One file of a change. A delete carries the digest of the empty string."""

    path: RepoPath
    digest: Digest
    operation: Operation
    mode: Literal["100644", "100755"] = "100644"


class RepositoryTarget(Word):
    """A repository as the gate resolved it from the live target."""

    host: str = Field(description="api host with port, such as api.github.com")
    repository_id: int
    full_name: str = Field(pattern=r"^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$")
    clone_url: str
    base_branch: str
    base_commit: CommitSha


class ClusterTarget(Word):
    """A cluster as the gate resolved it; the uid is that of namespace kube-system."""

    uid: str
    server: str
    namespaces: tuple[Name, ...] = Field(description="the namespaces that the change may touch")


class Destination(Word):
    """Where a change goes. Absent means: nothing there may be touched."""

    repository: RepositoryTarget | None = None
    cluster: ClusterTarget | None = None


class Grant(Word):
    """One call that a sign-off unlocks, once, in its order.

    `arguments` is the whole call. A value `{"$artifact": PATH}` stands for that artifact's bytes and
    `{"$receipt": {"seq": 1, "fact": "number"}}` for a fact of an earlier receipt; nothing else varies.
    """

    seq: int = Field(ge=1, le=200)
    server: Literal["github", "kubernetes"]
    verb: str = Field(pattern=r"^[a-z_]+$")
    arguments: Mapping[str, JsonValue]
    effect_key: str = Field(
        min_length=1, max_length=400, description="what to look for at the target to see whether it happened"
    )
    preconditions: tuple[
        Literal["previous_done", "workflow_succeeded", "plan_of_record_clean", "review_approved"], ...
    ] = ("previous_done",)

    @property
    def name(self) -> str:
        """`server.verb`."""
        return f"{self.server}.{self.verb}"

    def arguments_digest(self) -> str:
        """The digest that the gate compares on the call."""
        return digest_of(canonical(dict(self.arguments)))


class ChangeSet(Word):
    """What one sign-off covers: `changeset.manifest.json`, in canonical form, is its bytes."""

    version: Literal[1] = 1
    change_id: ChangeId
    run_id: str = Field(pattern=r"^[a-z0-9-]{1,40}$")
    phase: Phase
    goal_digest: Digest
    profile: str
    artifacts: tuple[Artifact, ...]
    destination: Destination
    grants: tuple[Grant, ...]

    @model_validator(mode="after")
    def _well_formed(self) -> ChangeSet:
        paths = [artifact.path for artifact in self.artifacts]
        if paths != sorted(set(paths)):
            msg = "artifacts must be sorted by path, each path once"
            raise ValueError(msg)
        if [grant.seq for grant in self.grants] != list(range(1, len(self.grants) + 1)):
            msg = "grants must be numbered 1, 2, 3 ... in their order"
            raise ValueError(msg)
        if not self.grants:
            msg = "a change that unlocks no call has nothing to sign"
            raise ValueError(msg)
        return self

    def missing(self, content: Content) -> list[str]:
        """Paths whose bytes are absent from `content` or do not have the digest they are filed under."""
        return [
            a.path
            for a in self.artifacts
            if a.operation is not Operation.DELETE
            and (a.digest not in content or digest_of(content[a.digest]) != a.digest)
        ]


EMPTY_DIGEST = digest_of(b"")
MANIFEST_NAME = "changeset.manifest.json"
CHANGE_ANNOTATION = "countersign/change"
"""The annotation that carries the change_id on every object that we apply."""
